"""What the dispatcher shows of itself: to the admin API, the status URL, the report stream and the CLI.

All times are RFC 3339 in UTC when encoded; here they are wall-clock seconds since the epoch.
"""

import msgspec

from fanout_dispatcher.values.event import Attempt


class TargetView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One target of a route, now. ``held`` says why nothing is sent (CircuitOpen, Suspended, ServiceNotFound …)."""

    name: str
    circuit: str  # Closed | Open | HalfOpen | Disabled
    pending: int
    in_flight: int
    dead_letters: int
    stuck: int = 0  # compensations that were given up and wait for people
    held: str | None = None
    held_until: float | None = None
    last_error: str | None = None
    asked: bool = True  # since the start: else what the last error was is not known
    dry_run: bool = False  # the circuit holds nothing: it only shows the state that it would have


class SourceView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Where a route fetches events by itself. ``held`` says why nothing is fetched (ConnectFailure, JournalFull …)."""

    name: str
    held: str | None = None
    last_error: str | None = None


class RouteView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One route as this dispatcher runs it; ``refused``: why a newer plan is not in force (or its first).

    Compensations and callbacks stand behind the targets, by the names that their deliveries have.
    """

    route: str
    uid: str = ""
    path: str = ""
    revision: str = ""
    generation: int = 0
    suspended: bool = False
    targets: tuple[TargetView, ...] = ()
    source: SourceView | None = None
    refused: str | None = None


class DeliveryView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """One delivery of an event. ``held`` goes with the state Pending.

    ``reason`` and ``detail`` say why it is Dead, or was given up and is stuck; ``reason`` also why it is Skipped.
    """

    target: str
    state: str
    attempts: int | None = None  # so far; 63 stands for that many or more once settled
    due: float | None = None
    held: str | None = None
    reason: str | None = None
    detail: str | None = None
    history: tuple[Attempt, ...] = ()
    replayed_as: str | None = None  # receipt of the replay


class EventView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """An accepted event and what became of each of its deliveries.

    ``saga``, where one has failed: Undoing, Stuck, Undone, or Abandoned (undone but for what people have abandoned).
    """

    receipt: str
    route: str
    generation: int
    accepted: float
    settled: bool
    deliveries: tuple[DeliveryView, ...]
    id: str | None = None  # CloudEvents id, source and type: known until the event is finished
    source: str | None = None
    type: str | None = None
    saga: str | None = None
    replay_of: str | None = None  # receipt of the event that a replay comes of: known until the replay is finished


class SagaView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A stuck saga: an event, and those of its compensations that were given up."""

    receipt: str
    route: str
    accepted: float
    event_id: str
    type: str
    stuck: tuple[DeliveryView, ...]


class SagaFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which stuck sagas are meant; unset fields match all. ``after`` is the cursor: the last receipt seen."""

    route: str | None = None
    receipts: tuple[str, ...] = ()
    after: str | None = None
    limit: int = 100


class DeadLetterView(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A delivery given up on. ``body`` is only filled when one dead letter is shown."""

    id: str
    receipt: str
    route: str
    target: str
    reason: str
    detail: str
    at: float
    attempts: int
    event_id: str
    source: str
    type: str
    size: int
    history: tuple[Attempt, ...] = ()
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes | None = None
    holds: bool = False  # what is behind it in the order of its key waits until it is gone
    undone: bool = False  # a step of a saga, which failed by it and was undone: a replay does that step alone
    replay_of: str | None = None  # receipt of the event that was first accepted, where a replay of it died again


class DeadLetterFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which dead letters are meant; unset fields match all. ``after`` is the cursor: the id of the last one seen."""

    route: str | None = None
    target: str | None = None
    reason: str | None = None
    ids: tuple[str, ...] = ()
    after: str | None = None
    limit: int = 100

    def means(self, route: str, target: str) -> bool:
        """Whether dead letters of *target* in *route* may be meant."""
        return self.route in {None, route} and self.target in {None, target}
