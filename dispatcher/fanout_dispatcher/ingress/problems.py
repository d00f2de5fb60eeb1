"""Every way in which the data port says no, as RFC 9457 problem details. They are made here and nowhere else.

A Problem is a kind of no (its type URI is documented under the same name in docs/problems.md); calling it with a
sentence makes the Refusal of one request. A fatal one closes the connection: what follows on it cannot be trusted,
or would have to be read only to be thrown away.
"""

import re
import typing

import msgspec

from fanout_dispatcher.values.answers import Turned

MEDIA_TYPE: typing.Final = b"application/problem+json"
BASE: typing.Final = "https://fanout.dev/problems/"

Headers = tuple[tuple[bytes, bytes], ...]
Members = tuple[tuple[str, object], ...]  # of a document beside those of RFC 9457 (its §3.2 allows for them)


class Refusal(msgspec.Struct, frozen=True, kw_only=True):
    """One no: what kind, why exactly, and what else the client should know."""

    problem: "Problem"
    detail: str
    headers: Headers = ()
    fatal: bool = False
    more: Members = ()


class Problem(msgspec.Struct, frozen=True):
    """A kind of no."""

    slug: str
    status: int
    title: str
    fatal: bool = False

    def __call__(self, detail: str, *, headers: Headers = (), fatal: bool = False, more: Members = ()) -> Refusal:
        """Say no to one request, with a sentence."""
        return Refusal(problem=self, detail=detail, headers=headers, fatal=fatal or self.fatal, more=more)


MALFORMED: typing.Final = Problem("malformed-request", 400, "Malformed request", fatal=True)
INVALID_EVENT: typing.Final = Problem("invalid-event", 400, "Not a valid CloudEvent")
INVALID_JSON: typing.Final = Problem("invalid-json", 400, "Not valid JSON")
INVALID_QUERY: typing.Final = Problem("invalid-query", 400, "The query cannot be read")
IDEMPOTENCY_KEY: typing.Final = Problem("idempotency-key", 400, "Idempotency-Key needed")
UNUSABLE_KEY: typing.Final = Problem("idempotency-key", 400, "Idempotency-Key unusable")  # of the same type
NO_KEY: typing.Final = Problem("no-idempotency-key", 422, "No idempotency key in the event")
NO_ROUTE: typing.Final = Problem("no-route", 404, "No route listens here")
NO_EVENT: typing.Final = Problem("no-event", 404, "No such event")
METHOD: typing.Final = Problem("method-not-allowed", 405, "Method not allowed")
TIMEOUT: typing.Final = Problem("request-timeout", 408, "The request took too long to arrive", fatal=True)
BODY_TOO_LARGE: typing.Final = Problem("body-too-large", 413, "Body too large", fatal=True)
CONTENT_ENCODING: typing.Final = Problem("content-encoding", 415, "Content coding not accepted")
EVENT_FORMAT: typing.Final = Problem("event-format", 415, "Event format not accepted")
EXPECTATION: typing.Final = Problem("expectation-failed", 417, "Expectation not met", fatal=True)
HEAD_TOO_LARGE: typing.Final = Problem("head-too-large", 431, "Request head too large", fatal=True)
INTERNAL: typing.Final = Problem("internal-error", 500, "Internal error")
EXPRESSION_FAILED: typing.Final = Problem("expression-failed", 500, "The answer cannot be made")
BUSY: typing.Final = Problem("too-busy", 503, "Too busy", fatal=True)
TARGETS_FAILED: typing.Final = Problem("targets-failed", 502, "Too many targets failed")
TARGETS_HELD: typing.Final = Problem("targets-held", 503, "Targets cannot be asked now")
CIRCUIT_OPEN: typing.Final = Problem("circuit-open", 503, "A target is left alone for now")
SHUTTING_DOWN: typing.Final = Problem("shutting-down", 503, "Shutting down")
TARGETS_TIMEOUT: typing.Final = Problem("targets-timeout", 504, "Targets took too long")
OWNER_AWAY: typing.Final = Problem("owner-away", 503, "The worker that takes these events is away")
VERSION: typing.Final = Problem("http-version", 505, "HTTP version not supported", fatal=True)

ALL: typing.Final = (
    MALFORMED,
    INVALID_EVENT,
    INVALID_JSON,
    INVALID_QUERY,
    IDEMPOTENCY_KEY,
    NO_KEY,
    NO_ROUTE,
    NO_EVENT,
    METHOD,
    TIMEOUT,
    BODY_TOO_LARGE,
    CONTENT_ENCODING,
    EVENT_FORMAT,
    EXPECTATION,
    HEAD_TOO_LARGE,
    INTERNAL,
    EXPRESSION_FAILED,
    BUSY,
    TARGETS_FAILED,
    TARGETS_HELD,
    CIRCUIT_OPEN,
    SHUTTING_DOWN,
    TARGETS_TIMEOUT,
    OWNER_AWAY,
    VERSION,
)

_WORDS: typing.Final = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")


class _Details(msgspec.Struct, kw_only=True, omit_defaults=True):
    """RFC 9457 §3.1, in the order in which people read it."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None


def retry_after(seconds: int) -> Headers:
    """When to come back, as a header."""
    return ((b"retry-after", b"%d" % seconds),)


def turned(outcome: Turned) -> Refusal:
    """Say the engine's no: JournalFull becomes the type ``journal-full``, titled "Journal full"."""
    words = _WORDS.sub(" ", outcome.reason)
    problem = Problem(words.lower().replace(" ", "-"), outcome.status, words.capitalize())
    headers = () if outcome.retry_after is None else retry_after(outcome.retry_after)
    return problem(outcome.detail, headers=headers)


def body(refusal: Refusal, instance: str | None) -> bytes:
    """Write the problem details; *instance* is the path that was asked."""
    problem = refusal.problem
    details = _Details(
        type=BASE + problem.slug,
        title=problem.title,
        status=problem.status,
        detail=refusal.detail,
        instance=instance,
    )
    if not refusal.more:
        return msgspec.json.encode(details)
    return msgspec.json.encode(msgspec.to_builtins(details) | dict(refusal.more))
