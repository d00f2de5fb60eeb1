"""A Policy: how patiently a target is served. The same one stands under `defaults` and under each target.

Every field is optional and unset by default, also in the CRD: a default there would mask what the route says. What
unset means in the end stands in each field's sentence and, as values, in `builtin.py`.
Meanings follow resilience4j (circuit breaker, bulkhead), Envoy and AWS' "Exponential Backoff And Jitter" (retries).
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds.kinds import Answers, Decimal, Duration, Enum, Integer, Quantity
from fanout_crds.objects import ListOf, Object
from fanout_crds.rules import Rule, as_duration, ordered

BackoffType = Literal["Constant", "Linear", "Exponential"]
Jitter = Literal["None", "Equal", "Full"]
RetryAfterMode = Literal["Honour", "Ignore"]
CircuitMode = Literal["Auto", "Disabled"]
WindowType = Literal["Time", "Count"]
QueueFull = Literal["Reject", "DeadLetter"]
DeadLettersFull = Literal["Reject", "DropOldest"]
Answer = tuple[int, int] | str  # an inclusive range of statuses, or the name of a fault

_STATUSES = ListOf(item=Answers(), most=64)
_STATUSES_OR_FAULTS = ListOf(item=Answers(faults=True), most=64)


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long a connection, an attempt and the whole delivery may take."""

    RULES: ClassVar = (
        Rule(
            "!has(self.attempt) || !has(self.total) || duration(self.total) == duration('0s')"
            " || duration(self.attempt) <= duration(self.total)",
            "attempt must not be longer than total",
            lambda at: not at.attempt or not at.total or at.attempt <= at.total,
        ),
    )
    connect: Annotated[
        float | None, Duration(), "Time to connect, TLS included. Unset: 2s. It never outlasts the attempt's time."
    ] = None
    attempt: Annotated[
        float | None,
        Duration(zero=True),
        "Time for one attempt, from connecting to the answer's last byte. Unset: 10s. 0s: no limit.",
    ] = None
    total: Annotated[
        float | None,
        Duration(zero=True),
        "Time for the whole delivery, every attempt and wait and every time it was held included; past it the delivery"
        " is a dead letter with reason Expired. Unset: 24h, with durability Memory 30s. 0s: no limit.",
    ] = None


class Backoff(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The wait before a retry. Replaced whole, never merged with an inherited one."""

    RULES: ClassVar = (
        ordered("baseDelay", "maxDelay", "baseDelay must not be longer than maxDelay", of=as_duration),
        Rule(
            "!has(self.multiplier) || !has(self.type) || self.type == 'Exponential'",
            "multiplier goes with type Exponential",
            lambda it: it.multiplier is None or it.type in (None, "Exponential"),
        ),
    )
    type: Annotated[
        BackoffType | None,
        Enum(BackoffType),
        "How waits grow: Constant (always baseDelay), Linear (baseDelay × retry) or Exponential (baseDelay ×"
        " multiplier^(retry − 1)). Unset: Exponential.",
    ] = None
    base_delay: Annotated[
        float | None, Duration(), "The wait before the first retry. Unset: 500ms, or maxDelay when that is shorter."
    ] = None
    multiplier: Annotated[
        float | None,
        Decimal(1, 100),
        'What each Exponential wait is multiplied by, 1 to 100, e.g. 2 or "1.5". Unset: 2.',
    ] = None
    max_delay: Annotated[
        float | None,
        Duration(),
        "The longest wait, taken before the jitter. Unset: 5m, or baseDelay when that is longer.",
    ] = None
    jitter: Annotated[
        Jitter | None,
        Enum(Jitter),
        "How a wait is spread by chance: Full (0 to all of it), Equal (half of it to all of it) or None. Unset: Full.",
    ] = None


class RetryAfter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What a target's Retry-After header does (RFC 9110 §10.2.3: seconds or a date)."""

    mode: Annotated[
        RetryAfterMode | None,
        Enum(RetryAfterMode),
        "Honour: wait for the longer of Retry-After and the backoff. Ignore: only the backoff. Unset: Honour.",
    ] = None
    max: Annotated[
        float | None, Duration(), "The longest Retry-After that is honoured; longer ones count as this. Unset: 1h."
    ] = None


class Retry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which failures are tried again, how often and when."""

    max_attempts: Annotated[
        int | None,
        Integer(1, 1000),
        "Attempts in all, the first included; then the delivery is a dead letter with reason AttemptsExhausted. 1: no"
        " retry. Unset: as many as fit into timeouts.total.",
    ] = None
    backoff: Annotated[
        Backoff | None, Object(Backoff, whole=True), "The wait before each retry. An inherited one is replaced whole."
    ] = None
    on: Annotated[
        tuple[Answer, ...] | None,
        _STATUSES_OR_FAULTS,
        'What is tried again: statuses (429), classes of them ("5xx") and the faults NameFailure, ConnectFailure,'
        " TlsFailure, Reset, Timeout and ProtocolError; all else is a dead letter at once, reason TargetRejected."
        " Unset: 408, 425, 429, 5xx but 501 and 505, and every fault. []: nothing. In YAML write the key in quotes,"
        ' "on": YAML 1.1 reads a bare on as true.',
    ] = None
    success_on: Annotated[
        tuple[Answer, ...] | None,
        _STATUSES,
        "Statuses that count as success besides 2xx, e.g. 409 of a target that already knows the event. Unset: none.",
    ] = None
    give_up_on: Annotated[
        tuple[Answer, ...] | None,
        _STATUSES,
        "Statuses that are never tried again, even where `on` has them. Unset: 410.",
    ] = None
    retry_after: Annotated[
        RetryAfter | None, Object(RetryAfter), "What a target's Retry-After header does. Unset: honoured, up to 1h."
    ] = None


class Window(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Over what the failure rate is taken. Replaced whole, never merged with an inherited one."""

    RULES: ClassVar = (
        Rule(
            "!has(self.duration) || !has(self.type) || self.type == 'Time'",
            "duration goes with type Time",
            lambda it: it.duration is None or it.type in (None, "Time"),
        ),
        Rule(
            "!has(self.size) || (has(self.type) && self.type == 'Count')",
            "size goes with type Count",
            lambda it: it.size is None or it.type == "Count",
        ),
    )
    type: Annotated[
        WindowType | None, Enum(WindowType), "Time: the last `duration`. Count: the last `size` calls. Unset: Time."
    ] = None
    duration: Annotated[float | None, Duration(), "Length of a Time window, kept in ten buckets. Unset: 30s."] = None
    size: Annotated[int | None, Integer(1, 10_000), "Calls in a Count window. Unset: 100."] = None


class HalfOpen(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a circuit tries whether its target is well again."""

    RULES: ClassVar = (
        ordered(
            "successThreshold",
            "maxCalls",
            "successThreshold must not be more than maxCalls: the circuit could never close",
        ),
    )
    max_calls: Annotated[
        int | None,
        Integer(1, 1000),
        "Probes let through while half-open. Unset: 3, or successThreshold when that is more.",
    ] = None
    success_threshold: Annotated[
        int | None,
        Integer(1, 1000),
        "Probes that must succeed to close the circuit. Unset: 3, or maxCalls when that is less.",
    ] = None
    max_wait: Annotated[
        float | None,
        Duration(),
        "Time to wait for the probes' verdict; after it the circuit is open again. Unset: 60s.",
    ] = None


class CircuitBreaker(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When to stop asking a target, and when to ask again. While open, durable deliveries are held, not spent."""

    RULES: ClassVar = (
        ordered(
            "openDuration", "maxOpenDuration", "openDuration must not be longer than maxOpenDuration", of=as_duration
        ),
        Rule(
            "!has(self.minimumCalls) || !has(self.window) || !has(self.window.size)"
            " || self.minimumCalls <= self.window.size",
            "minimumCalls must not be more than window.size: the rate would never be taken",
            lambda it: (
                None in (it.minimum_calls, it.window, it.window and it.window.size)
                or it.minimum_calls <= it.window.size
            ),
        ),
    )
    mode: Annotated[
        CircuitMode | None, Enum(CircuitMode), "Auto: as below. Disabled: the target is always asked. Unset: Auto."
    ] = None
    window: Annotated[
        Window | None,
        Object(Window, whole=True),
        "Over what the failure rate is taken. An inherited one is replaced whole.",
    ] = None
    minimum_calls: Annotated[
        int | None,
        Integer(1, 10_000),
        "Calls the window must hold before its rate means anything. Unset: 20, or window.size when that is less.",
    ] = None
    failure_rate_threshold: Annotated[
        int | None, Integer(1, 100), "Failures in percent of the window's calls at which the circuit opens. Unset: 50."
    ] = None
    consecutive_failures: Annotated[
        int | None,
        Integer(0, 10_000),
        "Failures in a row at which the circuit opens, whatever the rate. Unset: 5. 0: only the rate counts.",
    ] = None
    open_duration: Annotated[
        float | None,
        Duration(),
        "How long an open circuit waits for its first probe; doubled after each failed one. Unset: 30s, or"
        " maxOpenDuration when that is shorter.",
    ] = None
    max_open_duration: Annotated[
        float | None,
        Duration(),
        "The longest an open circuit waits for its next probe. Unset: 5m, or openDuration when that is longer.",
    ] = None
    half_open: Annotated[
        HalfOpen | None,
        Object(HalfOpen),
        "How the circuit tries whether the target is well again. Unset: 3 probes, all good.",
    ] = None
    fail_on: Annotated[
        tuple[Answer, ...] | None,
        _STATUSES_OR_FAULTS,
        "What is evidence against the target, written as in retry.on. Unset: 5xx, 429 and every fault; another 4xx is"
        " the caller's fault. []: nothing.",
    ] = None


class Bulkhead(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much of a dispatcher one target may occupy."""

    max_concurrent: Annotated[
        int | None, Integer(1, 4096), "Attempts in flight to the target at once, per dispatcher. Unset: 64."
    ] = None


class Queue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one target may keep waiting."""

    max_bytes: Annotated[
        int | None, Quantity(), "Bytes of event bodies that may wait for the target. Unset: a quarter of the journal."
    ] = None
    on_full: Annotated[
        QueueFull | None,
        Enum(QueueFull),
        "Reject: the route answers 503 and names the target. DeadLetter: this target's delivery becomes a dead letter"
        " (QueueFull) and its siblings go on. Unset: Reject.",
    ] = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How dead letters are kept for replay."""

    keep: Annotated[float | None, Duration(), "How long a dead letter is kept. Unset: 168h."] = None
    max_bytes: Annotated[int | None, Quantity(), "Bytes of bodies of the dead letters kept. Unset: 1Gi."] = None
    on_full: Annotated[
        DeadLettersFull | None,
        Enum(DeadLettersFull),
        "Reject: the route answers 503 until there is room. DropOldest: the oldest go, and are counted. Unset: Reject.",
    ] = None


class Policy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Timeouts, retries, circuit breaker, bulkhead, queue and dead letters of a target."""

    timeouts: Annotated[
        Timeouts | None, Object(Timeouts), "How long a connection, an attempt and a delivery may take."
    ] = None
    retry: Annotated[Retry | None, Object(Retry), "Which failures are tried again, how often and when."] = None
    circuit_breaker: Annotated[
        CircuitBreaker | None,
        Object(CircuitBreaker),
        "When to stop asking the target. While the circuit is open deliveries are held, in order; nothing is spent.",
    ] = None
    bulkhead: Annotated[Bulkhead | None, Object(Bulkhead), "How much of a dispatcher the target may occupy."] = None
    queue: Annotated[Queue | None, Object(Queue), "What the target may keep waiting."] = None
    dead_letter: Annotated[
        DeadLetter | None, Object(DeadLetter), "How deliveries that were given up are kept for replay."
    ] = None


POLICY = Object(Policy)
