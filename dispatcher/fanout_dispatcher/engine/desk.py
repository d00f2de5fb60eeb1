"""The desk: where the engine is looked at, and where people act on dead letters.

Reads run on the journal's own thread, between two commits: a look never holds the loop, but a long one holds up the
next 202. So every list has a limit.
"""

import asyncio
import re
import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.engine import Engine
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal.protocol import DeadLetter, DueRow, Journal, StoredEvent
from fanout_dispatcher.policies.circuit import CircuitState
from fanout_dispatcher.values.answers import Accepted, Answered
from fanout_dispatcher.values.desk import BadCursor, LaneMeter, RouteMeter
from fanout_dispatcher.values.event import Attempt, State
from fanout_dispatcher.values.views import (
    DeadLetterFilter,
    DeadLetterView,
    DeliveryView,
    EventView,
    RouteView,
    TargetView,
)

NUMBER: typing.Final = re.compile(r"[0-9]{1,18}")  # a dead letter's, within the journal's integers


class EngineDesk:
    """The Desk (values.desk) of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.clock = engine.clock
        self.replaying: set[tuple[Book, int]] = set()

    # --- routes and counters ----------------------------------------------------------------------------------------

    def routes(self) -> list[RouteView]:
        """Every route in force, and every one whose only plan was refused, by key."""
        table = self.engine.table
        found = (self.route(key) for key in sorted(table.by_key.keys() | table.refused.keys()))
        return [view for view in found if view is not None]

    def route(self, key: str) -> RouteView | None:
        """One route; None when nothing is known of it."""
        route = self.engine.table.by_key.get(key)
        if route is not None:
            return self._route(route)
        refused = self.engine.table.refused.get(key)
        return None if refused is None else RouteView(route=key, refused=refused)

    def readiness(self) -> str | None:
        """None when events can be accepted and committed."""
        return self.engine.readiness()

    def lane_meters(self) -> typing.Iterable[LaneMeter]:
        """One per target; of one that owes under both durabilities, the one that takes new events."""
        lanes = self.engine.table.lanes
        meters = {(key, target): lane.tally.meter for (_, key, target), lane in lanes.items()}
        for route in self.engine.table.by_key.values():
            meters |= {(lane.route, lane.target.name): lane.tally.meter for lane in route.lanes}
        return list(meters.values())

    def route_meters(self) -> typing.Iterable[RouteMeter]:
        """One per route in force."""
        return [route.meter for route in self.engine.table.by_key.values()]

    def watch(self, changed: typing.Callable[[str], None]) -> typing.Callable[[], None]:
        """Call *changed* with a route's key whenever its view may differ."""
        return self.engine.watch(changed)

    # --- events -----------------------------------------------------------------------------------------------------

    async def event(self, receipt: str) -> EventView | None:
        """What became of an event; None for a receipt that is not ours."""
        for book in self._books():
            seq = book.receipts.read(receipt)
            if seq is not None:
                stored = await book.ask(lambda journal: journal.event(seq))  # noqa: B023 (asked at once)
                return None if stored is None else self._event(book, seq, stored)
        return None

    async def events(self, route: str | None, after: str | None, limit: int) -> list[EventView]:
        """Events, newest first; those of Memory routes come after the durable ones."""
        if after is not None and all(book.receipts.read(after) is None for book in self._books()):
            raise BadCursor(f"{after[:80]} is not a receipt of this dispatcher")
        found: list[EventView] = []
        for book in self._books():
            before = book.receipts.read(after) if after is not None else None
            if after is not None and before is None:
                continue  # the cursor is in the other book
            after = None
            rows = await book.ask(_events(route, before, limit - len(found)))
            found += [self._event(book, seq, stored) for seq, stored in rows]
            if len(found) >= limit:
                break
        return found

    # --- dead letters -----------------------------------------------------------------------------------------------

    async def dead_letters(self, wanted: DeadLetterFilter) -> list[DeadLetterView]:
        """Dead letters, oldest first, without bodies."""
        return [self._letter(book, letter) for book, letter in await self._wanted(wanted)]

    async def dead_letter(self, ident: str) -> DeadLetterView | None:
        """One dead letter with its original bytes."""
        book, number = self._read_ident(ident)
        if book is None:
            return None
        letter = await book.ask(lambda journal: journal.dead_letter(number))
        return None if letter is None else self._letter(book, letter, body=letter.event.body)

    async def replay(self, wanted: DeadLetterFilter) -> tuple[str, ...]:
        """Send them again, each to the target that failed; only what a route in force can take is replayed."""
        receipts: list[str] = []
        for book, letter in await self._wanted(wanted):
            receipt = await self._replay(book, letter.number)
            if receipt is not None:
                receipts.append(receipt)
        return tuple(receipts)

    async def remove(self, wanted: DeadLetterFilter) -> int:
        """Drop them for good; how many went."""
        removed = 0
        for book, letter in await self._wanted(wanted):
            if (book, letter.number) in self.replaying:
                continue
            self.replaying.add((book, letter.number))
            try:
                book.committer.rest.removed.append(letter.number)
                await book.committer.written()
            finally:
                self.replaying.discard((book, letter.number))
            self._gone(book, letter)
            removed += 1
        return removed

    async def _replay(self, book: Book, number: int) -> str | None:
        if (book, number) in self.replaying:
            return None  # somebody is at it already
        self.replaying.add((book, number))
        try:
            letter = await book.ask(lambda journal: journal.dead_letter(number))
            lane = None if letter is None else self._lane(book, letter)
            if letter is None or lane is None or lane.overfull(letter.row.size):
                return None  # it stays the dead letter that it is
            answer: asyncio.Future[Answered] = self.clock.loop.create_future()
            frozen = book.freeze(lane.route, letter.event.frozen.generation, (lane.target.name,))
            self.engine.acceptance.take(
                book,
                frozen,
                (lane,),
                letter.event.head,
                letter.event.body,
                reply=answer.set_result,
                replayed=number,
            )
            answered = await answer
        finally:
            self.replaying.discard((book, number))
        if not isinstance(answered, Accepted):
            return None
        self._gone(book, letter)
        lane.tally.meter.replayed += 1
        return answered.receipt

    async def _wanted(self, wanted: DeadLetterFilter) -> list[tuple[Book, DeadLetter]]:
        """The rows that *wanted* means, at most its limit, over both books."""
        if wanted.after is not None and self._read_ident(wanted.after)[0] is None:
            raise BadCursor(f"{wanted.after[:80]} is not a dead letter's id")
        found: list[tuple[Book, DeadLetter]] = []
        for book in self._books():
            local = self._local(book, wanted, wanted.limit - len(found))
            if local is not None:
                letters = await book.ask(_dead_letters(local))
                found += [(book, letter) for letter in letters]
        return found

    def _local(self, book: Book, wanted: DeadLetterFilter, limit: int) -> DeadLetterFilter | None:
        """*wanted* in the journal's own numbers; None when it cannot mean anything in this book."""
        mine = [number for owner, number in map(self._read_ident, wanted.ids) if owner is book]
        if limit <= 0 or (wanted.ids and not mine):
            return None
        after = None
        if wanted.after is not None:
            cursor = self._read_ident(wanted.after)
            if cursor[0] is book:
                after = str(cursor[1])
            elif book is self.engine.durable:
                return None  # the cursor is past this book
        return DeadLetterFilter(
            route=wanted.route,
            target=wanted.target,
            reason=wanted.reason,
            ids=tuple(str(number) for number in mine),
            after=after,
            limit=limit,
        )

    # --- views ------------------------------------------------------------------------------------------------------

    def _route(self, route: Route) -> RouteView:
        plan = route.plan
        return RouteView(
            route=plan.key,
            uid=plan.uid,
            path=plan.path,
            revision=plan.revision,
            generation=plan.generation,
            suspended=plan.suspend,
            targets=tuple(self._target(lane) for lane in route.lanes),
            refused=self.engine.table.refused.get(plan.key),
        )

    def _target(self, lane: Lane) -> TargetView:
        circuit = lane.circuit
        is_open = circuit.state is CircuitState.OPEN
        meter = lane.tally.meter
        return TargetView(
            name=lane.target.name,
            circuit=circuit.shown.value,
            pending=meter.pending,
            in_flight=meter.in_flight,
            dead_letters=meter.dead_letters,
            held=lane.why_held(),
            held_until=self.clock.wall(circuit.until) if is_open and lane.held is None else None,
            last_error=lane.target.held_message
            if lane.held == lane.target.held and lane.held
            else lane.tally.last_error,
        )

    def _event(self, book: Book, seq: int, stored: StoredEvent) -> EventView:
        frozen = stored.frozen
        head = None if stored.event is None else stored.event.head
        return EventView(
            receipt=book.receipts.make(seq),
            route=frozen.route,
            generation=frozen.generation,
            accepted=self.clock.wall(stored.accepted),
            settled=State.PENDING not in stored.states,
            deliveries=tuple(self._delivery(book, stored, index) for index in range(len(frozen.targets))),
            id=head.id if head else None,
            source=head.source if head else None,
            type=head.type if head else None,
        )

    def _delivery(self, book: Book, stored: StoredEvent, index: int) -> DeliveryView:
        state, attempts = State.read(stored.states[index])
        number = stored.frozen.lanes[index]
        target = stored.frozen.targets[index]
        due = next((row for row in stored.due if row.lane == number), None)
        dead = next((row for row in stored.dead if row.lane == number), None)
        replay = stored.replays.get(number)
        lane = self.engine.table.lanes.get((book, stored.frozen.route, target))
        pending = state == State.PENDING
        row = dead or (due if pending else None)
        return DeliveryView(
            target=target,
            state=State.NAMES[state],
            attempts=row.attempts if row else attempts,
            due=self._due(due, lane) if due and pending else None,
            held=lane.why_held() if lane is not None and pending else None,
            reason=dead.reason if dead and state == State.DEAD else None,
            history=self._dated(row.history) if row else (),
            replayed_as=None if replay is None else book.receipts.make(replay),
        )

    def _due(self, row: DueRow, lane: Lane | None) -> float:
        """When it is tried next, as far as one can know: an open circuit may be later than its own turn."""
        until = lane.circuit.until if lane is not None and lane.why_held() == "CircuitOpen" else row.at
        return self.clock.wall(max(row.at, until))

    def _letter(self, book: Book, letter: DeadLetter, body: bytes | None = None) -> DeadLetterView:
        row, event = letter.row, letter.event
        return DeadLetterView(
            id=self._ident(book, letter.number),
            receipt=book.receipts.make(row.seq),
            route=event.frozen.route,
            target=_target_of(letter),
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
        )

    def _dated(self, history: tuple[Attempt, ...]) -> tuple[Attempt, ...]:
        return tuple(Attempt(self.clock.wall(one.at), one.outcome, one.seconds) for one in history)

    # --- finding things ---------------------------------------------------------------------------------------------

    def _books(self) -> tuple[Book, Book]:
        return self.engine.durable, self.engine.memory

    def _lane(self, book: Book, letter: DeadLetter) -> Lane | None:
        """The lane that can take a replay: its route is in force and has the target."""
        route = self.engine.table.by_key.get(letter.event.frozen.route)
        target = _target_of(letter)
        if route is None or route.book is not book:
            return None
        return next((lane for lane in route.lanes if lane.target.name == target), None)

    def _gone(self, book: Book, letter: DeadLetter) -> None:
        lane = self.engine.table.lanes.get((book, letter.event.frozen.route, _target_of(letter)))
        if lane is not None:
            lane.tally.dropped(1, letter.row.size)
            self.engine.works.changed(lane.route)

    def _ident(self, book: Book, number: int) -> str:
        return f"{book.receipts.worker}-{number}"

    def _read_ident(self, ident: str) -> tuple[Book | None, int]:
        worker, _, number = ident.partition("-")
        for book in self._books():
            if book.receipts.worker == worker and NUMBER.fullmatch(number):
                return book, int(number)
        return None, 0


def _events(
    route: str | None, before: int | None, limit: int
) -> typing.Callable[[Journal], list[tuple[int, StoredEvent]]]:
    return lambda journal: journal.events(route, before, limit)


def _dead_letters(wanted: DeadLetterFilter) -> typing.Callable[[Journal], list[DeadLetter]]:
    return lambda journal: journal.dead_letters(wanted)


def _target_of(letter: DeadLetter) -> str:
    frozen = letter.event.frozen
    return frozen.targets[frozen.lanes.index(letter.row.lane)]


def _headers(attributes: bytes) -> tuple[tuple[str, str], ...]:
    """The event's header block as pairs, for people."""
    lines = attributes.decode("latin-1").split("\r\n")
    pairs = (line.partition(":") for line in lines if line)
    return tuple((name.strip(), value.strip()) for name, _, value in pairs)
