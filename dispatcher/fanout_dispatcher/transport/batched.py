"""Many events as one: a JSON array of structured events, application/cloudevents-batch+json (JSON format 1.0.2 §4).

Each event stands in it with its attributes, its data byte for byte where they are JSON and as Base64 where they are
not, and what a request of its own would have said of it in headers: its Idempotency-Key, stable through retries and
splits, and its trace context (CloudEvents' Distributed Tracing extension). The number of the attempt is not in it: the
same events make the same bytes, so that the key of the whole, made from theirs, never comes with another body.
"""

import hashlib
import re
import typing
from collections.abc import Sequence

import msgspec

from fanout_dispatcher.transport.request import KEY_BYTES
from fanout_dispatcher.transport.structured import an_object
from fanout_dispatcher.values.event import Event, Head
from fanout_dispatcher.values.facts import attributes_of

MEDIA_TYPE: typing.Final = b"content-type: application/cloudevents-batch+json\r\n"
KEY: typing.Final = "idempotencykey"
_CARRIED: typing.Final = {b"traceparent": "traceparent", b"tracestate": "tracestate", b"x-request-id": "xrequestid"}
_LINE: typing.Final = re.compile(rb"^(traceparent|tracestate|x-request-id): ([^\r]*)", re.MULTILINE)


def written(event: Event, target: str) -> bytes:
    """Write *event* as it stands in a batch for *target*."""
    head = event.head
    members = {_CARRIED[name]: value.decode("latin-1") for name, value in _LINE.findall(head.attributes)}
    members |= attributes_of(head.attributes)
    members[KEY] = _key(target, head.identity)
    return an_object(members, event.body)


def batched(events: Sequence[Event], parts: Sequence[bytes]) -> Event:
    """Make one event of *events*, which are written as *parts*: what a template writes into a request."""
    first = events[0]
    identity = hashlib.blake2b(digest_size=KEY_BYTES)
    for event in events:
        identity.update(event.head.identity)
    head = Head(id="", source="", type="", identity=identity.digest(), attributes=MEDIA_TYPE)
    return msgspec.structs.replace(first, head=head, body=b"[%b]" % b",".join(parts))


def _key(target: str, identity: bytes) -> str:
    """The Idempotency-Key that the event has as a request of its own."""
    return hashlib.blake2b(target.encode() + identity, digest_size=KEY_BYTES).hexdigest()
