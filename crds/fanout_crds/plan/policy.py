"""How patiently a target is asked: its policy, with every number filled in."""

import msgspec

from fanout_crds.breaker import CircuitMode, WindowType
from fanout_crds.policy import AfterDeath, DeadLettersFull, QueueFull
from fanout_crds.retry import BackoffType, Jitter

StatusRange = tuple[int, int]  # inclusive, both ends


class Timeouts(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long a connection, an attempt and the whole delivery may take, in seconds; attempt and total 0 = no limit."""

    connect: float
    attempt: float
    total: float


class Backoff(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The wait before retry n (the first retry is 1), in seconds; the cap comes before the jitter."""

    type: BackoffType
    base_delay: float
    multiplier: float
    max_delay: float
    jitter: Jitter
    schedule: tuple[float, ...] = ()  # of type Schedule: each wait; the other numbers are its first and its longest


class Budget(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many retries a target gets: a share of first attempts, and so many per second always."""

    percent: int
    min_retries_per_second: float  # a worker's share of it may be a fraction


class Retry(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which failures are tried again, how often and when."""

    max_attempts: int | None  # includes the first; None = until total
    backoff: Backoff
    on_status: tuple[StatusRange, ...]
    on_fault: tuple[str, ...]  # NameFailure ConnectFailure TlsFailure Reset Timeout ProtocolError
    success_on: tuple[StatusRange, ...]  # besides 2xx
    give_up_on: tuple[StatusRange, ...]
    retry_after: bool  # honour the target's Retry-After
    retry_after_max: float  # seconds
    budget: Budget | None = None  # None = retries wait for their backoff only


class Window(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Over what the failure rate is taken: the last *size* seconds (Time) or calls (Count)."""

    type: WindowType
    size: float


class HalfOpen(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many probes a half-open circuit lets through, how many must succeed, and how long (s) it waits for them."""

    max_calls: int
    success_threshold: int
    max_wait: float


class CircuitBreaker(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """When to stop asking a target, and when to ask again (durations in seconds)."""

    enabled: bool
    window: Window
    minimum_calls: int
    failure_rate_threshold: int  # percent
    consecutive_failures: int  # 0 = off
    open_duration: float
    max_open_duration: float
    half_open: HalfOpen
    fail_on_status: tuple[StatusRange, ...]
    fail_on_fault: tuple[str, ...]
    mode: CircuitMode = "Auto"  # of one that is enabled
    slow_call_duration: float = 0.0  # 0 = no call is slow
    slow_call_rate_threshold: int = 100  # percent


class Adaptive(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A limit of attempts in flight that follows how long the target takes, between min and max."""

    min: int
    initial: int
    max: int


class Bulkhead(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many attempts at one target may be in flight at once, per dispatcher."""

    max_concurrent: int
    adaptive: Adaptive | None = None
    max_queue: int | None = None  # callers whose delivery may wait for a slot; None = any number


class RateLimit(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many attempts may start: *requests* per *per* seconds, and *burst* at once after a quiet time."""

    requests: int
    per: float
    burst: int


class Ordering(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """By which value, of an attribute or an expression, a target gets events in order, and what a dead letter means."""

    key_attribute: str | None
    after_death: AfterDeath
    key_expression: str | None = None


class Hedge(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """After how many seconds without an answer one more try of an attempt is sent, and how many of them at most."""

    delay: float
    max_extra: int


class Batch(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many events, and bytes of them, go in one request, and how long (s) the first waits for others."""

    max_events: int
    max_bytes: int
    max_wait: float


class Queue(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many bytes of events one target may keep waiting; None = a quarter of the journal."""

    max_bytes: int | None
    on_full: QueueFull


class DeadLetters(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long (s) and how many bytes of dead letters are kept for a target."""

    keep: float
    max_bytes: int
    on_full: DeadLettersFull


class Policy(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A target's policy, complete: target ← route ← installation ← built-in default."""

    timeouts: Timeouts
    retry: Retry
    circuit_breaker: CircuitBreaker
    bulkhead: Bulkhead
    queue: Queue
    dead_letter: DeadLetters
    rate_limit: RateLimit | None = None
    ordering: Ordering | None = None
    hedge: Hedge | None = None  # None = an attempt is one try
    batch: Batch | None = None  # None = each delivery is a request of its own
