"""An event as expressions read it: its attributes, its data, the producer's headers, and where it was sent.

Made from what the journal keeps, so that an expression gives the same value at acceptance and at an attempt days later.
Nothing is taken apart that no expression reads.
"""

import functools
import re
import typing
import urllib.parse

import msgspec

from fanout_crds.expressions import Activation, Failed, Reads, activate
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.media import is_json

LARGEST: typing.Final = 1 << 20  # bytes of a body that is parsed: some 10 ms
NOTHING: typing.Final[dict[str, str]] = {}
_TYPE: typing.Final = "content-type"
_CONTENT_TYPE: typing.Final = re.compile(rb"^content-type: ([^\r]*)", re.MULTILINE)


def facts(reads: Reads, head: Head, body: bytes, targets: dict[str, object] | None = None) -> Activation:
    """Hand in what *reads* names of an event, and of *targets* that have answered. Raises Failed with a sentence."""
    fields = _fields(head.attributes) if reads.headers or "event" in reads.variables else NOTHING
    return activate(
        reads,
        event=_attributes(fields) if "event" in reads.variables else NOTHING,
        headers=_headers(fields, head) if reads.headers else NOTHING,
        data=functools.partial(_data, head.attributes, body),
        targets=targets,
        path=dict(head.path) if "path" in reads.variables else NOTHING,
        query=dict(head.query) if "query" in reads.variables else NOTHING,
    )


def attributes_of(block: bytes) -> dict[str, str]:
    """Give the attributes that an event's own header block has, as text; datacontenttype is one of them."""
    return _attributes(_fields(block))


def _fields(block: bytes) -> dict[str, str]:
    """Give the event's own header block as names and values."""
    lines = block.decode("latin-1").split("\r\n")
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines if line)}


def _attributes(fields: dict[str, str]) -> dict[str, str]:
    found = {name[3:]: _text(value) for name, value in fields.items() if name.startswith("ce-")}
    if _TYPE in fields:
        found["datacontenttype"] = fields[_TYPE]
    return found


def _text(value: str) -> str:
    """Undo the spelling of an attribute as a header's value (CloudEvents HTTP binding 1.0.2 §3.1.3.2)."""
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = value[1:-1].replace('\\"', '"').replace("\\\\", "\\")
    return urllib.parse.unquote(value) if "%" in value else value


def _headers(fields: dict[str, str], head: Head) -> dict[str, str]:
    """Give the headers that were kept, in lower case; one that came more than once is one list (RFC 9110 §5.3)."""
    found = {name: value for name, value in fields.items() if not name.startswith("ce-")}
    for given, value in head.forwarded:
        name, text = given.decode("latin-1").lower(), value.decode("latin-1")
        found[name] = f"{found[name]}, {text}" if name in found else text
    return found


def _data(attributes: bytes, body: bytes) -> object:
    """Give parsed JSON; of any other type a string where it is UTF-8, else bytes; null when there is none."""
    if len(body) > LARGEST:
        raise Failed(f"the data have {len(body)} bytes; expressions read up to {LARGEST}")
    if not body:
        return None
    found = _CONTENT_TYPE.search(attributes)
    if found is not None and is_json(found[1]):
        try:
            return msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            raise Failed("the data are not the JSON that their content type says") from None
    try:
        return body.decode()
    except UnicodeDecodeError:
        return body
