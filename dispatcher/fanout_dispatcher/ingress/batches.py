"""Batched mode: several events in one request, as a JSON array of structured ones (CloudEvents JSON format 1.0.2 §4).

All of them are taken or none is, so one that is wrong refuses them all, by its place in the array. Each is an event of
its own from here on, with its data byte for byte; headers of the request (trace, forwarded ones) go along with each.
"""

import typing

import msgspec

from fanout_dispatcher.ingress import cloudevents
from fanout_dispatcher.ingress.attributes import Invalid
from fanout_dispatcher.ingress.cloudevents import HeadAndBody
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.request import Request

MEDIA_TYPE: typing.Final = b"application/cloudevents-batch+json"
MOST: typing.Final = 1000  # events in one request: some 10 ms of the loop

_NONE: typing.Final = msgspec.Raw(b"")
# A place for each event and one more, by which too many are known: what lies beyond is skipped and never built, where a
# list would make 30 million objects of a body of zeros.
_Places: typing.Final = msgspec.defstruct(
    "_Places", [(f"event{place}", msgspec.Raw, _NONE) for place in range(MOST + 1)], array_like=True
)
_decode: typing.Final = msgspec.json.Decoder(_Places).decode


def is_batch(content_type: bytes) -> bool:
    """Tell whether a request with this content type brings several events."""
    return content_type.partition(b";")[0].strip().lower() == MEDIA_TYPE


def read(request: Request, route: Route) -> list[HeadAndBody]:
    """Take a batch apart. Raises Invalid or NotJson with a sentence."""
    cloudevents.check_json(request)
    try:
        found = [bytes(one) for one in msgspec.structs.astuple(_decode(request.body)) if one is not _NONE]
    except msgspec.ValidationError:
        raise Invalid("a batch is a JSON array of structured events") from None
    if len(found) > MOST:
        raise Invalid(f"a batch has at most {MOST} events")
    return [_event(place, one, request, route) for place, one in enumerate(found)]


def _event(place: int, body: bytes, request: Request, route: Route) -> HeadAndBody:
    try:
        return cloudevents.from_json(body, request, route)
    except Invalid as wrong:
        raise Invalid(f"event {place} of the batch: {wrong}") from None
