"""The circuit breaker, as a policy says it: when to stop asking a target, and when to ask again.

Words and meanings follow resilience4j.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds.kinds import Duration, Enum, Integer
from fanout_crds.objects import Object
from fanout_crds.rules import Rule, as_duration, ordered
from fanout_crds.words import STATUSES_OR_FAULTS, Answer

CircuitMode = Literal["Auto", "ForcedOpen", "ForcedClosed", "DryRun", "Disabled"]
WindowType = Literal["Time", "Count"]


class Window(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Over what the failure rate is taken. Replaced whole, never merged with an inherited one."""

    RULES: ClassVar = (
        Rule(
            "!has(self.duration) || !has(self.type) || self.type == 'Time'",
            "duration goes with type Time",
            lambda it: it.duration is None or it.type in (None, "Time"),
            at="duration",
        ),
        Rule(
            "!has(self.size) || (has(self.type) && self.type == 'Count')",
            "size goes with type Count",
            lambda it: it.size is None or it.type == "Count",
            at="size",
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
        "Time to wait for the verdict of probes that are out; after it the circuit is open again. Unset: 60s.",
    ] = None


class CircuitBreaker(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When to stop asking a target, and when to ask again. While open, durable deliveries are held, not spent.

    Source: resilience4j, whose words these are; that an open circuit holds is our own: it holds a retry
    that is due, too, whatever its wait was to be.
    """

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
            at="minimumCalls",
        ),
    )
    COMPLETE: ClassVar = (
        Rule(
            None,
            "slowCallRateThreshold needs slowCallDuration, which says what a slow call is",
            lambda it: it.slow_call_rate_threshold is None or it.slow_call_duration is not None,
            at="slowCallRateThreshold",
        ),
    )
    mode: Annotated[
        CircuitMode | None,
        Enum(CircuitMode),
        "Auto: as below. ForcedOpen: never asked, deliveries are held. ForcedClosed: always asked, whatever it answers."
        " DryRun: always asked too, while the state that Auto would have is counted and shown. Disabled: always asked,"
        " nothing is counted. Unset: Auto.",
    ] = None
    window: Annotated[
        Window | None,
        Object(Window, whole=True),
        "Over what the failure rate is taken. An inherited one is replaced whole. Unset: as each field says.",
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
    slow_call_duration: Annotated[
        float | None,
        Duration(zero=True),
        "A call that takes longer than this is slow, whether it succeeds or fails. Unset: no call is slow, as with 0s.",
    ] = None
    slow_call_rate_threshold: Annotated[
        int | None,
        Integer(1, 100),
        "Slow calls in percent of the window's calls at which the circuit opens; of the probes, at which it opens"
        " again. Unset: 100.",
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
        STATUSES_OR_FAULTS,
        "What is evidence against the target, written as in retry.on. Unset: 5xx, 429 and every fault; another 4xx is"
        " the caller's fault. []: nothing.",
    ] = None
