"""From a row of an outbox to an event: what a producer would have posted in binary mode, read by the same reader.

So a row meets the same rules as a request, in the same words, and gets the same identity: a service that moves from
posting to an outbox changes nothing for its targets.
"""

import re
import typing

import msgspec

from fanout_crds import headers
from fanout_dispatcher.ingress import attributes
from fanout_dispatcher.ingress.attributes import Invalid
from fanout_dispatcher.ingress.cloudevents import LARGEST_BLOCK, HeadAndBody, NotJson, Reader
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.request import Lines, Request
from fanout_dispatcher.sources.table import Row

JSON: typing.Final = "application/json"
COLUMNS: typing.Final = frozenset(
    {"ce-id", "ce-source", "ce-type", "ce-subject", "ce-time", "ce-specversion", "content-type"}
)
_NAME: typing.Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_VALUE: typing.Final = re.compile(r"(?:[!-~](?:[ \t!-~]*[!-~])?)?")
_reader: typing.Final = Reader(str)  # names no event: each row has its id
_headers: typing.Final = msgspec.json.Decoder(dict[str, str])


class Unfit(ValueError):
    """The row cannot be an event; a sentence for whoever wrote it."""


def read(row: Row, route: Route) -> HeadAndBody:
    """Make an event of *row*. Raises Unfit."""
    most = route.plan.max_body_size
    if row.size > most:
        raise Unfit(f"the data has {row.size} bytes; this route takes {most}")
    lines = _lines(row, route)
    if sum(len(name) + len(value) for name, value in lines) > LARGEST_BLOCK:
        raise Unfit(f"its attributes and headers are larger than {LARGEST_BLOCK} bytes")
    request = Request(b"POST", route.plan.path, lines, dict(lines), True, False, body=row.data or b"", route=route)
    try:
        return _reader.read(request, route)
    except (Invalid, NotJson) as wrong:
        raise Unfit(str(wrong)) from None


def _lines(row: Row, route: Route) -> Lines:
    if row.type is None:
        raise Unfit("the type is null")
    said = {"id": row.id, "source": row.source or route.plan.path, "type": row.type}
    said |= {name: value for name, value in (("subject", row.subject), ("time", row.time)) if value is not None}
    lines = [(b"ce-specversion", b"1.0")]
    lines += [(f"ce-{name}".encode(), attributes.encode(value)) for name, value in said.items()]
    lines.append((b"content-type", _value("content_type", row.content_type or JSON)))
    lines += _own(row.headers)
    if dict(lines)[b"content-type"].lower().startswith(b"application/cloudevents"):
        raise Unfit("the content type is that of a whole event: the columns make the event, the data is its data")
    return lines


def _own(said: str | None) -> Lines:
    """The headers that a row has of its own."""
    try:
        own = {name.lower(): value for name, value in (_headers.decode(said) if said else {}).items()}
    except msgspec.DecodeError:
        raise Unfit("the headers are no JSON object whose values are strings") from None
    for name in own:
        if not _NAME.fullmatch(name):
            raise Unfit("the headers have a name that is none")
        if name in COLUMNS or name in headers.FRAMING:
            raise Unfit(f"the headers set {name}, which has a column or is HTTP's own")
    return [
        (name.encode(), attributes.encode(value) if name.startswith("ce-") else _value(name, value))
        for name, value in own.items()
    ]


def _value(name: str, value: str) -> bytes:
    if not _VALUE.fullmatch(value):
        raise Unfit(f"{name} is no header value: visible ASCII, spaces inside only")
    return value.encode("ascii")
