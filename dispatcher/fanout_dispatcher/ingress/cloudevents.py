"""From a request to the event in it: binary, structured or plain.

Binary mode keeps its ``ce-`` headers as they came, byte for byte; they are decoded only to be checked and named.
Structured mode is turned into binary. Anything else is an event of ours: type ``dev.fanout.request``, source the path
that it was sent to, and an id that is handed in. What leaves is the Head: one block of header lines for every target,
the producer's headers that some target asks for, and the digest that every Idempotency-Key derives from.
"""

import functools
import hashlib
import typing

import msgspec

from fanout_crds import headers
from fanout_crds.headers import encoded
from fanout_dispatcher.ingress import attributes, bodies, structured
from fanout_dispatcher.ingress.attributes import Invalid
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.values import correlation
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.media import is_json

LARGEST_BLOCK: typing.Final = 32 * 1024  # what binary mode could have brought; targets refuse larger heads
SOURCES: typing.Final = 256  # of plain events, whose spelling is remembered: most come to a few paths
PLAIN_TYPE: typing.Final = "dev.fanout.request"
STRUCTURED: typing.Final = b"application/cloudevents+json"
CARRIED: typing.Final = encoded(headers.CARRIED - {"content-type"})  # the content type is said once, by `_typed`
SAID_ELSEWHERE: typing.Final = frozenset({"datacontenttype", "data", "data_base64"})  # in binary mode

HeadAndBody = tuple[Head, bytes]


class NotJson(ValueError):
    """The body says it is JSON and is not; the text says what is wrong and where."""


class Reader(msgspec.Struct, frozen=True):
    """Reads events; *ids* names those that come without an id, in ASCII that needs no percent-encoding."""

    ids: typing.Callable[[], str]

    def read(self, request: Request, route: Route) -> HeadAndBody:
        """Make an event of *request*; raises Invalid or NotJson with a sentence."""
        content_type = request.fields.get(b"content-type", b"")
        if is_json(content_type):
            check_json(request)
            if content_type[: len(STRUCTURED)].lower() == STRUCTURED:
                return from_json(request.body, request, route)
        for name in request.fields:
            if name[:3] == b"ce-":
                return _binary(request, route)
        return self._plain(request, route, content_type)

    def _plain(self, request: Request, route: Route, content_type: bytes) -> HeadAndBody:
        path, ident = route.source or request.path, self.ids()
        block = b"ce-specversion: 1.0\r\nce-id: %b\r\nce-source: %b\r\nce-type: dev.fanout.request\r\n%b" % (
            ident.encode("ascii"),
            _source(path),
            _typed(content_type),
        )
        return _event(request, route, (ident, path, PLAIN_TYPE), block), request.body


@functools.lru_cache(SOURCES)
def _source(path: str) -> bytes:
    return attributes.encode(path)


def check_json(request: Request) -> None:
    """Refuse a body that is not the JSON it says it is. A binary event may have none."""
    if (not request.body and b"ce-specversion" in request.fields) or (wrong := bodies.fault(request.body)) is None:
        return
    raise NotJson(f"the body is not valid JSON: {wrong}" if request.body else "the body is empty, which is not JSON")


def _binary(request: Request, route: Route) -> HeadAndBody:
    parts: list[bytes] = []
    found: dict[str, str] = {}
    for name, value in request.lines:
        if name[:3] == b"ce-":
            attribute = name[3:].decode("ascii")
            found[attribute] = text = attributes.decode(attribute, value)
            attributes.check(attribute, text)
            parts += (name, b": ", value, b"\r\n")
    if not SAID_ELSEWHERE.isdisjoint(found):
        raise Invalid("in binary mode Content-Type says what ce-datacontenttype would, and the body is the data")
    attributes.complete(found)
    parts.append(_typed(request.fields.get(b"content-type", b"")))
    return _event(request, route, (found["id"], found["source"], found["type"]), b"".join(parts)), request.body


def from_json(body: bytes, request: Request, route: Route) -> HeadAndBody:
    """Make an event of a structured one that came with *request*. Raises Invalid with a sentence."""
    event = structured.read(body)
    found = event.attributes
    lines = [b"ce-%b: %b\r\n" % (name.encode("ascii"), attributes.encode(text)) for name, text in found.items()]
    lines.append(_typed(event.content_type or b""))
    block = b"".join(lines)
    if len(block) > LARGEST_BLOCK:
        raise Invalid(f"the attributes are larger than {LARGEST_BLOCK} bytes as headers")
    return _event(request, route, (found["id"], found["source"], found["type"]), block), event.body


def _typed(content_type: bytes) -> bytes:
    return b"content-type: %b\r\n" % content_type if content_type else b""


def _event(request: Request, route: Route, name: tuple[str, str, str], block: bytes) -> Head:
    """Put the head together; *name* is the event's id, source and type."""
    if not CARRIED.isdisjoint(request.fields):
        block += _carried(request)
    ident, source, kind = name
    head = Head(
        id=ident,
        source=source,
        type=kind,
        identity=identity(route.plan.key, source, ident),
        attributes=block,
        forwarded=_forwarded(request, route) if route.forwardable or route.forward_prefixes else (),
    )
    if request.parameters is None:
        return head
    path, query = request.parameters
    return msgspec.structs.replace(head, path=path, query=query)


def _carried(request: Request) -> bytes:
    """Write trace context and X-Request-Id, of which an empty one is none.

    A trace that cannot be read goes no further, nor does its state.
    """
    fields, lines = request.fields, b""
    if b"traceparent" in fields and (trace := correlation.traceparent(fields[b"traceparent"])) is not None:
        lines = b"traceparent: %b\r\n" % trace
        if b"tracestate" in fields:
            lines += _state(request)
    if said := fields.get(b"x-request-id"):
        lines += b"x-request-id: %b\r\n" % said
    return lines


def _state(request: Request) -> bytes:
    """Write the trace's state, which may have come in several lines, as one."""
    state = b",".join([value for name, value in request.lines if name == b"tracestate" and value])
    return b"tracestate: %b\r\n" % state if state else b""


def _forwarded(request: Request, route: Route) -> tuple[tuple[bytes, bytes], ...]:
    """Keep the producer's headers that at least one target asks for."""
    hop_by_hop = _hop_by_hop(request)
    return tuple(
        (name, value)
        for name, value in request.lines
        if (name in route.forwardable or name.startswith(route.forward_prefixes))
        and headers.settable(name)
        and name not in hop_by_hop
    )


def _hop_by_hop(request: Request) -> frozenset[bytes]:
    """Read the headers that Connection names: they are between the producer and us."""
    named = b",".join(value for name, value in request.lines if name == b"connection")
    return frozenset(one.strip().lower() for one in named.split(b","))


def identity(route: str, source: str, ident: str) -> bytes:
    """Digest what makes an event this event: route, source and id, each after its length, so that none poses as two."""
    text = f"{len(route)}:{route}{len(source)}:{source}{len(ident)}:{ident}"
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
