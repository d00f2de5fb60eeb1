"""What a dispatcher lets people and machines look at and do: the admin API, the report stream and metrics stand on it.

An engine has a desk (`engine.desk`), and so have several together (`workers.joined`).
"""

import bisect
import typing

import msgspec

from fanout_dispatcher.values.views import DeadLetterFilter, DeadLetterView, EventView, RouteView, SagaFilter, SagaView

BUCKETS: typing.Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)  # seconds, upper bounds

COMMIT_BUCKETS: typing.Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)  # seconds, as above


class BadCursor(ValueError):
    """An ``after`` that no list of ours has given out; the sentence says so."""


class LaneMeter(msgspec.Struct, kw_only=True):
    """Plain counters of one target: cheap to bump on the hot path, read at scrape."""

    route: str
    target: str
    delivered: int = 0  # attempts that succeeded
    along: int = 0  # deliveries that went in the same attempt as another one, and were delivered with it
    failed: dict[str, int] = msgspec.field(default_factory=dict)  # by HTTP status or fault
    retried: int = 0
    hedges: int = 0  # tries beside a slow one
    hedges_won: int = 0
    dead: dict[str, int] = msgspec.field(default_factory=dict)  # by reason
    dropped: dict[str, int] = msgspec.field(default_factory=dict)  # dead letters, by Keep or DropOldest
    passed: dict[str, int] = msgspec.field(default_factory=dict)  # dead letters that held up others, by why they went
    fell_back: dict[str, int] = msgspec.field(default_factory=dict)  # given up and stood in for, by reason
    replayed: int = 0
    skipped: int = 0
    pending: int = 0
    pending_bytes: int = 0
    stuck: int = 0  # of those pending: compensations that were given up and wait for people
    backlog_age: float = 0.0  # seconds that the oldest delivery waits which may be sent, at the last sweep
    held: str = ""  # why nothing is sent, beside the circuit; empty: it may be
    in_flight: int = 0
    dead_letters: int = 0
    caches: int = 0  # 1: it has a cache
    cache_hits: int = 0  # deliveries that an answer to another one has settled
    cache_misses: int = 0  # deliveries that had to ask
    cache_evictions: int = 0
    cache_bytes: int = 0  # now
    circuit: str = "Closed"
    seconds: list[int] = msgspec.field(default_factory=lambda: [0] * (len(BUCKETS) + 1))  # attempts by duration
    seconds_sum: float = 0.0


class RouteMeter(msgspec.Struct, kw_only=True):
    """Plain counters of one route's front door."""

    route: str
    accepted: int = 0
    repeated: int = 0  # events that came again under their idempotency key
    turned: dict[str, int] = msgspec.field(default_factory=dict)  # by reason
    waiting: int = 0  # callers, now
    answers: dict[str, int] = msgspec.field(default_factory=dict)  # to callers that waited, by how the wait ended
    late: int = 0  # targets that settled after the caller had its answer
    sources: int = 0  # that events are fetched from, now
    fetched: int = 0  # rows that became events
    rows_refused: int = 0  # rows that cannot be events
    source_failures: int = 0  # times that a source could not be asked
    behind: float = 0.0  # seconds since there was last nothing left to fetch


class JournalMeter(msgspec.Struct, kw_only=True):
    """Plain counters of one journal's commits, bumped once a commit; ``seconds``: from the loop to disk and back."""

    events: int = 0
    settles: int = 0  # events of which deliveries were settled
    failed: int = 0  # commits; their events were refused
    seconds: list[int] = msgspec.field(default_factory=lambda: [0] * (len(COMMIT_BUCKETS) + 1))  # commits by duration
    seconds_sum: float = 0.0

    def commit(self, *, events: int, settles: int, seconds: float) -> None:
        """Count one that succeeded."""
        self.events += events
        self.settles += settles
        self.seconds[bisect.bisect_left(COMMIT_BUCKETS, seconds)] += 1
        self.seconds_sum += seconds


class PortMeter(msgspec.Struct, kw_only=True):
    """Plain counters of the data port: all that comes in, also what no route hears of."""

    connected: int = 0  # now
    connections: int = 0  # ever made
    turned_away: int = 0  # connections over a cap
    requests: int = 0
    refused: dict[tuple[str, int], int] = msgspec.field(default_factory=dict)  # by the problem's type and its status
    expired: int = 0  # connections ended by a deadline


class Desk(typing.Protocol):
    """A dispatcher as people see it. Nothing here may block the loop."""

    def routes(self) -> list[RouteView]:
        """Every route in force, and every one whose only plan was refused, by key."""

    def route(self, key: str) -> RouteView | None:
        """One route; None when nothing is known of it."""

    def refused(self) -> int:
        """How many routes there are whose newest plan is not in force."""

    async def event(self, receipt: str) -> EventView | None:
        """What became of an event; None for a receipt that is not ours."""

    async def events(self, route: str | None, after: str | None, limit: int) -> list[EventView]:
        """Events, newest first; *after* is what `cursor` gave for the page before."""

    def cursor(self, after: str | None, page: typing.Sequence[str]) -> str:
        """The ``after`` of what follows a *page* of receipts or ids, which itself came after *after*."""

    async def dead_letters(self, wanted: DeadLetterFilter) -> list[DeadLetterView]:
        """Dead letters, oldest first, without bodies."""

    async def dead_letter(self, ident: str) -> DeadLetterView | None:
        """One dead letter with its original bytes."""

    async def replay(self, wanted: DeadLetterFilter) -> tuple[str, ...]:
        """Send the dead letters meant again, each to the target that failed; the receipts of the replays."""

    async def remove(self, wanted: DeadLetterFilter) -> int:
        """Drop the dead letters meant for good; how many went."""

    async def sagas(self, wanted: SagaFilter) -> list[SagaView]:
        """Stuck sagas, oldest first."""

    async def resume(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Try again what is stuck of the sagas meant, from the first attempt; the receipts of those that were."""

    async def abandon(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Make dead letters of it instead, and go on with the undoing; the receipts of those that were."""

    async def backup(self) -> tuple[str, ...]:
        """Copy every journal file, while it is used; the paths of the copies, which are the caller's to remove."""

    def readiness(self) -> str | None:
        """None when events can be accepted and committed; else a sentence that says why not."""

    def lane_meters(self) -> typing.Iterable[LaneMeter]:
        """One per target, also of those that end and still owe something."""

    def route_meters(self) -> typing.Iterable[RouteMeter]:
        """One per route in force."""

    def journal_meters(self) -> typing.Mapping[str, JournalMeter]:
        """By the durability whose events each keeps."""

    def watch(self, changed: typing.Callable[[str], None]) -> typing.Callable[[], None]:
        """Call *changed* with a route's key whenever its RouteView may differ; returns how to stop."""
