"""The plan: a route compiled and resolved, as the operator hands it to a dispatcher.

Everything a dispatcher needs is in here, with every default filled in: times in seconds, sizes in bytes, statuses as
inclusive ranges. Secrets are not: a target names a *handle*, and the credentials travel beside the plan, so that a plan
may be logged, kept in the journal and shown to people.

The format is versioned. A field that came later has a default, by which a plan without it is carried out as before, and
a dispatcher of the version before carries out a plan without the fields it does not know; what cannot be said that way
is a new format. A dispatcher reads this format and the one before; one it does not know is refused for that route only,
and so is a word that it does not know, such as the type of a backoff. A revision is random, never a hash: a hash of a
plan would let a reader test guesses of what is secret.
"""

import typing

import msgspec

from fanout_crds.accept import KeyType
from fanout_crds.breaker import CircuitMode, WindowType
from fanout_crds.expressions import BODY, KEY, PATH, QUESTION, VALUE, WHEN, Scope
from fanout_crds.listen import claim
from fanout_crds.policy import AfterDeath, DeadLettersFull, QueueFull
from fanout_crds.request import Method
from fanout_crds.retry import BackoffType, Jitter
from fanout_crds.route import Durability, OnDead
from fanout_crds.shape import Shape
from fanout_crds.sources import AfterTaking, Columns

FORMAT: typing.Final = 1
READABLE: typing.Final = frozenset({FORMAT})  # and the one before, as soon as there is one (tests/skew)

BehindRole = typing.Literal["Fallback", "Compensation", "Final"]
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


class Value(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A header or a parameter: its value as it stands, or the expression that gives it."""

    name: str
    value: str | None = None
    expression: str | None = None


class Mapping(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How a request is made of an event, where it is not the event as it came."""

    method: Method
    path: str | None = None  # expression; None = the URL's
    query: tuple[Value, ...] = ()
    headers: tuple[Value, ...] = ()  # by expressions; those that stand as they are, are the target's own
    body: str | None = None  # expression; None = the event's
    structured: bool = False  # the event as one JSON object, not its attributes as headers


class Static(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An answer that nobody has to be asked for; header names in lower case, a content-type among them."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: str


class Cache(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """By what key an answer is used again, and for how long (s) at most."""

    key_expression: str
    ttl: float


class Target(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One target, resolved. *held* is the reason why it cannot be asked (a reference that does not resolve)."""

    name: str
    url: str  # absolute http(s) URL; empty only when held
    private: bool  # a service inside the cluster: its addresses are allowed
    held: str | None
    held_message: str | None
    headers: tuple[tuple[str, str], ...]
    forward_headers: tuple[str, ...]  # lower-case names; a trailing * is a prefix
    bearer: str | None  # handle of the token
    ca: str | None  # handle of the PEM bundle
    policy: Policy
    delay: float = 0.0  # seconds after acceptance before which it is not asked
    when: str | None = None  # an expression that says which events it gets; None = all
    mapping: Mapping | None = None  # None = the event as it came, by POST
    capture: int = 0  # bytes of its answer that are kept for whoever waits for it; 0 = nothing
    depends_on: tuple[str, ...] = ()  # names of targets that have to be through before it
    on_dead: OnDead = "Fail"
    compensates: str = ""  # of a compensation: the target that it undoes, whose key it is sent with
    keep: int = 0  # bytes of its answer that are kept with the event, for expressions that read it; 0 = nothing
    static: Static | None = None  # what is answered in its place once it is given up
    cache: Cache | None = None  # None = each event asks for itself


class Respond(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whom a caller waits for, how many of them must succeed, and for how long (s)."""

    wait_for: tuple[str, ...]
    quorum: int
    timeout: float
    partial: bool  # once time is up, what has arrived is an answer
    shape: Shape | None = None  # None = what every target said, by name


class Behind(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A position behind the targets: it stands in for one, undoes one, or is told when all is over."""

    role: BehindRole
    of: str  # the target that it is for; empty for a Final
    target: Target  # named target.compensate, target.fallback or finally.name: a dot is in no target's name


class PostgresOutbox(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An outbox table that events are fetched from. *held* is the reason why it cannot be asked."""

    url: str | None  # handle of the URL; None only when held
    ca: str | None  # handle of the PEM bundle
    address: tuple[str, int] | None  # host and port to connect to, where they are not the URL's
    private: bool  # a service inside the cluster: its addresses are allowed
    held: str | None
    held_message: str | None
    table: str
    columns: Columns
    after_taking: AfterTaking
    batch_size: int
    poll_interval: float  # seconds
    channel: str | None


class AcceptRate(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How fast events may come in for one key: *requests* per *per* seconds, and *burst* at once."""

    requests: int
    per: float
    burst: int
    key: KeyType
    header: str = ""  # lower-case, of type Header


class Idempotency(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """How long (s) an event is known again by its key, and how many keys are kept."""

    ttl: float
    max_keys: int
    key_expression: str | None = None  # None = the Idempotency-Key header, or the event's source and id


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
    respond: Respond | None = None  # None = the caller does not wait
    rate: AcceptRate | None = None  # of what comes in; None = no limit
    batches: bool = False  # several events in one request are taken too
    idempotency: Idempotency | None = None  # None = what comes twice is accepted twice
    behind: tuple[Behind, ...] = ()
    postgres_outbox: PostgresOutbox | None = None
    methods: tuple[Method, ...] = ("POST",)

    @property
    def claim(self) -> str:
        """What no other route may claim: the path, whatever its names in braces."""
        return claim(self.path)

    @property
    def everybody(self) -> tuple[Target, ...]:
        """Everybody who may be sent something: one for each position of an event."""
        return (*self.targets, *(one.target for one in self.behind)) if self.behind else self.targets

    @property
    def handles(self) -> frozenset[str]:
        """What it needs of its credentials: of all that is sent to, and of what is fetched from."""
        outbox = self.postgres_outbox
        found = [handle for one in self.everybody for handle in (one.bearer, one.ca)]
        found += (outbox.url, outbox.ca) if outbox is not None else ()
        return frozenset(handle for handle in found if handle)

    @property
    def fallbacks(self) -> dict[str, str]:
        """Who stands in for which target, by name."""
        return {one.target.name: one.of for one in self.behind if one.role == "Fallback"}

    @property
    def key(self) -> str:
        """``namespace/name``, by which backlog, status and logs know the route."""
        return f"{self.namespace}/{self.name}"

    def expressions(self) -> typing.Iterator[tuple[str, str, Scope]]:
        """Every expression in it: the path to its field, the text, and what it is for."""
        if self.idempotency is not None and self.idempotency.key_expression is not None:
            yield "spec.accept.idempotency.keyExpression", self.idempotency.key_expression, KEY
        for target in self.everybody:
            for path, text, scope in _expressions(target):
                if text is not None:
                    yield f"{self._place(target)}.{path}", text, scope
        if self.respond is not None and self.respond.shape is not None:
            yield from self.respond.shape.expressions()

    def _place(self, target: Target) -> str:
        """Where somebody stands in the manifest."""
        names = [one.name for one in self.targets]
        if target.name in names:
            return f"spec.targets[{names.index(target.name)}]"
        behind = next(one for one in self.behind if one.target is target)
        if behind.role == "Final":
            return f"spec.finally[{[one for one in self.behind if one.role == 'Final'].index(behind)}]"
        what = {"Fallback": "fallback.target", "Compensation": "compensate"}[behind.role]
        return f"spec.targets[{names.index(behind.of)}].{what}"


def _expressions(target: Target) -> typing.Iterator[tuple[str, str | None, Scope]]:
    yield "when", target.when, WHEN
    if (ordering := target.policy.ordering) is not None:
        yield "policy.ordering.keyExpression", ordering.key_expression, KEY
    if target.cache is not None:
        yield "cache.keyExpression", target.cache.key_expression, QUESTION
    if (mapping := target.mapping) is None:
        return
    yield "request.pathExpression", mapping.path, PATH
    for place, one in enumerate(mapping.query):
        yield f"request.query[{place}].valueExpression", one.expression, VALUE
    for one in mapping.headers:
        yield f"request.headers[{one.name}].valueExpression", one.expression, VALUE
    yield "request.bodyExpression", mapping.body, BODY


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
        behind = "dispatcher first" if found > FORMAT else "operator"
        raise UnknownFormat(f"format {found} is not one this dispatcher reads ({known}): upgrade the {behind}")
    return _decoder.decode(text)
