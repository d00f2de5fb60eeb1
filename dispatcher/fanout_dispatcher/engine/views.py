"""How routes, events and dead letters look from outside: the engine's values made into views.

No IO, and nothing changes.
"""

import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.flow import flow_of
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.engine.routes import Routes
from fanout_dispatcher.engine.tally import NOT_ASKED
from fanout_dispatcher.journal.protocol import BLOCKED, FOREVER, DeadLetter, DueRow, StoredEvent
from fanout_dispatcher.values.event import Attempt, Head, State
from fanout_dispatcher.values.views import DeadLetterView, DeliveryView, EventView, RouteView, SagaView, TargetView

EARLIER: typing.Final = "EarlierOfKey"  # why a delivery is held that waits for its key
FELL_BACK: typing.Final = "FellBack"  # why one is dead that there is no dead letter of


class Views:
    """Makes views; times in them are wall-clock times."""

    def __init__(self, clock: Clock, table: Routes) -> None:
        self.clock = clock
        self.table = table

    def route(self, route: Route) -> RouteView:
        """A route in force."""
        plan = route.plan
        return RouteView(
            route=plan.key,
            uid=plan.uid,
            path=plan.path,
            revision=plan.revision,
            generation=plan.generation,
            suspended=plan.suspend,
            targets=tuple(self.target(lane) for lane in route.everybody),
            source=self.table.sources.get(plan.key),
            refused=self.table.refused.get(plan.key),
        )

    def target(self, lane: Lane) -> TargetView:
        """One of its targets."""
        probed = lane.circuit.probe_at
        meter = self.table.meter(lane)
        return TargetView(
            name=lane.target.name,
            circuit=lane.circuit.shown.value,
            pending=meter.pending,
            in_flight=meter.in_flight,
            dead_letters=meter.dead_letters,
            stuck=meter.stuck,
            held=lane.why_held(),
            held_until=None if probed is None or lane.held is not None else self.clock.wall(probed),
            last_error=_why(lane),
            asked=lane.tally.last_error != NOT_ASKED,
            dry_run=lane.circuit.mode == "DryRun",
        )

    def event(self, book: Book, seq: int, stored: StoredEvent) -> EventView:
        """An event, as the journal has it: what is not committed has not happened yet."""
        frozen = stored.frozen
        head = None if stored.event is None else stored.event.head
        return EventView(
            receipt=book.receipts.make(seq),
            route=frozen.route,
            generation=frozen.generation,
            accepted=self.clock.wall(stored.accepted),
            settled=not State.left(stored.states),
            saga=flow_of(frozen.graph).undoing(stored.states) if frozen.graph else None,
            deliveries=tuple(self._delivery(book, stored, index) for index in range(len(frozen.targets))),
            id=head.id if head else None,
            source=head.source if head else None,
            type=head.type if head else None,
            replay_of=_first(book, head) if head else None,
        )

    def saga(self, book: Book, seq: int, stored: StoredEvent) -> SagaView:
        """A stuck saga: the event, and which of its compensations were given up."""
        seen = self.event(book, seq, stored)
        stuck = [one for one, state in zip(seen.deliveries, stored.states, strict=True) if state == State.STUCK]
        return SagaView(
            receipt=seen.receipt,
            route=seen.route,
            accepted=seen.accepted,
            event_id=seen.id or "",
            type=seen.type or "",
            stuck=tuple(stuck),
        )

    def _delivery(self, book: Book, stored: StoredEvent, index: int) -> DeliveryView:
        byte = stored.states[index]
        state, attempts = State.read(byte)
        number = stored.frozen.lanes[index]
        target = stored.frozen.targets[index]
        due = next((row for row in stored.due if row.lane == number), None)
        dead = next((row for row in stored.dead if row.lane == number), None)
        replay = stored.replays.get(number)
        lane = self.table.lanes.get((book, stored.frozen.route, target))
        pending = state == State.PENDING
        blocked = pending and due is not None and due.at == BLOCKED
        held = State.WHY_WAITING.get(byte) or lane.why_held() if lane is not None and pending else None
        row = dead or (due if pending else None)
        why = dead if state == State.DEAD else due if byte == State.STUCK else None
        return DeliveryView(
            target=target,
            state=State.NAMES[state],
            attempts=row.attempts if row else attempts,
            due=self._due(due, lane) if due and pending and not blocked else None,
            held=EARLIER if blocked else held,
            reason=(why.reason if why else None) or _why_over(stored, index),
            detail=(why.detail if why else None) or None,
            history=self._dated(row.history) if row else (),
            replayed_as=None if replay is None else book.receipts.make(replay),
        )

    def _due(self, row: DueRow, lane: Lane | None) -> float | None:
        """When it is tried next, as far as one can know: an open circuit may be later than its own turn."""
        if row.at >= FOREVER:
            return None
        probed = lane.circuit.probe_at if lane is not None and lane.held is None else None
        return self.clock.wall(row.at if probed is None else max(row.at, probed))

    def letter(self, book: Book, letter: DeadLetter, body: bytes | None = None) -> DeadLetterView:
        """A dead letter, with its *body* where one is shown alone."""
        row, event = letter.row, letter.event
        return DeadLetterView(
            id=ident(book, letter.number),
            receipt=book.receipts.make(row.seq),
            route=event.frozen.route,
            target=target_of(letter),
            reason=row.reason,
            detail=row.detail,
            at=self.clock.wall(row.at),
            attempts=row.attempts,
            event_id=event.head.id,
            source=event.head.source,
            type=event.head.type,
            size=row.size,
            history=self._dated(row.history),
            headers=_headers(event.head.attributes),
            body=body,
            holds=letter.holds,
            undone=undone(letter),
            replay_of=_first(book, event.head),
        )

    def _dated(self, history: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
        return tuple(Attempt(self.clock.wall(one.at), one.outcome, one.seconds) for one in history)


def _why_over(stored: StoredEvent, index: int) -> str | None:
    """Why a delivery is not delivered that there is no dead letter of."""
    graph, replayed = stored.frozen.graph, stored.frozen.lanes[index] in stored.replays
    if graph and not replayed and flow_of(graph).stood_in(stored.states, index):
        return FELL_BACK
    return State.WHY_SKIPPED.get(stored.states[index])


def undone(letter: DeadLetter) -> bool:
    """Whether a dead letter made a saga fail, or is of the replay of one that did: that has no graph of its own."""
    frozen, replay = letter.event.frozen, letter.event.head.replay
    if replay is not None:
        return replay.undone
    return bool(frozen.graph) and flow_of(frozen.graph).fails(frozen.lanes.index(letter.row.lane))


def _first(book: Book, head: Head) -> str | None:
    """The receipt of the event that a replay comes of."""
    return book.receipts.make(head.replay.first) if head.replay is not None and head.replay.first else None


def target_of(letter: DeadLetter) -> str:
    """The name of the target that a dead letter was for."""
    frozen = letter.event.frozen
    return frozen.targets[frozen.lanes.index(letter.row.lane)]


def ident(book: Book, number: int) -> str:
    """A dead letter's id: its book's short name and its number there."""
    return f"{book.receipts.worker}-{number}"


def _why(lane: Lane) -> str | None:
    """What is wrong with a target: the reference that does not resolve, if that holds it, else its last failure."""
    held_by_reference = lane.held is not None and lane.held == lane.target.held
    return lane.target.held_message if held_by_reference else lane.tally.last_error or None


def _headers(attributes: bytes) -> tuple[tuple[str, str], ...]:
    """The event's header block as pairs, for people."""
    lines = attributes.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)
