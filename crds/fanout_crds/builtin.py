"""What a policy means in the end: the built-in defaults, and the complete policy of a plan made from what was said.

A built-in default gives way to what somebody said beside it (an openDuration of 10m raises an unset maxOpenDuration to
10m), so that stating one field never makes a manifest wrong. The figures are those of the policy's sentences.
"""

import typing
from collections.abc import Iterable

from fanout_crds import plan, policy
from fanout_crds.kinds import FAULT_NAMES

MINUTE: typing.Final = 60.0
HOUR: typing.Final = 3600.0
KIB: typing.Final = 1024

TOTAL: typing.Final = {"Journal": 24 * HOUR, "Memory": 30.0}
MAX_BODY_SIZE: typing.Final = KIB**2
RETRY_ON: typing.Final[tuple[policy.Answer, ...]] = (
    *((one, one) for one in (408, 425, 429, 500)),
    (502, 504),
    (506, 599),
    *FAULT_NAMES,
)
GIVE_UP_ON: typing.Final[tuple[policy.Answer, ...]] = ((410, 410),)
FAIL_ON: typing.Final[tuple[policy.Answer, ...]] = ((429, 429), (500, 599), *FAULT_NAMES)

T = typing.TypeVar("T")


def complete(said: policy.Policy, durability: str) -> plan.Policy:
    """Fill what nobody said."""
    return plan.Policy(
        timeouts=_timeouts(said.timeouts or policy.Timeouts(), durability),
        retry=_retry(said.retry or policy.Retry()),
        circuit_breaker=_circuit_breaker(said.circuit_breaker or policy.CircuitBreaker()),
        bulkhead=plan.Bulkhead(max_concurrent=_or((said.bulkhead or policy.Bulkhead()).max_concurrent, 64)),
        queue=_queue(said.queue or policy.Queue()),
        dead_letter=_dead_letter(said.dead_letter or policy.DeadLetter()),
    )


def _or(said: T | None, default: T) -> T:
    """Take what was said, also an honest 0 or an empty list."""
    return default if said is None else said


def _timeouts(said: policy.Timeouts, durability: str) -> plan.Timeouts:
    """The defaults of attempt and total give way to each other; connect never outlasts the attempt anyway."""
    total = _or(said.total, max(TOTAL[durability], said.attempt or 0))
    attempt = _or(said.attempt, min(10.0, total or 10.0))
    connect = _or(said.connect, 2.0)
    return plan.Timeouts(connect=min(connect, attempt or connect), attempt=attempt, total=total)


def _retry(said: policy.Retry) -> plan.Retry:
    after = said.retry_after or policy.RetryAfter()
    on = _or(said.on, RETRY_ON)
    return plan.Retry(
        max_attempts=said.max_attempts,
        backoff=_backoff(said.backoff or policy.Backoff()),
        on_status=_statuses(on),
        on_fault=_faults(on),
        success_on=_statuses(_or(said.success_on, ())),
        give_up_on=_statuses(_or(said.give_up_on, GIVE_UP_ON)),
        retry_after=_or(after.mode, "Honour") == "Honour",
        retry_after_max=_or(after.max, HOUR),
    )


def _backoff(said: policy.Backoff) -> plan.Backoff:
    longest = _or(said.max_delay, max(5 * MINUTE, said.base_delay or 0))
    return plan.Backoff(
        type=_or(said.type, "Exponential"),
        base_delay=_or(said.base_delay, min(0.5, longest)),
        multiplier=_or(said.multiplier, 2.0),
        max_delay=longest,
        jitter=_or(said.jitter, "Full"),
    )


def _circuit_breaker(said: policy.CircuitBreaker) -> plan.CircuitBreaker:
    window = _window(said.window or policy.Window())
    longest = _or(said.max_open_duration, max(5 * MINUTE, said.open_duration or 0))
    fail_on = _or(said.fail_on, FAIL_ON)
    return plan.CircuitBreaker(
        enabled=_or(said.mode, "Auto") == "Auto",
        window=window,
        minimum_calls=_or(said.minimum_calls, min(20, int(window.size)) if window.type == "Count" else 20),
        failure_rate_threshold=_or(said.failure_rate_threshold, 50),
        consecutive_failures=_or(said.consecutive_failures, 5),
        open_duration=_or(said.open_duration, min(30.0, longest)),
        max_open_duration=longest,
        half_open=_half_open(said.half_open or policy.HalfOpen()),
        fail_on_status=_statuses(fail_on),
        fail_on_fault=_faults(fail_on),
    )


def _window(said: policy.Window) -> plan.Window:
    if said.type == "Count":
        return plan.Window(type="Count", size=_or(said.size, 100))
    return plan.Window(type="Time", size=_or(said.duration, 30.0))


def _half_open(said: policy.HalfOpen) -> plan.HalfOpen:
    calls = _or(said.max_calls, max(3, said.success_threshold or 0))
    return plan.HalfOpen(
        max_calls=calls,
        success_threshold=_or(said.success_threshold, min(3, calls)),
        max_wait=_or(said.max_wait, MINUTE),
    )


def _queue(said: policy.Queue) -> plan.Queue:
    return plan.Queue(max_bytes=said.max_bytes, on_full=_or(said.on_full, "Reject"))


def _dead_letter(said: policy.DeadLetter) -> plan.DeadLetters:
    return plan.DeadLetters(
        keep=_or(said.keep, 168 * HOUR), max_bytes=_or(said.max_bytes, KIB**3), on_full=_or(said.on_full, "Reject")
    )


def _statuses(answers: Iterable[policy.Answer]) -> tuple[plan.StatusRange, ...]:
    return tuple(sorted({one for one in answers if isinstance(one, tuple)}))


def _faults(answers: Iterable[policy.Answer]) -> tuple[str, ...]:
    named = {one for one in answers if isinstance(one, str)}
    return tuple(name for name in FAULT_NAMES if name in named)
