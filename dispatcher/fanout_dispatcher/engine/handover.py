"""How deliveries of events with a graph come to a lane, and leave it: what the conductor tells a lane.

One that was freed is *owed* from the moment on that this is decided, and is here once that is on disk. Meanwhile, and
as long as it waits here, it may be called off.
"""

import typing

from fanout_crds.plan import Target
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.fallbacks import Fallbacks
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery, Pending
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.journal.protocol import FOREVER, DeadRow
from fanout_dispatcher.telemetry.seam import SagaStuck
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.earlier import earlier
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Dead


class Lane(typing.Protocol):
    """What a handover asks of its lane."""

    book: Book
    clock: Clock
    fallbacks: Fallbacks
    index: Index
    route: str
    tally: Tally
    target: Target
    works: Works

    def answers(self, delivery: Delivery) -> bool:
        """Take care of a delivery that need not be sent, or not now."""

    def left(self, delivery: Delivery) -> None:
        """It will not be sent: nobody waits for its answer."""

    def mourn(self, row: DeadRow) -> None:
        """Count and tell a dead letter."""

    def settle(self, delivery: Delivery, state: int) -> None:
        """What is left of it is what *state* says, and what follows from that."""

    def soon(self) -> None:
        """Pump in the next turn of the loop."""


class Handover:
    """The conductor's side of one lane."""

    __slots__ = ("_fresh", "_lane", "_tried")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._fresh, self._tried = lane.index.windows

    def __repr__(self) -> str:
        return f"<Handover {self._lane!r}>"

    def owe(self, pending: Pending, place: int) -> None:
        """A delivery that was freed is owed from now on, and counted; it is not there yet.

        Of an event that the next start would not look at any more it gets its row in the commit that frees it.
        """
        lane, seq = self._lane, pending.event.seq
        lane.tally.came(len(pending.event.body))
        if seq < lane.book.marked:
            self._fresh.claimed.add(seq)
            lane.index.add(seq, lane.clock.now() + lane.target.delay)
        else:
            pending.bare += 1

    def unowe(self, pending: Pending) -> None:
        """What was owed is not any more: it leaves the index, and its window, where it would be given a row again."""
        lane = self._lane
        lane.tally.left(len(pending.event.body))
        lane.index.remove(pending.event.seq)
        for window in lane.index.windows:
            if (delivery := window.pick(pending)) is not None:
                self.drop(delivery)

    def forget(self, pending: Pending, place: int) -> None:
        """What was owed and is not any more was not here yet."""
        self.drop(self._freed(pending, place))

    def begin(self, pending: Pending, place: int) -> None:
        """What was owed may go: into the window, or into the index."""
        lane = self._lane
        now, delay, delivery = lane.clock.now(), lane.target.delay, self._freed(pending, place)
        if not delay and lane.answers(delivery):  # first: what is known is better than what stands in for it
            return None
        if pending.caller is not None and lane.fallbacks.at_once(pending, place):
            return self.drop(delivery)
        if delay or not self._fresh.room(now):
            lane.index.put_back(delivery, now + delay)
        else:
            self._fresh.push(delivery)
            lane.soon()
        return None

    def brief(self, flight: Flight, delivery: Delivery) -> None:
        """Say what became of the targets before, and how much is to be kept of what this one answers."""
        pending = delivery.pending
        frozen, course = pending.event.frozen, pending.course
        if course is not None and course.flow.keeps:
            flight.capture = max(flight.capture, frozen.graph[delivery.index].keep)
            flight.earlier = earlier(frozen, pending.states, course.kept)

    def resume(self, delivery: Delivery) -> None:
        """Take back a delivery whose start was being noted: it is the next to go."""
        (self._tried if delivery.attempts else self._fresh).give_back(delivery)
        self._lane.soon()

    def drop(self, delivery: Delivery) -> None:
        """Let go of a delivery that was settled while it waited here."""
        self._lane.left(delivery)
        if delivery.claims is None:
            delivery.pending.bare -= 1
        else:
            delivery.claims.discard(delivery.pending.event.seq)
        self._lane.book.release(delivery.pending)

    def goes_on(self, delivery: Delivery) -> bool:
        """Whether a delivery that would be tried again is wanted still; else it is called off."""
        lane, pending = self._lane, delivery.pending
        if lane.book.conductor.called_off(pending, delivery.index):
            lane.settle(delivery, State.CALLED_OFF)
            return False
        lane.book.committer.touch(pending)  # whether it may have been done goes with its row
        return True

    def spares(self, delivery: Delivery, dead: Dead) -> bool:
        """Whether a delivery that is given up is no dead letter; then it is taken care of."""
        conductor, pending, place = self._lane.book.conductor, delivery.pending, delivery.index
        if pending.states[place] & State.MASK:  # called off while it waited
            self.drop(delivery)
        elif conductor.stands_in(pending, place, dead.reason):
            self._lane.fallbacks.give_way(pending, place, dead)
            self._lane.settle(delivery, State.settled(State.DEAD, delivery.attempts))
            self._lane.fallbacks.took(pending, dead, delivery.attempts)
        elif conductor.sticks(pending, place, dead.reason):
            self.stick(delivery, dead)
        else:
            return False
        return True

    def stick(self, delivery: Delivery, dead: Dead) -> None:
        """A compensation that is given up waits for people: dropped, nobody would know what is left undone."""
        lane, pending = self._lane, delivery.pending
        pending.states[delivery.index] = State.STUCK
        lane.book.committer.touch(pending)
        lane.index.put_back(delivery, FOREVER)
        lane.tally.meter.stuck += 1
        lane.works.seam.tell(
            SagaStuck(
                route=lane.route,
                target=lane.target.name,
                receipt=lane.book.receipts.make(pending.event.seq),
                reason=dead.reason.value,
                detail=dead.detail,
            )
        )
        lane.works.changed(lane.route)

    def skip(self) -> None:
        """Count a delivery that is not for it."""
        self._lane.tally.meter.skipped += 1

    def mourn(self, row: DeadRow) -> None:
        """Count and tell a dead letter."""
        self._lane.mourn(row)

    def _freed(self, pending: Pending, place: int) -> Delivery:
        claims = self._fresh.claimed
        return Delivery(pending, place, claims=claims if pending.event.seq in claims else None)
