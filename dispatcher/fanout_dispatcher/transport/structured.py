"""Structured mode: an event as one JSON object (CloudEvents JSON format 1.0.2 §3).

An event is kept in binary mode, with its attributes as header lines. Here they become members, each a string, since a
header does not say which type an extension attribute had. Data that are JSON are copied byte for byte; all others are
Base64 in `data_base64`, so that nothing depends on a guess. Trace context and X-Request-Id stay headers.
"""

import binascii
import re
import typing

import msgspec

from fanout_dispatcher.values.facts import attributes_of
from fanout_dispatcher.values.media import is_json

_MEMBERS: typing.Final = re.compile(rb"^(?:content-type|ce-[a-z0-9]+):[^\r]*\r\n", re.MULTILINE)
_TYPE: typing.Final = b"content-type: application/cloudevents+json\r\n"
_CONTROL: typing.Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_scan: typing.Final = msgspec.json.Decoder(msgspec.Raw).decode  # the grammar, without building anything


def structured(attributes: bytes, body: bytes) -> tuple[bytes, bytes]:
    """Give the header lines and the body of an event whose own block of header lines is *attributes*."""
    return _MEMBERS.sub(b"", attributes) + _TYPE, an_object(attributes_of(attributes), body)


def an_object(members: dict[str, str], body: bytes) -> bytes:
    """Write the JSON object of an event: *members* are its attributes as strings, *body* its data.

    What a header may hold and an attribute may not is left out (CloudEvents 1.0.2 §2): a reader would refuse the event.
    """
    if not all(map(str.isprintable, members.values())):
        members = _allowed(members)
    written = [msgspec.json.encode(members)[:-1]]  # open, for the data
    if body and is_json(members.get("datacontenttype", "").encode("latin-1")) and _holds(body):
        written += (b',"data":', body)
    elif body:
        written += (b',"data_base64":"', binascii.b2a_base64(body, newline=False), b'"')
    written.append(b"}")
    return b"".join(written)


def _allowed(members: dict[str, str]) -> dict[str, str]:
    """Give those without control characters; a tab is white space in a header, and so is the blank in its place."""
    spelt = {name: text.replace("\t", " ") for name, text in members.items()}
    return {name: text for name, text in spelt.items() if not _CONTROL.search(text)}


def _holds(body: bytes) -> bool:
    """Whether *body* really is JSON: it may have come as Base64, or out of a database, and was not parsed then."""
    try:
        _scan(body)
        return body.isascii() or bool(body.decode())
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False
