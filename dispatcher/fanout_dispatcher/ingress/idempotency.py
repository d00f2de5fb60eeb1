"""Which key a request comes under, on a route that accepts each event once.

The key is the Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header-07), quoted as the draft has it or bare
as most clients send it. A CloudEvent without the header has a key all the same: its source and id, by which CloudEvents
1.0 §3.1.1 lets a consumer know a duplicate. A plain request with neither is refused: taken, it would be what its route
says cannot happen. A route may say itself, by an expression, what the key is; then none of this counts.

The fingerprint is of method, path and body, of what expressions read of the query, and of the attributes that make an
event this one. What changes from one sending to the next (a trace, a time) is not in it; nor, under an expression, are
id and source: that is there for producers that make new ones at each try.
"""

import re
import typing

import msgspec

from fanout_crds.expressions import Expression, Failed
from fanout_dispatcher.ingress import cloudevents, problems
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.facts import facts
from fanout_dispatcher.values.keyed import Keyed, digest, door

HEADER: typing.Final = b"idempotency-key"
_QUOTED: typing.Final = re.compile(rb'"((?:[ !#-\[\]-~]|\\["\\])+)"(?:[ ]*;.*)?')  # RFC 9651 §3.3.3, with parameters
_BARE: typing.Final = re.compile(rb"[!#-~][ -~]*")
_ID: typing.Final = re.compile(rb"^ce-id:[^\r]*\r\n", re.MULTILINE)
_ESCAPED: typing.Final = re.compile(rb'\\(["\\])')


def keyed(request: Request, head: Head, body: bytes, route: Route) -> Keyed | Refusal:
    """Put an event that was read from *request* under its key."""
    event = _is_event(request)
    if route.keyed_by is not None:
        key = _worked_out(route.keyed_by, head if event else _nameless(head), body, route)
        if isinstance(key, Refusal):
            return key
        return Keyed(door(route.plan.key), key, _fingerprint(request, head, body, head.type), head, body)
    said = request.fields.get(HEADER)
    if said is None:
        if not event:
            return problems.IDEMPOTENCY_KEY("this route takes an event once: send an Idempotency-Key, or a CloudEvent")
        key = digest(b"event", head.identity)
    elif (bare := _read(said)) is not None:
        key = digest(b"key", route.plan.key.encode(), bare)
    else:
        return problems.IDEMPOTENCY_KEY('the Idempotency-Key must be a string such as "8e03978e-40d5-43e8"')
    name = (head.id, head.source, head.type) if event else (head.source,)  # of a plain request, its path
    return Keyed(door(route.plan.key), key, _fingerprint(request, head, body, *name), head, body)


def _fingerprint(request: Request, head: Head, body: bytes, *name: str) -> bytes:
    """Digest what must come again under the key: the body, what names the event, and what it was asked for."""
    asked = (part for pair in (*head.path, *head.query) for part in pair)
    return digest(request.method, body, *(one.encode() for one in name), b"", *(one.encode() for one in asked))


def _worked_out(expression: Expression, head: Head, body: bytes, route: Route) -> bytes | Refusal:
    """Find the key that the route's own expression gives."""
    try:
        key = str(expression.value(facts(expression.reads, head, body)))
    except Failed as why:
        return problems.NO_KEY(f"accept.idempotency.keyExpression: {why}")
    if not key:
        return problems.NO_KEY("accept.idempotency.keyExpression: it gives an empty string, which is no key")
    return digest(b"expression", route.plan.key.encode(), key.encode())


def _nameless(head: Head) -> Head:
    """Take away the id that we made: it is another one for each try, so as a key it would never be known again."""
    return msgspec.structs.replace(head, attributes=_ID.sub(b"", head.attributes, count=1))


def _is_event(request: Request) -> bool:
    """Tell whether id, source and type are the producer's."""
    content_type = request.fields.get(b"content-type", b"")
    return b"ce-id" in request.fields or content_type[: len(cloudevents.STRUCTURED)].lower() == cloudevents.STRUCTURED


def _read(said: bytes) -> bytes | None:
    """Read the header: quoted and bare are the same key."""
    if (quoted := _QUOTED.fullmatch(said)) is not None:
        return _ESCAPED.sub(rb"\1", quoted[1])
    return said if _BARE.fullmatch(said) else None
