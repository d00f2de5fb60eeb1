"""The conductor's side of a lane: how deliveries of events with a graph come to it and leave it.

A delivery is *owed*, and counted as pending, from the moment at which the flow frees it. It begins in the lane once
that is on disk. It may be called off before it begins, and for as long as it waits in the lane.
"""

import typing

from fanout_crds.plan import Target
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.bounds import QUEUE_FULL, Bounds
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.fallbacks import Fallbacks
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery, Pending
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.journal.protocol import FOREVER, DeadRow, DueRow
from fanout_dispatcher.telemetry.seam import SagaStuck
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Dead, Reason

FULL: typing.Final = Dead(Reason.QUEUE_FULL, QUEUE_FULL, spent=False)


class Settles(typing.Protocol):
    """What settles a lane's deliveries."""

    def settle(self, delivery: Delivery, state: int) -> None:
        """Settle a delivery as *state* says, with all that follows from it in its graph."""


class Lane(typing.Protocol):
    """What a handover asks of its lane."""

    book: Book
    bounds: Bounds
    clock: Clock
    fallbacks: Fallbacks
    index: Index
    route: str
    tally: Tally
    target: Target
    works: Works

    @property
    def settling(self) -> Settles:
        """What settles its deliveries."""

    def answers(self, delivery: Delivery) -> bool:
        """Whether the target's cache settles a delivery, or will: then it is taken care of."""

    def left(self, delivery: Delivery) -> None:
        """It will not be sent: nobody waits for its answer."""

    def mourn(self, row: DeadRow) -> None:
        """Count a dead letter, and tell the seam."""

    def soon(self) -> None:
        """Pump in the next turn of the loop."""


class Handover:
    """The conductor's side of one lane."""

    __slots__ = ("_fresh", "_lane")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._fresh, _ = lane.index.windows

    def __repr__(self) -> str:
        return f"<Handover {self._lane!r}>"

    def owe(self, pending: Pending, place: int) -> DueRow | None:
        """Count a delivery that was freed as owed. It comes with `begin`, once that is committed.

        What is given goes into the commit that frees it. A restart looks for deliveries without a row only above the
        book's mark: below it this one needs a row at once. So does one with a delay, which a crash would forget.
        """
        lane, seq = self._lane, pending.event.seq
        lane.tally.came(len(pending.event.body))
        if seq >= lane.book.marked and not lane.target.delay:
            pending.bare += 1
            return None
        self._fresh.claimed.add(seq)
        return DueRow(lane.index.number, seq, lane.clock.now() + lane.target.delay)

    def barred(self, size: int) -> Dead | None:
        """Why an event of *size* bytes cannot wait for the target, and is given up."""
        bounds = self._lane.bounds
        return None if bounds.rejects or not bounds.overfull(size) else FULL

    def unowe(self, pending: Pending) -> None:
        """Count a delivery as owed no more, and remove it from index and window: neither may give it a row again."""
        lane = self._lane
        lane.tally.left(len(pending.event.body))
        lane.index.remove(pending.event.seq)
        for window in lane.index.windows:
            if (delivery := window.pick(pending)) is not None:
                self.drop(delivery)

    def forget(self, pending: Pending, place: int) -> None:
        """Give up the claim on a delivery that is owed no more and never came by `begin`."""
        self.drop(self._freed(pending, place))

    def begin(self, pending: Pending, place: int) -> None:
        """Take a delivery that is owed: into the window, or into the index."""
        lane = self._lane
        now, delay, delivery = lane.clock.now(), lane.target.delay, self._freed(pending, place)
        if not delay and lane.answers(delivery):  # first: what is known is better than what stands in for it
            return None
        if pending.caller is not None and lane.fallbacks.at_once(pending, place):
            return self.drop(delivery)
        if not delay and self._fresh.room(now):
            delivery.since = now
            self._fresh.push(delivery)
            lane.soon()
            return None
        lane.left(delivery)  # it comes back as another one, and would wait for the answer to this one
        if delivery.claims is None:
            lane.index.put_back(delivery, now + delay)
        else:
            lane.index.let_go(delivery, now)
        return None

    def call_off(self, delivery: Delivery) -> None:
        """Settle a delivery that is in hand, and not wanted any more."""
        self._lane.settling.settle(delivery, State.CALLED_OFF)
        if (caller := delivery.pending.caller) is not None:
            caller.passed_over(delivery.index, State.CALLED_OFF)
        self._lane.left(delivery)

    def drop(self, delivery: Delivery) -> None:
        """Let go of a delivery that was settled while it waited in the window."""
        self._lane.left(delivery)
        if delivery.claims is None:
            delivery.pending.bare -= 1
        else:
            delivery.claims.discard(delivery.pending.event.seq)
        self._lane.book.release(delivery.pending)

    def goes_on(self, delivery: Delivery) -> bool:
        """Whether a delivery may be tried again; if its saga has failed meanwhile, it is called off here."""
        lane, pending = self._lane, delivery.pending
        if lane.book.conductor.called_off(pending, delivery.index):
            self.call_off(delivery)
            return False
        lane.book.committer.touch(pending)  # Unknown and Started are committed together with its row
        return True

    def spares(self, delivery: Delivery, dead: Dead) -> bool:
        """Whether a delivery that is given up becomes no dead letter: then it is settled, or stuck, here."""
        conductor, pending, place = self._lane.book.conductor, delivery.pending, delivery.index
        if pending.states[place] & State.MASK:  # called off while it waited
            self.drop(delivery)
        elif conductor.stands_in(pending, place, dead.reason):
            self._lane.fallbacks.give_way(pending, place, dead)
            self._lane.settling.settle(delivery, State.settled(State.DEAD, delivery.attempts))
            self._lane.fallbacks.took(pending, dead, delivery.attempts)
        elif conductor.sticks(pending, place, dead.reason):
            self.stick(delivery, dead)
        else:
            return False
        return True

    def stick(self, delivery: Delivery, dead: Dead) -> None:
        """Keep a compensation that was given up until people decide: nobody else knows what is left to undo."""
        lane, pending = self._lane, delivery.pending
        pending.states[delivery.index] = State.STUCK
        lane.book.committer.touch(pending)
        lane.index.put_back(delivery, FOREVER, dead)
        lane.tally.stuck(dead)
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

    def has_static(self) -> bool:
        """Whether the target has a static answer by now."""
        return self._lane.target.static is not None

    def give_way(self, pending: Pending, place: int, dead: Dead) -> None:
        """Keep what later steps read of a delivery that is given up before it is owed, and stood in for."""
        self._lane.fallbacks.give_way(pending, place, dead)

    def fell_back(self, pending: Pending, dead: Dead) -> None:
        """Count that something stood in for such a delivery."""
        self._lane.fallbacks.took(pending, dead, 0)

    def skip(self) -> None:
        """Count a delivery that was skipped."""
        self._lane.tally.meter.skipped += 1

    def mourn(self, row: DeadRow) -> None:
        """Count a dead letter, and tell the seam."""
        self._lane.mourn(row)

    def _freed(self, pending: Pending, place: int) -> Delivery:
        claims = self._fresh.claimed
        return Delivery(pending, place, claims=claims if pending.event.seq in claims else None)
