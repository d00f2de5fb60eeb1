"""The front door of a route: which events are taken, and how fast.

What is refused here is refused before anything is written, in a problem document (docs/problems.md). Each part that is
unset is off, and costs nothing.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.expressions import KEY, ExpressionText
from fanout_crds.kinds import Duration, Enum, Integer, Quantity
from fanout_crds.objects import Object
from fanout_crds.respond import settled
from fanout_crds.rules import Rule

LONGEST_TTL = 168 * 3600.0  # seconds
Batches = Literal["Refuse", "Accept"]
KeyType = Literal["Route", "Client", "Header"]


class RateKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who shares a limit."""

    RULES: ClassVar = (
        Rule(
            "has(self.header) == (self.type == 'Header')",
            "header is needed with type Header, and goes with no other",
            lambda key: (key.header is not None) == (key.type == "Header"),
            at="header",
        ),
    )
    type: Annotated[
        KeyType,
        Enum(KeyType),
        "Route: all requests together. Client: those of one address, with IPv6 of one /64; behind a proxy it is the"
        " proxy's. Header: those with one value of a header; those without it are one too.",
    ]
    header: Annotated[
        str | None,
        texts.KeyHeader,
        "Name of the header, in any case, with type Header: one that a gateway in front sets, for a producer could make"
        " values up. Unset: with the other types.",
    ] = None


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How fast events may come in. A request beyond it is answered 429 with Retry-After, and nothing of it is kept.

    In any time t no more than requests × t / per + burst are let in for one key, per dispatcher. Each answer tells what
    is left in RateLimit and RateLimit-Policy (draft-ietf-httpapi-ratelimit-headers).
    Source: the token bucket, as in Envoy's local rate limit.
    """

    requests: Annotated[int, Integer(1, 1_000_000), "Requests that are let in, per key, in the time of per."]
    per: Annotated[float | None, Duration(), "The time that requests are counted over. Unset: 1s."] = None
    burst: Annotated[
        int | None,
        Integer(1, 1_000_000),
        "Requests that are let in at once after a quiet time. Unset: as many as requests says.",
    ] = None
    key: Annotated[RateKey | None, Object(RateKey), "Who shares the limit. Unset: type Route."] = None


class Idempotency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a route knows that an event has come before. Then the first answer is given again and nothing is delivered.

    The key is the Idempotency-Key header (draft-ietf-httpapi-idempotency-key-header); a CloudEvent without it is known
    by its source and id, and any other request without it is answered 400. The same key with another event is answered
    422; with respond.mode Settled, one whose first request waits still 409, and later what that was answered. Keys are
    written with their event, so they hold across a crash. Of several workers one takes all events of such a route.
    """

    RULES: ClassVar = (
        Rule(
            "!has(self.ttl) || duration(self.ttl) <= duration('168h')",
            "ttl must not be longer than 168h",
            lambda it: it.ttl is None or it.ttl <= LONGEST_TTL,
            at="ttl",
        ),
    )
    key_expression: Annotated[
        str | None,
        ExpressionText(KEY),
        "The key as an expression in CEL over event, data, headers, path and query that gives a string, in place of"
        " header and id. Where it gives none for a request, that one is answered 422. Unset: the header, or source and"
        " id.",
    ] = None
    ttl: Annotated[
        float | None, Duration(), "How long an event is known again, from its acceptance on, up to 168h. Unset: 24h."
    ] = None
    max_keys: Annotated[
        int | None,
        Integer(1, 10_000_000),
        "Keys kept, some 150 bytes each in the journal; beyond it the oldest go, within seconds. Unset: 1000000.",
    ] = None


class Accept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which events are taken."""

    RULES: ClassVar = (
        Rule(
            "!has(self.idempotency) || !has(self.batches) || self.batches == 'Refuse'",
            "batches: Accept does not go with idempotency, which knows a request by one key",
            lambda it: it.idempotency is None or it.batches != "Accept",
            at="batches",
        ),
    )
    max_body_size: Annotated[
        int | None,
        Quantity(most="64Mi"),
        "The largest body, in bytes, up to 64Mi; a larger one is answered 413. Unset: 1Mi.",
    ] = None
    rate_limit: Annotated[
        RateLimit | None,
        Object(RateLimit),
        "How fast events may come in; beyond it a request is answered 429. Unset: no limit.",
    ] = None
    batches: Annotated[
        Batches | None,
        Enum(Batches),
        "Accept: CloudEvents batched JSON (application/cloudevents-batch+json) is taken too, up to 1000 events in a"
        " request and maxBodySize for all of it; all of them are accepted or none. Unset: Refuse, answered 415.",
    ] = None
    idempotency: Annotated[
        Idempotency | None,
        Object(Idempotency),
        "Accept each event once, known by its key. {}: as each field says. Unset: what comes twice is accepted twice.",
    ] = None


UNATTENDED = Rule(  # of a whole spec: a batch is answered with receipts, not with what targets said
    "!has(self.accept) || !has(self.respond) || !has(self.respond.mode) || self.respond.mode != 'Settled'"
    " || !has(self.accept.batches) || self.accept.batches == 'Refuse'",
    "accept.batches: Accept goes with respond.mode Accepted only",
    lambda spec: not (spec.accept and settled(spec)) or spec.accept.batches != "Accept",
    at="accept.batches",
)
