"""CloudEvents attributes between their two spellings: text, and the value of a ``ce-`` header.

CloudEvents HTTP binding 1.0.2 §3.1.3.2: space, double quote, percent and everything outside printable ASCII are
percent-encoded UTF-8; a reader also takes the quoted strings that older producers sent, and refuses what is not
UTF-8.
"""

import re
import typing
import urllib.parse

from fanout_dispatcher.values.spelling import unspelt

REQUIRED: typing.Final = ("specversion", "id", "source", "type")
KNOWN: typing.Final = frozenset({*REQUIRED, "subject", "dataschema", "time", "datacontenttype"})  # none may be empty

_NAME: typing.Final = re.compile(r"[a-z0-9]{1,64}")
_TIME: typing.Final = re.compile(
    r"\d{4}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12]\d|3[01])[Tt](?:[01]\d|2[0-3]):[0-5]\d:(?:[0-5]\d|60)(?:\.\d+)?"
    r"(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)"
)
_CONTROL: typing.Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SAFE: typing.Final = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_PLAIN: typing.Final = re.compile(r"[!#$&-~]*")
_SPELT: typing.Final = re.compile(rb"[ !#$&-~]+")  # a header value without quotes and percents


class Invalid(ValueError):
    """The event breaks the CloudEvents specification; the text is a sentence for its producer."""


def check(name: str, value: str) -> None:
    """Refuse, by Invalid, an attribute that CloudEvents does not allow."""
    if name not in KNOWN and not _NAME.fullmatch(name):
        raise Invalid(f"{name}: attribute names are lower-case letters and digits")
    if not value and name in KNOWN:
        raise Invalid(f"{name} is empty")
    if name == "specversion" and value != "1.0":
        raise Invalid(f'specversion: only "1.0" is understood, got "{value[:20]}"')
    if name == "time" and not _TIME.fullmatch(value):
        raise Invalid("time: expected an RFC 3339 timestamp such as 2026-11-23T01:04:00Z")
    if not value.isprintable() and _CONTROL.search(value):
        raise Invalid(f"{name} holds control characters")


def complete(present: typing.Container[str]) -> None:
    """Refuse, by Invalid, an event without one of the four attributes that each must have."""
    for name in REQUIRED:
        if name not in present:
            raise Invalid(f"the attribute {name} is missing")


def encode(value: str) -> bytes:
    """Write *value* as a header's value."""
    if _PLAIN.fullmatch(value):
        return value.encode("ascii")
    return urllib.parse.quote(value, safe=_SAFE).encode("ascii")


def decode(name: str, value: bytes) -> str:
    """Read a header's value; raises Invalid when it is no encoding of text."""
    if _SPELT.fullmatch(value):
        return value.decode("ascii")
    if not value.isascii():
        raise Invalid(f"{name} holds bytes outside ASCII: percent-encode them (CloudEvents HTTP binding 3.1.3.2)")
    try:
        return unspelt(value.decode("ascii"), errors="strict")
    except UnicodeDecodeError:
        raise Invalid(f"{name} is percent-encoded, but not UTF-8") from None
