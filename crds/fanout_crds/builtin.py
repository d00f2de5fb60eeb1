"""What a policy means in the end: the built-in defaults, and the complete policy of a plan made from what was said.

A built-in default gives way to what somebody said beside it (an openDuration of 10m raises an unset maxOpenDuration to
10m), so that stating one field never makes a manifest wrong. The figures are those of the policy's sentences.
"""

import typing
from collections.abc import Iterable, Sequence

import msgspec

from fanout_crds import accept, batch, breaker, fallback, plan, policy, retry
from fanout_crds.cache import Cache
from fanout_crds.endpoint import Patience
from fanout_crds.kinds import FAULT_NAMES
from fanout_crds.respond import Respond, Waitable, waited_for
from fanout_crds.shape import Shape
from fanout_crds.words import Answer

MINUTE: typing.Final = 60.0
HOUR: typing.Final = 3600.0
KIB: typing.Final = 1024

TOTAL: typing.Final = {"Journal": 24 * HOUR, "Memory": 30.0}
PRESETS: typing.Final[dict[retry.Preset, tuple[float, ...]]] = {
    "StandardWebhooks": (5, 5 * MINUTE, 30 * MINUTE, *(hours * HOUR for hours in (2, 5, 10, 14, 20, 24))),
}
BURST: typing.Final = 0.1  # seconds of a rate limit that may come at once
ATTEMPTS: typing.Final = 20  # of a compensation or callback: about an hour and a half
MAX_BODY_SIZE: typing.Final = KIB**2
MAX_ANSWER_SIZE: typing.Final = 256 * KIB
RETRY_ON: typing.Final[tuple[Answer, ...]] = (
    *((one, one) for one in (408, 425, 429, 500)),
    (502, 504),
    (506, 599),
    *FAULT_NAMES,
)
GIVE_UP_ON: typing.Final[tuple[Answer, ...]] = ((410, 410),)
FAIL_ON: typing.Final[tuple[Answer, ...]] = ((429, 429), (500, 599), *FAULT_NAMES)

T = typing.TypeVar("T")


def complete(said: policy.Policy, durability: str) -> plan.Policy:
    """Fill what nobody said."""
    return plan.Policy(
        timeouts=_timeouts(said, durability),
        retry=_retry(said.retry or retry.Retry()),
        circuit_breaker=_circuit_breaker(said.circuit_breaker or breaker.CircuitBreaker()),
        bulkhead=_bulkhead(said.bulkhead or policy.Bulkhead()),
        rate_limit=_rate_limit(said.rate_limit),
        ordering=_ordering(said.ordering),
        hedge=_hedge(said.hedge),
        batch=_batch(said.batch),
        queue=_queue(said.queue or policy.Queue()),
        dead_letter=_dead_letter(said.dead_letter or policy.DeadLetter()),
    )


def respond(said: Respond | None, targets: Sequence[Waitable]) -> plan.Respond | None:
    """Fill what nobody said of what a caller waits for; None where it does not wait."""
    if said is None or said.mode != "Settled":
        return None
    wait_for = waited_for(said, targets)
    return plan.Respond(
        wait_for=wait_for,
        quorum=_or(said.quorum, len(wait_for)),
        timeout=_or(said.timeout, 10.0),
        partial=said.on_timeout == "Partial",
        shape=_shape(said),
    )


def _shape(said: Respond) -> Shape | None:
    """The shape of the answer; None where nothing is said of it."""
    made = Shape(
        status=said.status,
        status_expression=said.status_expression,
        headers=said.headers or (),
        body_expression=said.body_expression,
    )
    return None if made == Shape() else made


def static(said: fallback.Static) -> plan.Static:
    """Fill what nobody said of a static answer."""
    headers = {one.name: one.value for one in said.headers}
    whole = {"content-type": "application/json"} | headers
    return plan.Static(status=_or(said.status, 200), headers=tuple(whole.items()), body=said.body or "")


def patient(said: Patience | None, durability: str) -> plan.Policy:
    """The policy of somebody behind the targets: never expired, and given up only when its attempts are used up."""
    at = (said.timeouts if said else None) or policy.EndpointTimeouts()
    tries = (said.retry if said else None) or retry.Retry()
    if tries.max_attempts is None and not _waits(tries.backoff):
        tries = msgspec.structs.replace(tries, max_attempts=ATTEMPTS)
    timeouts = policy.Timeouts(connect=at.connect, attempt=at.attempt, total=0.0)
    return complete(policy.Policy(timeouts=timeouts, retry=tries), durability)


def _or(said: T | None, default: T) -> T:
    """Take what was said, also an honest 0 or an empty list."""
    return default if said is None else said


def _timeouts(whole: policy.Policy, durability: str) -> plan.Timeouts:
    """The defaults of attempt and total give way to each other; connect never outlasts the attempt anyway."""
    said = whole.timeouts or policy.Timeouts()
    waits = _waits(whole.retry.backoff if whole.retry else None)
    usual = sum(waits) + HOUR if waits else TOTAL[durability]
    total = _or(said.total, max(usual, said.attempt or 0))
    attempt = _or(said.attempt, min(10.0, total or 10.0))
    connect = _or(said.connect, 2.0)
    return plan.Timeouts(connect=min(connect, attempt or connect), attempt=attempt, total=total)


def _waits(said: retry.Backoff | None) -> tuple[float, ...]:
    """The waits of a schedule; none of any other backoff."""
    if said is None or said.type != "Schedule":
        return ()
    return PRESETS[said.preset] if said.preset else said.schedule or ()


def _retry(said: retry.Retry) -> plan.Retry:
    after = said.retry_after or retry.RetryAfter()
    on = _or(said.on, RETRY_ON)
    waits = _waits(said.backoff)
    return plan.Retry(
        max_attempts=len(waits) + 1 if waits else said.max_attempts,
        backoff=_backoff(said.backoff or retry.Backoff(), waits),
        on_status=_statuses(on),
        on_fault=_faults(on),
        success_on=_statuses(_or(said.success_on, ())),
        give_up_on=_statuses(_or(said.give_up_on, GIVE_UP_ON)),
        retry_after=_or(after.mode, "Honour") == "Honour",
        retry_after_max=_or(after.max, HOUR),
        budget=_budget(said.budget or retry.Budget()),
    )


def _backoff(said: retry.Backoff, waits: tuple[float, ...]) -> plan.Backoff:
    longest = _or(said.max_delay, max(waits, default=max(5 * MINUTE, said.base_delay or 0)))
    return plan.Backoff(
        type=_or(said.type, "Exponential"),
        base_delay=waits[0] if waits else _or(said.base_delay, min(0.5, longest)),
        multiplier=_or(said.multiplier, 2.0),
        max_delay=longest,
        jitter=_or(said.jitter, "Full"),
        schedule=waits,
    )


def _budget(said: retry.Budget) -> plan.Budget | None:
    if said.mode == "Disabled":
        return None
    return plan.Budget(percent=_or(said.percent, 20), min_retries_per_second=_or(said.min_retries_per_second, 10))


def _circuit_breaker(said: breaker.CircuitBreaker) -> plan.CircuitBreaker:
    window = _window(said.window or breaker.Window())
    longest = _or(said.max_open_duration, max(5 * MINUTE, said.open_duration or 0))
    fail_on = _or(said.fail_on, FAIL_ON)
    return plan.CircuitBreaker(
        enabled=said.mode != "Disabled",
        mode=_or(said.mode, "Auto"),
        window=window,
        minimum_calls=_or(said.minimum_calls, min(20, int(window.size)) if window.type == "Count" else 20),
        failure_rate_threshold=_or(said.failure_rate_threshold, 50),
        consecutive_failures=_or(said.consecutive_failures, 5),
        slow_call_duration=_or(said.slow_call_duration, 0.0),
        slow_call_rate_threshold=_or(said.slow_call_rate_threshold, 100),
        open_duration=_or(said.open_duration, min(30.0, longest)),
        max_open_duration=longest,
        half_open=_half_open(said.half_open or breaker.HalfOpen()),
        fail_on_status=_statuses(fail_on),
        fail_on_fault=_faults(fail_on),
    )


def _window(said: breaker.Window) -> plan.Window:
    if said.type == "Count":
        return plan.Window(type="Count", size=_or(said.size, 100))
    return plan.Window(type="Time", size=_or(said.duration, 30.0))


def _half_open(said: breaker.HalfOpen) -> plan.HalfOpen:
    calls = _or(said.max_calls, max(3, said.success_threshold or 0))
    return plan.HalfOpen(
        max_calls=calls,
        success_threshold=_or(said.success_threshold, min(3, calls)),
        max_wait=_or(said.max_wait, MINUTE),
    )


def _bulkhead(said: policy.Bulkhead) -> plan.Bulkhead:
    adaptive = None if said.adaptive is None or said.adaptive.mode == "Disabled" else said.adaptive
    most = _or(said.max_concurrent, max(64, policy.highest(adaptive) if adaptive else 0))
    return plan.Bulkhead(
        max_concurrent=most, adaptive=_adaptive(adaptive, most) if adaptive else None, max_queue=said.max_queue
    )


def _adaptive(said: policy.Adaptive, most: int) -> plan.Adaptive:
    lowest, highest = _or(said.min, 1), _or(said.max, most)
    return plan.Adaptive(min=lowest, initial=_or(said.initial, min(max(20, lowest), highest)), max=highest)


def _rate_limit(said: policy.RateLimit | None) -> plan.RateLimit | None:
    if said is None or said.requests is None or said.mode == "Disabled":  # without requests: a fault, told elsewhere
        return None
    per = _or(said.per, 1.0)
    burst = _or(said.burst, max(1, int(said.requests * BURST / per)))
    return plan.RateLimit(requests=said.requests, per=per, burst=burst)


def accept_rate(said: accept.RateLimit | None) -> plan.AcceptRate | None:
    """Fill what nobody said of how fast events may come in."""
    if said is None:
        return None
    key = said.key or accept.RateKey(type="Route")
    return plan.AcceptRate(
        requests=said.requests,
        per=_or(said.per, 1.0),
        burst=_or(said.burst, said.requests),
        key=key.type,
        header=(key.header or "").lower(),
    )


def idempotency(said: accept.Idempotency | None) -> plan.Idempotency | None:
    """Fill what nobody said of keys; without the block there are none."""
    if said is None:
        return None
    return plan.Idempotency(
        ttl=_or(said.ttl, 24 * HOUR), max_keys=_or(said.max_keys, 1_000_000), key_expression=said.key_expression
    )


def cache(said: Cache | None) -> plan.Cache | None:
    """A target's cache; without the block there is none."""
    return None if said is None else plan.Cache(key_expression=said.key_expression, ttl=said.ttl)


def _ordering(said: policy.Ordering | None) -> plan.Ordering | None:
    if said is None or said.mode == "Disabled":
        return None
    return plan.Ordering(
        key_attribute=said.key_attribute,
        key_expression=said.key_expression,
        after_death=_or(said.after_death, "Block"),
    )


def _hedge(said: policy.Hedge | None) -> plan.Hedge | None:
    if said is None or said.delay is None or said.mode == "Disabled":  # without delay: a fault, told elsewhere
        return None
    return plan.Hedge(delay=said.delay, max_extra=_or(said.max_extra, 1))


def _batch(said: batch.Batch | None) -> plan.Batch | None:
    if said is None or said.mode == "Disabled":
        return None
    return plan.Batch(
        max_events=_or(said.max_events, 100),
        max_bytes=_or(said.max_bytes, KIB**2),
        max_wait=_or(said.max_wait, 1.0),
    )


def _queue(said: policy.Queue) -> plan.Queue:
    return plan.Queue(max_bytes=said.max_bytes, on_full=_or(said.on_full, "Reject"))


def _dead_letter(said: policy.DeadLetter) -> plan.DeadLetters:
    return plan.DeadLetters(
        keep=_or(said.keep, 168 * HOUR), max_bytes=_or(said.max_bytes, KIB**3), on_full=_or(said.on_full, "Reject")
    )


def _statuses(answers: Iterable[Answer]) -> tuple[plan.StatusRange, ...]:
    return tuple(sorted({one for one in answers if isinstance(one, tuple)}))


def _faults(answers: Iterable[Answer]) -> tuple[str, ...]:
    named = {one for one in answers if isinstance(one, str)}
    return tuple(name for name in FAULT_NAMES if name in named)
