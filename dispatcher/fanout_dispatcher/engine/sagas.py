"""Stuck sagas in people's hands: found, resumed, or abandoned.

A saga is stuck when one of its compensations was given up: that delivery waits in the index, due at no time, and all
that is undone after it waits too. Such an event is seldom in memory: it is read from the journal, and claimed as a lane
claims what it pulls. *Resumed*, the compensation is due now, as if it had never been tried. *Abandoned*, it is a dead
letter, and the undoing goes on with what comes after it.
"""

import asyncio
import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.routes import Routes
from fanout_dispatcher.journal.protocol import Journal, Pulled, StoredEvent
from fanout_dispatcher.telemetry.seam import SagaResumed
from fanout_dispatcher.values.desk import BadCursor
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Dead, Reason
from fanout_dispatcher.values.views import SagaFilter

Rows = list[tuple[int, StoredEvent]]
Deed = typing.Callable[[Lane, Delivery], None]
BY_HAND: typing.Final = Dead(Reason.SAGA_ABANDONED, "abandoned by hand", spent=False)


class Sagas:
    """The stuck sagas of both books, the durable one first."""

    def __init__(self, table: Routes) -> None:
        self.table = table
        self.books = (table.durable, table.memory)
        self.one_at_a_time = asyncio.Lock()  # finding and acting: nobody acts on what another has just settled

    async def find(self, wanted: SagaFilter) -> list[tuple[Book, int, StoredEvent]]:
        """The events that *wanted* means, oldest first, at most its limit; without bodies."""
        if wanted.after is not None and all(book.receipts.read(wanted.after) is None for book in self.books):
            raise BadCursor(f"{wanted.after[:80]} is not a receipt of this dispatcher")
        found: list[tuple[Book, int, StoredEvent]] = []
        for book in self.books:
            query = self._query(book, wanted, wanted.limit - len(found))
            if query is not None:
                found += [(book, seq, stored) for seq, stored in await book.ask(query)]
        return found

    async def resume(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Have what is stuck tried again, from now on and from the first attempt; the receipts of their events."""
        return await self._act(wanted, _resumed)

    async def abandon(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Make dead letters of what is stuck, and go on with the undoing; the receipts of their events."""
        return await self._act(wanted, _abandoned)

    async def _act(self, wanted: SagaFilter, deed: Deed) -> tuple[str, ...]:
        async with self.one_at_a_time:
            found = await self.find(wanted)
            done = [book.receipts.make(seq) for book, seq, _ in found if await self._on(book, seq, deed)]
            await asyncio.gather(*(book.committer.written() for book in self.books))
        return tuple(done)

    async def _on(self, book: Book, seq: int, deed: Deed) -> bool:
        """Do it to all that is stuck of one event; False when nothing is, or no lane stands for it."""
        stored = await book.ask(lambda journal: journal.event(seq))
        if stored is None or stored.event is None:
            return False
        claimed = [(lane, lane.index.claim(row)) for lane, row in self._stuck(book, stored)]
        for lane, delivery in claimed:
            deed(lane, delivery)
            self.table.works.changed(lane.route)
        return bool(claimed)

    def _stuck(self, book: Book, stored: StoredEvent) -> list[tuple[Lane, Pulled]]:
        """What is stuck of an event, on disk and in memory alike: what only one of them says is on its way."""
        event = stored.event
        assert event is not None, "it is not settled"
        live = book.live.get(event.seq)
        found: list[tuple[Lane, Pulled]] = []
        for place, state in enumerate(stored.states):
            lane = self.table.lanes.get((book, event.frozen.route, event.frozen.targets[place]))
            row = next((row for row in stored.due if row.lane == event.frozen.lanes[place]), None)
            known = live is None or live.states[place] == state
            if state == State.STUCK and known and lane and row and not lane.index.claimed(event.seq):
                found.append((lane, Pulled(row, event, stored.states, stored.kept)))
        return found

    def _query(self, book: Book, wanted: SagaFilter, limit: int) -> typing.Callable[[Journal], Rows] | None:
        """*wanted* in the journal's own numbers; None when it cannot mean anything in this book."""
        after = 0
        if wanted.after is not None:
            seq = book.receipts.read(wanted.after)
            if seq is None and book is self.books[0]:
                return None  # the cursor is past this book
            after = seq or 0
        lanes = [lane for lane in self.table.lanes.values() if lane.book is book and lane.tally.meter.stuck]
        numbers = [lane.number for lane in lanes if wanted.route in {None, lane.route}]
        if limit <= 0 or not numbers:
            return None
        if not wanted.receipts:
            return lambda journal: journal.stuck(numbers, after, limit)
        seqs = {seq for seq in map(book.receipts.read, wanted.receipts) if seq is not None and seq > after}
        return lambda journal: _named(journal, numbers, sorted(seqs)[:limit])


def _named(journal: Journal, lanes: list[int], seqs: list[int]) -> Rows:
    """Those of the events *seqs* that are stuck."""
    found = dict(row for seq in seqs for row in journal.stuck(lanes, seq - 1, 1))
    return [(seq, found[seq]) for seq in seqs if seq in found]


def _resumed(lane: Lane, delivery: Delivery) -> None:
    delivery.attempts = 0
    delivery.pending.states[delivery.index] = State.PENDING
    lane.book.committer.touch(delivery.pending)
    lane.tally.meter.stuck -= 1
    lane.index.put_back(delivery, lane.clock.now())
    receipt = lane.book.receipts.make(delivery.pending.event.seq)
    lane.works.seam.tell(SagaResumed(route=lane.route, target=lane.target.name, receipt=receipt))


def _abandoned(lane: Lane, delivery: Delivery) -> None:
    lane.settling.give_up(delivery, BY_HAND, lane.clock.now())
