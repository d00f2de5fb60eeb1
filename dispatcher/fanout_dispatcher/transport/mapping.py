"""A request whose method, path, query, headers and body are mapped from the event, as the manifest says.

This is the template of targets with a `request`; all others have the plain one (`request.Template`). The value of an
expression is data, and data must not change which resource is requested: a path is percent-encoded, so that no value
adds a query, a segment or a step upwards; a header holds visible ASCII; a body is JSON. Where a value does not fit,
rendering raises Unmade: no request is sent, and the delivery is a dead letter with that sentence.

Compensations are written here too, with or without a mapping: `Fanout-Compensates` names the Idempotency-Key of the
request that is undone, so that the target can refuse that request if it arrives later.
"""

import re
import typing
import urllib.parse

import msgspec

from fanout_crds import expressions
from fanout_crds.expressions import Activation, Expression, Failed, Scope
from fanout_crds.headers import settable
from fanout_crds.plan import Mapping, Target, Value
from fanout_dispatcher.transport.headers import Blocks, Illegal, is_name
from fanout_dispatcher.transport.origin import Origin
from fanout_dispatcher.transport.request import Request, Template, bearer, idempotency_key, keyed_by, literal
from fanout_dispatcher.transport.structured import structured
from fanout_dispatcher.values.earlier import NOTHING_YET, Earlier, unpacked
from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.facts import facts
from fanout_dispatcher.values.fieldtext import NotAHeader, header, text
from fanout_dispatcher.values.jsonvalue import NotJson, written

LARGEST: typing.Final = 1 << 20  # bytes of a body that an expression makes
LONGEST: typing.Final = 8192  # bytes of a request target, as servers take it
_PLAIN: typing.Final = "!$&'()*+,;=:@"  # what a segment may hold besides letters, digits and -._~ (RFC 3986 §3.3)
_OTHERS_DATA: typing.Final = re.compile(rb"^(?:content-type|ce-dataschema):[^\r]*\r\n", re.MULTILINE)
_NO_BODY: typing.Final = frozenset({"GET", "DELETE"})
AS_IT_CAME: typing.Final = Mapping(method="POST")  # of a compensation whose manifest maps nothing
_JSON: typing.Final = b"content-type: application/json\r\n"


class Unmade(ValueError):
    """No request can be made of this event; the text is a sentence with the field."""


class Mapped:
    """One target's mapping, compiled. Raises Illegal for headers that cannot be sent, Unusable for an expression."""

    __slots__ = ("_blocks", "_body", "_bodyless", "_fixed", "_headers", "_key", "_method", "_path", "_plain", "_query",
                 "_reads", "_structured", "_told", "_undone", "_url")  # fmt: skip

    def __init__(self, target: Target, origin: Origin, *, token: bytes | None, blocks: Blocks) -> None:
        mapping = target.mapping or AS_IT_CAME
        self._plain = Template(_named(target, mapping), origin, token=token, blocks=blocks)  # forwards, and checks
        self._blocks = blocks
        self._method = mapping.method.encode()
        self._bodyless = mapping.method in _NO_BODY
        path, _, query = origin.path.partition(b"?")
        self._url = path, query
        self._path = _compiled(mapping.path, expressions.PATH)
        self._query = [(one, _compiled(one.expression, expressions.VALUE)) for one in mapping.query]
        self._headers = [_header(one) for one in mapping.headers]
        self._body = _compiled(mapping.body, expressions.BODY)
        self._fixed = _fixed(target, origin, token)
        self._structured = mapping.structured
        self._key = keyed_by(target.name)
        self._undone = keyed_by(target.compensates) if target.compensates else None
        asked = [self._path, self._body, *(one for _, one in self._query), *(one for _, one in self._headers)]
        self._reads = expressions.together(one.reads for one in asked if one is not None)
        self._told = "targets" in self._reads.variables

    def render(self, event: Event, number: int, earlier: Earlier = NOTHING_YET) -> Request:
        """Write the request for attempt *number* of *event*. Raises Unmade, or Illegal as a Template does."""
        head = event.head
        lines = self._blocks.leaving(head)
        if self._told and head.earlier:
            earlier = unpacked(head.earlier)
        try:
            activation = facts(self._reads, head, event.body, earlier.read(self._reads.targets))
        except Failed as why:
            raise Unmade(f"request: {why}") from None
        attributes, body = self._content(lines, event.body, activation)
        parts = [
            b"%b %b HTTP/1.1\r\n" % (self._method, self._target(activation)),
            self._fixed,
            *self._lines(activation),
            attributes,
            self._plain.forward(head.forwarded),
            self._tail(head.identity, number, body),
        ]
        return b"".join(parts), body

    def _target(self, activation: Activation) -> bytes:
        path, query = self._url
        if self._path is not None:
            path = _written_path(_value(self._path, activation, "request.pathExpression"))
        pairs = [query] if query else []
        for place, (one, expression) in enumerate(self._query):
            field = f"request.query[{place}].valueExpression"
            value = one.value if expression is None else text(_value(expression, activation, field))
            if value is not None:
                pairs.append(b"%b=%b" % (_quoted(one.name), _quoted(value)))
        whole = b"?".join((path, b"&".join(pairs))) if pairs else path
        if len(whole) > LONGEST:
            raise Unmade(f"request: path and query have {len(whole)} bytes, {LONGEST} may be")
        return whole

    def _lines(self, activation: Activation) -> typing.Iterator[bytes]:
        for name, expression in self._headers:
            field = f"request.headers[{name.decode()}].valueExpression"
            try:
                value = header(_value(expression, activation, field))
            except NotAHeader as why:
                raise Unmade(f"{field}: {why}") from None
            if value is not None:
                yield b"%b: %b\r\n" % (name, value)

    def _content(self, attributes: bytes, body: bytes, activation: Activation) -> tuple[bytes, bytes]:
        """Give the event's own header block and the body, as they are sent."""
        if self._body is not None:
            field = "request.bodyExpression"
            try:
                body = written(_value(self._body, activation, field))
            except NotJson as why:
                raise Unmade(f"{field}: {why}") from None
            if len(body) > LARGEST:
                raise Unmade(f"{field}: it makes a body of {len(body)} bytes, {LARGEST} may be")
            return _OTHERS_DATA.sub(b"", attributes) + _JSON, body
        if self._structured:
            return structured(attributes, body)
        if self._bodyless:
            return _OTHERS_DATA.sub(b"", attributes), b""
        return attributes, body

    def _tail(self, identity: bytes, number: int, body: bytes) -> bytes:
        lines = b"fanout-attempt: %d\r\nidempotency-key: %b\r\n" % (number, idempotency_key(self._key, identity))
        if self._undone is not None:
            lines += b"fanout-compensates: %b\r\n" % idempotency_key(self._undone, identity)
        length = b"" if self._bodyless and not body else b"content-length: %d\r\n" % len(body)
        return b"%b%b\r\n" % (lines, length)


def _named(target: Target, mapping: Mapping) -> Target:
    """Add the headers that expressions set to the target's own, so that no forwarded one is sent beside them."""
    return msgspec.structs.replace(target, headers=(*target.headers, *((one.name, "") for one in mapping.headers)))


def _fixed(target: Target, origin: Origin, token: bytes | None) -> bytes:
    """Write Host, the headers that stand as they are, and the credential."""
    lines = [b"host: %b\r\n" % origin.authority, *(b"%b: %b\r\n" % header for header in literal(target))]
    if token is not None:
        lines.append(b"authorization: Bearer %b\r\n" % bearer(token))
    return b"".join(lines)


def _header(one: Value) -> tuple[bytes, Expression]:
    name = one.name.lower().encode()
    if not is_name(name) or not settable(name):
        raise Illegal(f"the header {one.name} is not one that a manifest may set")
    return name, expressions.compile(one.expression or "", expressions.VALUE)


def _compiled(text: str | None, scope: Scope) -> Expression | None:
    return None if text is None else expressions.compile(text, scope)


def _value(expression: Expression, activation: Activation, field: str) -> object:
    try:
        return expression.value(activation)
    except Failed as why:
        raise Unmade(f"{field}: {why}") from None


def _written_path(value: object) -> bytes:
    """Write a path: of a list its segments, of a string the whole."""
    field = "request.pathExpression"
    match value:
        case str() if value.startswith("/"):
            segments = value[1:].split("/")
        case str():
            raise Unmade(f"{field}: a path starts with /; segments without slashes are written as a list")
        case list() if value and all(isinstance(one, str) and one for one in value):
            segments = value
        case _:
            raise Unmade(f"{field}: it must give a string, or a list of strings that are not empty")
    if not {".", ".."}.isdisjoint(segments):
        raise Unmade(f'{field}: "." and ".." are no segments of a path: they would lead elsewhere')
    return "".join(f"/{urllib.parse.quote(one, safe=_PLAIN)}" for one in segments).encode("ascii")


def _quoted(text: str) -> bytes:
    return urllib.parse.quote(text, safe="").encode("ascii")
