"""fanout_crds.plan as it was before there were budgets, limits and schedules. Frozen: see tests/skew/__init__.py."""

import typing

import msgspec

BackoffType = typing.Literal["Constant", "Linear", "Exponential"]
DeadLettersFull = typing.Literal["Reject", "DropOldest"]
Jitter = typing.Literal["None", "Equal", "Full"]
QueueFull = typing.Literal["Reject", "DeadLetter"]
WindowType = typing.Literal["Time", "Count"]
Durability = typing.Literal["Journal", "Memory"]

FORMAT: typing.Final = 1
READABLE: typing.Final = frozenset({FORMAT})

StatusRange = tuple[int, int]  # inclusive, both ends
Credentials = typing.Mapping[str, bytes]  # handle -> value; never encoded with the plan


class UnknownFormat(ValueError):
    """The plan is written in a format that this dispatcher does not read."""


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


class Bulkhead(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How many attempts at one target may be in flight at once, per dispatcher."""

    max_concurrent: int


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


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One target, resolved. *held* is the reason why it cannot be asked (a reference that does not resolve)."""

    name: str
    url: str  # absolute http(s) URL; empty only when held
    private: bool  # a service: addresses inside the cluster are allowed
    held: str | None
    held_message: str | None
    headers: tuple[tuple[str, str], ...]
    forward_headers: tuple[str, ...]  # lower-case names; a trailing * is a prefix
    bearer: str | None  # handle of the token
    ca: str | None  # handle of the PEM bundle
    policy: Policy


class Plan(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A route, ready to be carried out."""

    format: int
    revision: str
    namespace: str
    name: str
    uid: str
    generation: int
    path: str
    max_body_size: int
    durability: Durability
    suspend: bool
    targets: tuple[Target, ...]

    @property
    def key(self) -> str:
        """``namespace/name``, by which backlog, status and logs know the route."""
        return f"{self.namespace}/{self.name}"


class _Envelope(msgspec.Struct):
    format: int


_encoder = msgspec.json.Encoder(order="deterministic")
_decoder = msgspec.json.Decoder(Plan)
_envelope = msgspec.json.Decoder(_Envelope)


def encode(plan: Plan) -> bytes:
    """Write *plan* as JSON; the same plan always gives the same bytes."""
    return _encoder.encode(plan)


def decode(text: bytes | str) -> Plan:
    """Read a plan.

    Raises UnknownFormat for a format this version does not read, and ValueError (msgspec.ValidationError) with the path
    to the field for anything else that is wrong.
    """
    found = _envelope.decode(text).format
    if found not in READABLE:
        known = ", ".join(str(one) for one in sorted(READABLE))
        raise UnknownFormat(f"format {found} is not one this dispatcher reads ({known}): upgrade the dispatcher first")
    return _decoder.decode(text)
