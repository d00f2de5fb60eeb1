"""A Policy: how patiently a target is served. The same one stands under `defaults` and under each target.

Every field is optional and unset by default, also in the CRD: a default there would mask what the route says. What
unset means in the end stands in each field's sentence and, as values, in `builtin.py`. Retry and circuit breaker have
modules of their own. Where a field has a well-known home (resilience4j's bulkhead), ours means the same.
"""

from typing import Annotated, ClassVar, Literal

import msgspec

from fanout_crds import texts
from fanout_crds.batch import ALONE, Batch
from fanout_crds.breaker import CircuitBreaker
from fanout_crds.expressions import KEY, ExpressionText
from fanout_crds.kinds import Duration, Enum, Integer, Quantity
from fanout_crds.objects import Object
from fanout_crds.retry import Retry
from fanout_crds.rules import Rule, ordered
from fanout_crds.words import Switch

QueueFull = Literal["Reject", "DeadLetter"]
AfterDeath = Literal["Block", "PassOver"]
DeadLettersFull = Literal["Reject", "DropOldest"]


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long a connection, an attempt and the whole delivery may take. Source: the two timeouts of Polly."""

    RULES: ClassVar = (
        Rule(
            "!has(self.attempt) || !has(self.total) || duration(self.total) == duration('0s')"
            " || duration(self.attempt) <= duration(self.total)",
            "attempt must not be longer than total",
            lambda at: not at.attempt or not at.total or at.attempt <= at.total,
            at="attempt",
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
        " is a dead letter with reason Expired. Unset: 24h, with durability Memory 30s, with a Schedule its sum"
        " and 1h. 0s: no limit.",
    ] = None


class EndpointTimeouts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long a connection and an attempt may take."""

    connect: Annotated[
        float | None, Duration(), "Time to connect, TLS included. Unset: 2s. It never outlasts the attempt's time."
    ] = None
    attempt: Annotated[
        float | None,
        Duration(zero=True),
        "Time for one attempt, from connecting to the answer's last byte. Unset: 10s. 0s: no limit.",
    ] = None


class Adaptive(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A limit that follows the target: less while its answers take longer than they used to, then more again.

    Gradient2 of Netflix' concurrency-limits. It is never above maxConcurrent.
    """

    RULES: ClassVar = (
        ordered("min", "max", "min must not be more than max"),
        ordered("min", "initial", "min must not be more than initial"),
        ordered("initial", "max", "initial must not be more than max"),
    )
    mode: Annotated[Switch | None, Enum(Switch), "Disabled: the limit is maxConcurrent. Unset: Enabled."] = None
    min: Annotated[int | None, Integer(1, 4096), "The lowest that the limit goes. Unset: 1."] = None
    initial: Annotated[
        int | None, Integer(1, 4096), "Where the limit begins. Unset: 20, or the nearest between min and max."
    ] = None
    max: Annotated[int | None, Integer(1, 4096), "The highest that the limit goes. Unset: maxConcurrent."] = None


def highest(adaptive: Adaptive) -> int:
    """Give the highest limit that *adaptive* speaks of; 0 when it speaks of none."""
    return max(adaptive.min or 0, adaptive.initial or 0, adaptive.max or 0)


class Bulkhead(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How much of a dispatcher one target may occupy. Source: the bulkhead of resilience4j."""

    RULES: ClassVar = (
        Rule(
            "!has(self.maxConcurrent) || !has(self.adaptive)"
            " || (has(self.adaptive.mode) && self.adaptive.mode == 'Disabled')"
            " || ((!has(self.adaptive.min) || self.adaptive.min <= self.maxConcurrent)"
            " && (!has(self.adaptive.initial) || self.adaptive.initial <= self.maxConcurrent)"
            " && (!has(self.adaptive.max) || self.adaptive.max <= self.maxConcurrent))",
            "min, initial and max of adaptive must not be more than maxConcurrent",
            lambda it: (
                None in (it.max_concurrent, it.adaptive)
                or it.adaptive.mode == "Disabled"
                or highest(it.adaptive) <= it.max_concurrent
            ),
            at="adaptive",
        ),
    )
    max_concurrent: Annotated[
        int | None,
        Integer(1, 4096),
        "Attempts in flight to the target at once, per dispatcher. Unset: 64, or what adaptive says when that is more.",
    ] = None
    max_queue: Annotated[
        int | None,
        Integer(0, 10_000),
        "Callers (respond.mode Settled) whose delivery may wait for a slot; the next is answered 503, and nothing is"
        " accepted. 0: none may. Where it is inherited, it holds for targets that callers wait for and that depend on"
        " no other. Unset: any number.",
    ] = None
    adaptive: Annotated[
        Adaptive | None,
        Object(Adaptive),
        "A limit that follows how long the target takes. {}: one as each field says. Unset: none, it is maxConcurrent.",
    ] = None


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How fast the target is asked. Deliveries beyond it wait, in order; none is dropped or spent.

    In any time t no more than requests × t / per + burst attempts start, retries and probes included, per dispatcher.
    Source: the token bucket, as in Envoy's local rate limit.
    """

    COMPLETE: ClassVar = (
        Rule(
            None,
            "requests is needed: how many may start in the time that per says",
            lambda it: it.requests is not None or it.mode == "Disabled",
            at="requests",
        ),
    )
    mode: Annotated[Switch | None, Enum(Switch), "Disabled: no limit, whatever is inherited. Unset: Enabled."] = None
    requests: Annotated[
        int | None, Integer(1, 1_000_000), "Attempts that may start in the time of per. Unset: only where inherited."
    ] = None
    per: Annotated[float | None, Duration(), "The time that requests are counted over. Unset: 1s."] = None
    burst: Annotated[
        int | None,
        Integer(1, 1_000_000),
        "Attempts that may start at once after a quiet time. Unset: what comes in within 100ms, at least 1.",
    ] = None


class Ordering(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Deliveries of one key go to the target one at a time, in the order in which their events were accepted.

    Other keys never wait for them. Per dispatcher; of several workers one takes all events of such a route.
    Source: message groups, as in Amazon SQS FIFO.
    """

    RULES: ClassVar = (
        Rule(
            "(has(self.mode) && self.mode == 'Disabled') || has(self.keyAttribute) != has(self.keyExpression)",
            "exactly one of keyAttribute and keyExpression is needed: it says what is kept in order",
            lambda it: it.mode == "Disabled" or (it.key_attribute is None) != (it.key_expression is None),
        ),
    )
    mode: Annotated[Switch | None, Enum(Switch), "Disabled: no order, whatever is inherited. Unset: Enabled."] = None
    key_attribute: Annotated[
        str | None,
        texts.Attribute,
        "The CloudEvents attribute whose value is the key, such as subject or partitionkey. An event without it, or"
        " with an empty one, waits for nobody. Unset: keyExpression says it.",
    ] = None
    key_expression: Annotated[
        str | None,
        ExpressionText(KEY),
        "An expression in CEL that gives the key, a string, such as string(data.order), asked when the event is"
        " accepted."
        " An empty key waits for nobody; where it fails, the delivery is a dead letter (ExpressionFailed)."
        " Unset: keyAttribute says it.",
    ] = None
    after_death: Annotated[
        AfterDeath | None,
        Enum(AfterDeath),
        "Block: a dead letter holds up its key until it is replayed, removed or has expired. PassOver: order is given"
        " up for it, and the next one goes. Unset: Block.",
    ] = None


class Hedge(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A second try of a delivery while the first is slow; whoever succeeds first counts, the other is cancelled.

    Asking for it says that the target is idempotent: it may get both, with the same Idempotency-Key. A hedge waits for
    nothing: it is sent where the circuit is closed, a slot is free and the retry budget has one left, or not at all.
    Source: "The Tail at Scale" (Dean and Barroso, 2013); gRPC's hedging and Polly's.
    """

    COMPLETE: ClassVar = (
        Rule(
            None,
            "delay is needed: how long the first try may take before there is a second",
            lambda it: it.delay is not None or it.mode == "Disabled",
            at="delay",
        ),
    )
    mode: Annotated[Switch | None, Enum(Switch), "Disabled: none, whatever is inherited. Unset: Enabled."] = None
    delay: Annotated[
        float | None,
        Duration(),
        "How long a try may take before the next is sent beside it; the target's p95 is a good one. Unset: only where"
        " inherited.",
    ] = None
    max_extra: Annotated[
        int | None, Integer(1, 3), "Tries of one attempt besides the first, each a delay after the last. Unset: 1."
    ] = None


def hedges(policy: "Policy") -> bool:
    """Say whether *policy* asks for hedges."""
    return policy.hedge is not None and policy.hedge.mode != "Disabled"


class Queue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """What one target may keep waiting. Our own."""

    max_bytes: Annotated[
        int | None,
        Quantity(),
        "Bytes that may wait for the target: of each event its body, and 512 for what else is kept of it. One event may"
        " always wait, and with onFull Reject one batch of them. Unset: a quarter of the journal.",
    ] = None
    on_full: Annotated[
        QueueFull | None,
        Enum(QueueFull),
        "Reject: the route answers 503 and names the target. DeadLetter: this target's delivery becomes a dead letter"
        " (QueueFull) and its siblings go on; in a graph, what depends on it is skipped, or undone. A compensation, a"
        " fallback and a callback wait in any case. Unset: Reject.",
    ] = None


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How dead letters are kept for replay. Our own."""

    keep: Annotated[float | None, Duration(), "How long a dead letter is kept. Unset: 168h."] = None
    max_bytes: Annotated[
        int | None,
        Quantity(),
        "Bytes of the dead letters kept: of each its body, and 512 for what else is kept of it. Unset: 1Gi.",
    ] = None
    on_full: Annotated[
        DeadLettersFull | None,
        Enum(DeadLettersFull),
        "Reject: the route answers 503 until there is room. DropOldest: the oldest go, and are counted. Unset: Reject.",
    ] = None


_HEDGES_NOT = "!has(self.hedge) || (has(self.hedge.mode) && self.hedge.mode == 'Disabled')"


class Policy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Timeouts, retries, circuit breaker, bulkhead, rate limit, order, hedges, batches, queue and dead letters."""

    RULES: ClassVar = (
        Rule(
            f"{_HEDGES_NOT} || !has(self.ordering) || (has(self.ordering.mode) && self.ordering.mode == 'Disabled')",
            "hedge does not go with ordering: a try that was cancelled may still arrive, after the next one of its key",
            lambda it: not hedges(it) or it.ordering is None or it.ordering.mode == "Disabled",
            at="hedge",
        ),
        Rule(
            f"{_HEDGES_NOT} || !has(self.retry) || !has(self.retry.budget) || !has(self.retry.budget.mode)"
            " || self.retry.budget.mode != 'Disabled'",
            "hedge needs retry.budget: it bounds what hedges add while the target is slow for everybody",
            lambda it: (
                not hedges(it) or it.retry is None or it.retry.budget is None or it.retry.budget.mode != "Disabled"
            ),
            at="hedge",
        ),
        Rule(
            f"{_HEDGES_NOT} || !has(self.hedge.delay) || !has(self.timeouts) || !has(self.timeouts.attempt)"
            " || duration(self.timeouts.attempt) == duration('0s')"
            " || duration(self.hedge.delay) < duration(self.timeouts.attempt)",
            "hedge.delay must be shorter than timeouts.attempt, after which all tries are over",
            lambda it: (
                not hedges(it)
                or None in (it.hedge.delay, it.timeouts, it.timeouts and it.timeouts.attempt)
                or it.timeouts.attempt == 0
                or it.hedge.delay < it.timeouts.attempt
            ),
            at="hedge.delay",
        ),
        *ALONE,
    )
    timeouts: Annotated[
        Timeouts | None,
        Object(Timeouts),
        "How long a connection, an attempt and a delivery may take. Unset: as each field says.",
    ] = None
    retry: Annotated[
        Retry | None,
        Object(Retry),
        "Which failures are tried again, how often and when. Unset: as each field says.",
    ] = None
    circuit_breaker: Annotated[
        CircuitBreaker | None,
        Object(CircuitBreaker),
        "When to stop asking the target. While the circuit is open deliveries are held, in order; nothing is spent."
        " Unset: as each field says.",
    ] = None
    bulkhead: Annotated[
        Bulkhead | None,
        Object(Bulkhead),
        "How much of a dispatcher the target may occupy. Unset: as each field says.",
    ] = None
    rate_limit: Annotated[
        RateLimit | None,
        Object(RateLimit),
        "How fast the target is asked; deliveries wait their turn. Unset: no limit.",
    ] = None
    ordering: Annotated[
        Ordering | None,
        Object(Ordering, whole=True),
        "Which deliveries go one after the other; inherited as a whole. Unset: none waits for another.",
    ] = None
    hedge: Annotated[
        Hedge | None,
        Object(Hedge),
        "A second try while the first is slow, of a target that is idempotent. Unset: none.",
    ] = None
    batch: Annotated[
        Batch | None,
        Object(Batch),
        "How many deliveries go in one request. {}: as each field says. Unset: each goes by itself.",
    ] = None
    queue: Annotated[Queue | None, Object(Queue), "What the target may keep waiting. Unset: as each field says."] = None
    dead_letter: Annotated[
        DeadLetter | None,
        Object(DeadLetter),
        "How deliveries that were given up are kept for replay. Unset: as each field says.",
    ] = None


POLICY = Object(Policy)
