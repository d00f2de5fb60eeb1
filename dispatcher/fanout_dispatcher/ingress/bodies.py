"""Whether a body that says it is JSON is JSON, without building it.

msgspec's scan reads the grammar, escapes and surrogates included, at about a gigabyte a second and keeps nothing:
0.4 µs for 300 bytes, 12 ms for 12 MB with a million keys, where a parser that builds the objects takes 380 ms of
the loop. NaN is refused, and so is anything nested deeper than the interpreter's recursion limit allows (about a
thousand). What the scan does not look at is UTF-8 inside strings, so that is checked beside it. Repeated keys are
let through, as every JSON parser does: the bytes go on to the targets unchanged.
"""

import typing

import msgspec
import orjson

EXPLAINED: typing.Final = 64 * 1024  # up to here a second parse tells line and column; above it the scan's byte must do

_scan: typing.Final = msgspec.json.Decoder(msgspec.Raw).decode


def fault(body: bytes) -> str | None:
    """Say what is wrong with *body* as JSON and where; None when nothing is."""
    try:
        _scan(body)
        if not body.isascii():
            body.decode()
    except UnicodeDecodeError as wrong:
        return f"a string is not UTF-8 at byte {wrong.start}"
    except RecursionError:
        return "nested too deeply"
    except msgspec.DecodeError as wrong:
        return _explained(body, str(wrong).removeprefix("JSON is malformed: "))
    return None


def _explained(body: bytes, scanned: str) -> str:
    """Find line and column for a person; a large body gets what the scan said."""
    if len(body) > EXPLAINED:
        return scanned
    try:
        orjson.loads(body)
    except orjson.JSONDecodeError as wrong:
        return f"{wrong.msg} at line {wrong.lineno} column {wrong.colno}"
    return scanned
