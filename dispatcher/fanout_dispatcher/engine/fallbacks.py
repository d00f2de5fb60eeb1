"""A lane's target is given up, and something stands in for it: what is counted and told then, and when that is at once.

Where a caller waits, an open circuit is reason enough to give up: the fallback has the answer now, the target may have
one when nobody is there any more. Such a delivery is not sent later either, since its state says that it is over
before the caller hears of anything. Where nobody waits, deliveries are held while the circuit is open, as ever; and
when the circuit lets a probe through, a caller's delivery is that probe, or nobody would find out that the target is
well again.
"""

import typing

from fanout_crds.plan import Static, Target
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.pending import Delivery, Pending
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.policies.circuit import Circuit
from fanout_dispatcher.telemetry.seam import DeliveryFellBack
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Again, Dead, Reason, Verdict

AT_ONCE: typing.Final = Dead(Reason.CIRCUIT_OPEN, "a caller waits, and the circuit is open", spent=False)


class Lane(typing.Protocol):
    """The lane of a target that may have a fallback."""

    book: Book
    circuit: Circuit
    clock: Clock
    held: str | None
    number: int
    route: str
    tally: Tally
    target: Target
    works: Works


class Fallbacks:
    """Whether an event has a fallback for the target, its frozen graph says, whatever the plan says now."""

    __slots__ = ("_lane",)

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def __repr__(self) -> str:
        return f"<Fallbacks of {self._lane!r}>"

    def instead(self, delivery: Delivery, verdict: Again) -> Verdict:
        """What becomes of an attempt that would be made again: nothing, when its caller gets the fallback now."""
        if self._called_for(delivery.pending, delivery.index):
            return Dead(AT_ONCE.reason, AT_ONCE.detail, spent=verdict.spent)
        return verdict

    def at_once(self, pending: Pending, place: int) -> bool:
        """Give up a delivery that is not in flight, if it is better that its caller gets the fallback now."""
        called_for = self._called_for(pending, place)
        if pending.states[place] & State.MASK:
            return True  # to ask the circuit has opened it again, and that has seen to all who wait
        if not called_for:
            return False
        self.give_way(pending, place, AT_ONCE)
        self._lane.book.conductor.forgo(pending, place)
        self.took(pending, AT_ONCE, 0)
        assert pending.caller is not None, "somebody has called for it"
        pending.caller.died(place, AT_ONCE)
        return True

    def circuit_opened(self) -> None:
        """Whoever waits for what is not in flight gets the fallback."""
        lane = self._lane
        for pending in lane.works.callers.events(lane.route):
            lanes = pending.event.frozen.lanes
            place = lanes.index(lane.number) if lane.number in lanes else -1
            if place >= 0 and pending.states[place] in State.WAITING and _idle(pending, place):
                self.at_once(pending, place)

    def give_way(self, pending: Pending, place: int, dead: Dead) -> None:
        """Keep what later steps read of the target, as long as nobody else has answered: a static answer is one."""
        static = self._lane.target.static
        answer = None if static is None else static_answer(static)
        self._lane.book.conductor.keep(pending, place, Kept(answer, dead.reason.value))

    def took(self, pending: Pending, dead: Dead, attempts: int) -> None:
        """Count that something stands in for the target; one by one it is told only where an attempt led to that."""
        lane = self._lane
        counts = lane.tally.meter.fell_back
        counts[dead.reason.value] = counts.get(dead.reason.value, 0) + 1
        if dead.reason is not Reason.CIRCUIT_OPEN:
            lane.works.seam.tell(
                DeliveryFellBack(
                    route=lane.route,
                    target=lane.tally.meter.target,
                    receipt=lane.book.receipts.make(pending.event.seq),
                    reason=dead.reason.value,
                    detail=dead.detail,
                    attempts=attempts,
                )
            )

    def _called_for(self, pending: Pending, place: int) -> bool:
        lane, caller = self._lane, pending.caller
        if caller is None or pending.course is None or not caller.waits_for(place):
            return False
        now = lane.clock.now()
        if lane.held is not None or lane.circuit.opens_at(now) <= now:
            return False
        return lane.book.conductor.stands_in(pending, place, AT_ONCE.reason)


def static_answer(said: Static) -> Captured:
    """A static answer, as if a target had given it."""
    return Captured(said.status, said.headers, said.body.encode())


def _idle(pending: Pending, place: int) -> bool:
    return pending.caller is not None and not pending.caller.hears_soon(place)
