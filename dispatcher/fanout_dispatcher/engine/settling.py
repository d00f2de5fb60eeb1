"""What becomes of a lane's deliveries: verdicts are carried out here, and what has waited in vain is given up.

Whatever is settled comes through ``settle``, once. Its state, its row in the index and its dead letter go into one
commit, with all that follows from it in its graph. What is not settled goes back into the index, until its time comes
or people decide.
"""

import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.dead import DeadLetters
from fanout_dispatcher.engine.handover import Handover
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.journal.protocol import DeadRow
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Again, Dead, Done, Outcome, Reason, Verdict


class Lane(typing.Protocol):
    """What this asks of a lane."""

    book: Book
    dead: DeadLetters
    handover: Handover
    index: Index
    tally: Tally

    def holds(self) -> bool:
        """Whether a dead letter keeps its place in the order of its key."""

    def left(self, delivery: Delivery) -> None:
        """It will not be sent: nobody waits for its answer."""

    def mourn(self, row: DeadRow) -> None:
        """Count and tell a dead letter."""

    def why_held(self) -> str | None:
        """Why nothing is sent, in a word."""


class Settling:
    """Settles the deliveries of one lane, or puts them back."""

    __slots__ = ("_lane",)

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def __repr__(self) -> str:
        return f"<Settling {self._lane!r}>"

    def carry_out(self, delivery: Delivery, outcome: Outcome, verdict: Verdict, now: float) -> None:
        """Do as the verdict on an attempt says, between telling its graph and its caller what that came to."""
        pending = delivery.pending
        if pending.course is not None:
            self._lane.book.conductor.landed(pending, delivery.index, outcome)
        match verdict:
            case Done():
                delivery.attempts += 1
                self.settle(delivery, State.settled(State.DELIVERED, delivery.attempts))
            case Again():
                delivery.attempts += verdict.spent
                self._lane.tally.meter.retried += verdict.spent
                self._again(delivery, verdict.at)
            case Dead():
                delivery.attempts += verdict.spent
                self._bury(delivery, verdict, now)
            case _:
                typing.assert_never(verdict)
        if (caller := pending.caller) is not None:
            caller.landed(delivery.index, outcome, verdict)

    def expire(self, delivery: Delivery, now: float) -> None:
        """Give up what has waited for too long."""
        reason = self._lane.why_held()
        waited = "timeouts.total passed while it waited" + (f" ({reason})" if reason else "")
        self.give_up(delivery, Dead(Reason.EXPIRED, waited), now)

    def give_up(self, delivery: Delivery, dead: Dead, now: float) -> None:
        """Give up a delivery though no attempt has led to it."""
        over = delivery.pending.states[delivery.index] & State.MASK  # called off while it waited: that was told
        self._bury(delivery, dead, now)
        self._lane.left(delivery)
        if not over and (caller := delivery.pending.caller) is not None:
            caller.died(delivery.index, dead)

    def settle(self, delivery: Delivery, state: int) -> None:
        """What is left of it is what *state* says, and what follows from that."""
        lane, pending = self._lane, delivery.pending
        before = pending.states[delivery.index]
        pending.states[delivery.index] = state
        pending.left -= 1
        lane.book.committer.touch(pending)
        pending.refs -= 1  # never the last one: the touch holds one until it is committed
        lane.tally.left(len(pending.event.body))
        lane.index.drop(delivery, holds=state & State.MASK == State.DEAD and lane.holds())
        if before == State.STUCK:
            lane.tally.meter.stuck -= 1
        if pending.course is not None:
            lane.book.conductor.settled(pending, delivery.index, before)

    def _again(self, delivery: Delivery, at: float) -> None:
        if delivery.pending.course is None or self._lane.handover.goes_on(delivery):
            self._lane.index.put_back(delivery, at)

    def _bury(self, delivery: Delivery, dead: Dead, now: float) -> None:
        """Make a dead letter of it, unless something stands in for it or people have to decide."""
        lane = self._lane
        if delivery.pending.course is not None and lane.handover.spares(delivery, dead):
            return
        row = lane.dead.row(delivery, dead, now)
        lane.book.committer.bury(row)
        self.settle(delivery, State.settled(State.DEAD, delivery.attempts))
        lane.mourn(row)
