"""Structured mode: the whole event is one JSON object (CloudEvents JSON format 1.0.2 §3).

It leaves in binary mode, so attributes become header lines, and ``data`` the body: byte for byte as it stood in the
object, a JSON string's content when its type is not JSON, ``data_base64`` decoded. A member that is null is unset.
Of a member given twice the last one counts.
"""

import base64
import binascii
import typing

import msgspec

from fanout_dispatcher.ingress import attributes
from fanout_dispatcher.ingress.attributes import Invalid
from fanout_dispatcher.values.media import is_json

MEMBERS: typing.Final = frozenset({"data", "data_base64"})
MOST: typing.Final = 100  # members, as there are header lines
SMALLEST, LARGEST = -(2**31), 2**31 - 1  # a CloudEvents Integer

ENVELOPE: typing.Final = 192 * 1024  # bytes around the data: six in JSON may be one in a header


class _Data(msgspec.Struct):
    """The two members that may be large; the rest is skipped, which costs next to nothing."""

    data: msgspec.Raw = msgspec.Raw(b"")
    data_base64: msgspec.Raw = msgspec.Raw(b"")


_data_only: typing.Final = msgspec.json.Decoder(_Data)
_object: typing.Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_scalar: typing.Final = msgspec.json.Decoder(str | int | bool | None)
_text: typing.Final = msgspec.json.Decoder(str)


class Structured(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A structured event taken apart: its attributes as text, its content type and its body."""

    attributes: dict[str, str]
    content_type: bytes | None
    body: bytes


def read(body: bytes) -> Structured:
    """Take a JSON event apart; *body* is known to be JSON. Raises Invalid with a sentence."""
    try:
        if len(body) > ENVELOPE:
            _look_at_envelope(body)
        members = _object.decode(body)
    except msgspec.ValidationError:
        raise Invalid("a structured event is a JSON object") from None
    if len(members) > MOST:
        raise Invalid(f"an event has at most {MOST} members")
    if "data" in members and "data_base64" in members:
        raise Invalid("data and data_base64 exclude each other")
    values = {name: _value(name, raw) for name, raw in members.items() if name not in MEMBERS}
    found = {name: text for name, text in values.items() if text is not None}
    attributes.complete(found)
    content_type = found.pop("datacontenttype", None)
    if content_type is not None and not (content_type.isascii() and content_type.isprintable()):
        raise Invalid("datacontenttype is not a media type")
    encoded = None if content_type is None else content_type.encode("ascii")
    return _with_data(found, encoded, members)


def _look_at_envelope(body: bytes) -> None:
    """Refuse a flood of members before they are built: a million of them would take half a second of the loop."""
    found = _data_only.decode(body)
    if len(body) - len(bytes(found.data)) - len(bytes(found.data_base64)) > ENVELOPE:
        raise Invalid("the attributes are larger than a request's headers may be")


def _value(name: str, raw: msgspec.Raw) -> str | None:
    """Read one attribute as text; None when it is null."""
    try:
        value = _scalar.decode(raw)
    except msgspec.ValidationError:
        raise Invalid(f"{name[:64]}: expected a string, an integer or a boolean") from None
    match value:
        case None:
            return None
        case bool():
            text = "true" if value else "false"
        case int() if not SMALLEST <= value <= LARGEST:
            raise Invalid(f"{name[:64]}: an integer has 32 bits")
        case _:
            text = str(value)
    attributes.check(name, text)
    return text


def _with_data(found: dict[str, str], content_type: bytes | None, members: dict[str, msgspec.Raw]) -> Structured:
    """Find the body: bytes, text or JSON."""
    if "data_base64" in members:
        body = _binary(members["data_base64"])
    elif "data" not in members:
        body = b""
    else:
        if content_type is None:
            content_type = b"application/json"  # JSON format §3.1: what data is when nothing else is said
        body = _data(members["data"], content_type)
    return Structured(attributes=found, content_type=content_type, body=body)


def _data(raw: msgspec.Raw, content_type: bytes) -> bytes:
    data = bytes(raw)
    if data.startswith(b'"') and not is_json(content_type):
        return _text.decode(data).encode()
    return data


def _binary(raw: msgspec.Raw) -> bytes:
    try:
        return base64.b64decode(_text.decode(raw), validate=True)
    except (msgspec.ValidationError, binascii.Error, ValueError):
        raise Invalid("data_base64 is not a string of Base64") from None
