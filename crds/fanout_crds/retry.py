"""Retry, as a policy says it: which failures are tried again, how often, when, and how many of them at most.

Meanings follow AWS' "Exponential Backoff And Jitter", Standard Webhooks (schedules) and Finagle (the budget).
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds.kinds import Decimal, Duration, Enum, Integer
from fanout_crds.objects import ListOf, Object
from fanout_crds.rules import Rule, as_duration, ordered, said
from fanout_crds.words import STATUSES, STATUSES_OR_FAULTS, Answer, Switch

BackoffType = Literal["Constant", "Linear", "Exponential", "Schedule"]
Jitter = Literal["None", "Equal", "Full"]
Preset = Literal["StandardWebhooks"]
RetryAfterMode = Literal["Honour", "Ignore"]


class Backoff(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The wait before a retry. Replaced whole, never merged with an inherited one.

    Source: AWS, "Exponential Backoff And Jitter"; schedules are those of Standard Webhooks.
    """

    RULES: ClassVar = (
        ordered("baseDelay", "maxDelay", "baseDelay must not be longer than maxDelay", of=as_duration),
        Rule(
            "!has(self.multiplier) || !has(self.type) || self.type == 'Exponential'",
            "multiplier goes with type Exponential",
            lambda it: it.multiplier is None or it.type in (None, "Exponential"),
            at="multiplier",
        ),
        Rule(
            "!(has(self.schedule) || has(self.preset)) || (has(self.type) && self.type == 'Schedule')",
            "schedule and preset go with type Schedule",
            lambda it: (it.schedule is None and it.preset is None) or it.type == "Schedule",
            places=said("schedule", "preset"),
        ),
        Rule(
            "!has(self.type) || self.type != 'Schedule' || has(self.schedule) != has(self.preset)",
            "type Schedule needs exactly one of schedule and preset",
            lambda it: it.type != "Schedule" or (it.schedule is None) != (it.preset is None),
            at="type",
        ),
        Rule(
            "!has(self.type) || self.type != 'Schedule' || !(has(self.baseDelay) || has(self.maxDelay))",
            "baseDelay and maxDelay do not go with type Schedule, which names each wait",
            lambda it: it.type != "Schedule" or (it.base_delay is None and it.max_delay is None),
            places=said("baseDelay", "maxDelay"),
        ),
    )
    type: Annotated[
        BackoffType | None,
        Enum(BackoffType),
        "How waits grow, before the jitter: Constant (always baseDelay), Linear (baseDelay × retry) or Exponential"
        " (baseDelay × multiplier^(retry − 1)); or Schedule: a list of them. Unset: Exponential.",
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
    schedule: Annotated[
        tuple[float, ...] | None,
        ListOf(item=Duration(), most=64, least=1),
        "The wait before each retry, one after the other. As many retries as waits: after the last one the delivery is"
        " a dead letter with reason AttemptsExhausted. Unset: the preset's.",
    ] = None
    preset: Annotated[
        Preset | None,
        Enum(Preset),
        "A schedule by name. StandardWebhooks: 5s, 5m, 30m, 2h, 5h, 10h, 14h, 20h, 24h, as that specification"
        " recommends; jitter None keeps to it. Unset: the schedule's own waits.",
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


class Budget(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many retries a target gets, as a share of what else it is sent. Beyond it a retry waits; it is not spent.

    First attempts never wait for it. So a dead target is not hammered by what it owes, and a backlog drains at full
    speed once deliveries succeed, after a slow start. Source: the retry budget of Finagle.
    """

    mode: Annotated[Switch | None, Enum(Switch), "Disabled: retries wait for their backoff only. Unset: Enabled."] = (
        None
    )
    percent: Annotated[
        int | None,
        Integer(0, 100),
        "Retries in percent of first attempts; each delivery that succeeds pays for one more. Unset: 20. 0: only"
        " successes and minRetriesPerSecond allow any.",
    ] = None
    min_retries_per_second: Annotated[
        int | None,
        Integer(1, 10_000),
        "Retries per second that are always allowed, per dispatcher, so that a target to which nothing new is sent can"
        " recover too. Unset: 10.",
    ] = None


class Retry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which failures are tried again, how often and when."""

    RULES: ClassVar = (
        Rule(
            "!has(self.maxAttempts) || !has(self.backoff) || !has(self.backoff.type)"
            " || self.backoff.type != 'Schedule'",
            "maxAttempts does not go with a backoff of type Schedule: the length of the schedule says how many attempts"
            " there are",
            lambda it: None in (it.max_attempts, it.backoff) or it.backoff.type != "Schedule",
            at="maxAttempts",
        ),
    )
    max_attempts: Annotated[
        int | None,
        Integer(1, 1000),
        "Attempts in all, the first included; then the delivery is a dead letter with reason AttemptsExhausted. 1: no"
        " retry. Unset: as many as fit into timeouts.total, with a Schedule one more than its waits.",
    ] = None
    backoff: Annotated[
        Backoff | None,
        Object(Backoff, whole=True),
        "The wait before each retry. An inherited one is replaced whole. Unset: as each field says.",
    ] = None
    on: Annotated[
        tuple[Answer, ...] | None,
        STATUSES_OR_FAULTS,
        'What is tried again: statuses (429), classes of them ("5xx") and the faults NameFailure, ConnectFailure,'
        " TlsFailure, Reset, Timeout and ProtocolError; all else is a dead letter at once, reason TargetRejected."
        " Unset: 408, 425, 429, 5xx but 501 and 505, and every fault. []: nothing. In YAML write the key in quotes,"
        ' "on": YAML 1.1 reads a bare on as true.',
    ] = None
    success_on: Annotated[
        tuple[Answer, ...] | None,
        STATUSES,
        "Statuses that count as success besides 2xx, e.g. 409 of a target that already knows the event. Unset: none.",
    ] = None
    give_up_on: Annotated[
        tuple[Answer, ...] | None,
        STATUSES,
        "Statuses that are never tried again, even where `on` has them. Unset: 410.",
    ] = None
    retry_after: Annotated[
        RetryAfter | None, Object(RetryAfter), "What a target's Retry-After header does. Unset: honoured, up to 1h."
    ] = None
    budget: Annotated[
        Budget | None,
        Object(Budget),
        "How many retries the target gets; beyond that a retry waits and is not spent. Unset: 20 percent and 10 per"
        " second.",
    ] = None
