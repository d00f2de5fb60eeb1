"""Batched mode: a JSON array of structured events, application/cloudevents-batch+json (JSON format 1.0.2 §4).

Each element holds an event's attributes and its data: byte for byte where they are JSON, as Base64 where they are not.
What a request for that event alone would say in headers is in extension attributes: its Idempotency-Key, the same
through retries and splits, and its trace context (CloudEvents' Distributed Tracing extension). The attempt's number is
left out, so the same events always make the same bytes, and one Idempotency-Key never comes with two bodies.
An X-Request-Id that is no plain word gives way to the event's id, since a header may hold what no attribute may.
"""

import hashlib
import re
import typing
from collections.abc import Sequence

import msgspec

from fanout_dispatcher.transport.request import KEY_BYTES, idempotency_key, keyed_by
from fanout_dispatcher.transport.structured import an_object
from fanout_dispatcher.values.correlation import repeatable, request_id
from fanout_dispatcher.values.event import Event, Head
from fanout_dispatcher.values.facts import attributes_of

MEDIA_TYPE: typing.Final = b"content-type: application/cloudevents-batch+json\r\n"
KEY: typing.Final = "idempotencykey"
_REQUEST_ID: typing.Final = "xrequestid"
_CARRIED: typing.Final = {b"traceparent": "traceparent", b"tracestate": "tracestate", b"x-request-id": _REQUEST_ID}
_LINE: typing.Final = re.compile(rb"^(traceparent|tracestate|x-request-id): ([^\r]*)", re.MULTILINE)


def written(event: Event, target: str) -> bytes:
    """Write *event* as an element of a batch for *target*."""
    head = event.head
    members = {_REQUEST_ID: request_id(head.id).decode()}
    for line, value in _LINE.findall(head.attributes):
        name = _CARRIED[line]
        if name != _REQUEST_ID or repeatable(value):
            members[name] = value.decode("latin-1")
    members |= attributes_of(head.attributes)
    members[KEY] = idempotency_key(keyed_by(target), head.identity).decode("ascii")
    return an_object(members, event.body)


def batched(events: Sequence[Event], parts: Sequence[bytes]) -> Event:
    """Make one event of *events*, for a Template to send; *parts* are what `written` made of each, in their order.

    Its identity is a digest of theirs, and so the Idempotency-Key of the whole follows from exactly these events. It
    was accepted when the oldest of them was, whose time is over first.
    """
    accepted = min(event.accepted for event in events)
    identity = hashlib.blake2b(digest_size=KEY_BYTES)
    for event in events:
        identity.update(event.head.identity)
    head = Head(id="", source="", type="", identity=identity.digest(), attributes=MEDIA_TYPE)
    return msgspec.structs.replace(events[0], accepted=accepted, head=head, body=b"[%b]" % b",".join(parts))
