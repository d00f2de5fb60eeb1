"""The front door of a route: which events are taken, and how fast.

What is refused here is refused before anything is written, in a problem document (docs/problems.md). Each part that is
unset is off, and costs nothing.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.kinds import Duration, Enum, Integer, Quantity
from fanout_crds.objects import Object
from fanout_crds.rules import Rule

KeyType = Literal["Route", "Client", "Header"]


class RateKey(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Who shares a limit."""

    RULES: ClassVar = (
        Rule(
            "has(self.header) == (self.type == 'Header')",
            "header is needed with type Header, and goes with no other",
            lambda key: (key.header is not None) == (key.type == "Header"),
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


class Accept(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which events are taken."""

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
