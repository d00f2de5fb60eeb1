"""An event as one JSON object, for targets that take CloudEvents in structured mode (JSON format 1.0.2 §3).

The event is kept in binary mode, its attributes as header lines; here they become members, as strings all of them: of
what type an extension was, a header does not say. Data that are JSON stand in the object byte for byte, as the producer
wrote them; whatever else they are is Base64, so that nothing is lost by a guess. Trace context and X-Request-Id stay
headers.
"""

import binascii
import re
import typing

import msgspec

from fanout_dispatcher.values.facts import attributes_of
from fanout_dispatcher.values.media import is_json

_MEMBERS: typing.Final = re.compile(rb"^(?:content-type|ce-[a-z0-9]+):[^\r]*\r\n", re.MULTILINE)
_TYPE: typing.Final = b"content-type: application/cloudevents+json\r\n"
_scan: typing.Final = msgspec.json.Decoder(msgspec.Raw).decode  # the grammar, without building anything


def structured(attributes: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Give the header lines and the body of an event whose own block of header lines is *attributes*."""
    return _MEMBERS.sub(b"", attributes) + _TYPE, an_object(attributes_of(attributes), body)


def an_object(members: dict[str, str], body: bytes) -> bytes:
    """Write the object of an event with these attributes."""
    written = [msgspec.json.encode(members)[:-1]]  # open, for the data
    if body and is_json(members.get("datacontenttype", "").encode("latin-1")) and _holds(body):
        written += (b',"data":', body)
    elif body:
        written += (b',"data_base64":"', binascii.b2a_base64(body, newline=False), b'"')
    written.append(b"}")
    return b"".join(written)


def _holds(body: bytes) -> bool:
    """Whether *body* is the JSON that its type says: Base64 of a producer's, or a table's row, may be anything."""
    try:
        _scan(body)
        return body.isascii() or bool(body.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
