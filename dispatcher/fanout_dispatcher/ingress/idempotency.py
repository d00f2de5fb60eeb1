"""Finds the idempotency key of a request, and its fingerprint, on a route that accepts each event once.

The key is the Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header-07), quoted as the draft has it or bare
as most clients send it. A CloudEvent without the header is known by its source and id, by which CloudEvents 1.0 §3.1.1
lets a consumer recognise a duplicate. A plain request with neither is refused: accepted, it could come twice. Where the
route has a keyExpression, that alone gives the key.

The fingerprint says whether a known key has come with the same request: method, path, body, what expressions read of
the query, and of a CloudEvent its id, source and type. What changes from one sending to the next (a trace, a time) is
not in it. Under a keyExpression, id and source are not either: it is there for producers that make new ones each time.
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
    """Put an event that was read from *request* under its key, or say why it has none."""
    event = _is_event(request)
    where = route.source or request.path
    if route.keyed_by is not None:
        key = _worked_out(route.keyed_by, head if event else _nameless(head), body, route)
        if isinstance(key, Refusal):
            return key
        return Keyed(door(route.plan.key), key, _fingerprint(request, head, body, where, head.type), head, body)
    said = request.fields.get(HEADER)
    if said is None:
        if not event:
            return problems.IDEMPOTENCY_KEY("this route takes an event once: send an Idempotency-Key, or a CloudEvent")
        key = digest(b"event", head.identity)
    elif (bare := _read(said)) is not None:
        key = digest(b"key", route.plan.key.encode(), bare)
    else:
        return problems.UNUSABLE_KEY('the Idempotency-Key must be a string such as "8e03978e-40d5-43e8"')
    name = (head.id, head.source, head.type) if event else ()  # the id of a plain request is ours
    return Keyed(door(route.plan.key), key, _fingerprint(request, head, body, where, *name), head, body)


def _fingerprint(request: Request, head: Head, body: bytes, *name: str) -> bytes:
    """Digest what must come again under the key; *name* is the path, and what names the event besides."""
    asked = (part for pair in (*head.path, *head.query) for part in pair)
    return digest(request.method, body, *(one.encode() for one in name), b"", *(one.encode() for one in asked))


def _worked_out(expression: Expression, head: Head, body: bytes, route: Route) -> bytes | Refusal:
    """Evaluate the route's keyExpression: the digest of its value, or why it has none."""
    try:
        key = str(expression.value(facts(expression.reads, head, body)))
    except Failed as why:
        return problems.NO_KEY(f"accept.idempotency.keyExpression: {why}")
    if not key:
        return problems.NO_KEY("accept.idempotency.keyExpression: it gives an empty string, which is no key")
    return digest(b"expression", route.plan.key.encode(), key.encode())


def _nameless(head: Head) -> Head:
    """Take out the id that we made for a plain request: it is another one each time, and so can be part of no key."""
    return msgspec.structs.replace(head, id="", attributes=_ID.sub(b"", head.attributes, count=1))


def _is_event(request: Request) -> bool:
    """Tell whether the request brought a CloudEvent: id, source and type are the producer's then."""
    content_type = request.fields.get(b"content-type", b"")
    return b"ce-id" in request.fields or content_type[: len(cloudevents.STRUCTURED)].lower() == cloudevents.STRUCTURED


def _read(said: bytes) -> bytes | None:
    """Read the header: quoted and bare are the same key."""
    if (quoted := _QUOTED.fullmatch(said)) is not None:
        return _ESCAPED.sub(rb"\1", quoted[1])
    return said if _BARE.fullmatch(said) else None
