"""Which header names are nobody's to set or to forward: one list for the API, the way in and the way out.

The API refuses these names in `headers` and `forwardHeaders` (`texts`). A forwarded prefix (``c*``) can still reach
them, so the data port keeps them back when it takes an event, and the sender leaves them out again when it writes. All
three ask here: what a manifest may name is sent, and what it may not name never is.

Names are in lower case, as the data port has them and as HTTP/2 writes them (RFC 9110 §5.1: case means nothing).
"""

import typing

Names = frozenset[str]

# Of the connection (RFC 9110 §7.6.1) or of the message: HTTP sets them itself.
FRAMING: typing.Final[Names] = frozenset({
    "connection", "content-encoding", "content-length", "expect", "host", "http2-settings", "keep-alive",
    "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
})  # fmt: skip
# Of the producer, or of a manifest that should use authentication.
CREDENTIALS: typing.Final[Names] = frozenset({
    "authorization", "cookie", "cookie2", "proxy-authenticate", "proxy-authorization", "set-cookie",
})  # fmt: skip
# To every target, as they came with the event.
CARRIED: typing.Final[Names] = frozenset({"content-type", "traceparent", "tracestate", "x-request-id"})
# With every answer of the data port.
ANSWERED: typing.Final[Names] = frozenset({
    "date", "preference-applied", "ratelimit", "ratelimit-policy", "x-request-id",
})  # fmt: skip
# Of a target's answer, as far as somebody looks at it.
CAPTURED: typing.Final[Names] = frozenset({
    "age", "cache-control", "content-encoding", "content-language", "content-location", "content-type", "date", "etag",
    "expires", "last-modified", "link", "location", "retry-after", "vary", "x-request-id",
})  # fmt: skip
# With every delivery.
OURS: typing.Final[Names] = frozenset({"idempotency-key"})
OUR_PREFIXES: typing.Final = ("ce-", "fanout-")  # CloudEvents attributes are carried too


def encoded(names: Names) -> frozenset[bytes]:
    """Give *names* as they stand on the wire."""
    return frozenset(name.encode("ascii") for name in names)


_KEPT_BACK: typing.Final = encoded(FRAMING | CREDENTIALS | CARRIED | OURS)
_PREFIXES: typing.Final = tuple(prefix.encode("ascii") for prefix in OUR_PREFIXES)


def settable(name: bytes) -> bool:
    """Say whether a header of this (lower-case) name may be forwarded, or set by a manifest."""
    return name not in _KEPT_BACK and not name.startswith(_PREFIXES)
