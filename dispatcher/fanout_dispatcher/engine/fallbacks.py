"""The fallbacks of one lane: when its target is given up for one, and what is counted and told then.

A caller that waits gets its fallback at once while the circuit is open: the target would answer too late for it. Its
delivery is settled before the caller is told, and so is never sent later. A delivery that nobody waits for is held
while the circuit is open, as without a fallback. When the circuit lets a probe through, a caller's delivery may be that
probe; otherwise nobody would find out that the target has recovered.
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
    """Gives a lane's deliveries up for their fallbacks. Which event has one is frozen in its graph, not in the plan."""

    __slots__ = ("_lane",)

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def __repr__(self) -> str:
        return f"<Fallbacks of {self._lane!r}>"

    def instead(self, delivery: Delivery, verdict: Again) -> Verdict:
        """Turn the verdict to try again into giving up, where the delivery's caller gets the fallback now."""
        if self._called_for(delivery.pending, delivery.index):
            return Dead(AT_ONCE.reason, AT_ONCE.detail, spent=verdict.spent)
        return verdict

    def at_once(self, pending: Pending, place: int) -> bool:
        """Give up a delivery that is not in flight, if its caller gets the fallback now. True: it is settled."""
        called_for = self._called_for(pending, place)
        if pending.states[place] & State.MASK:
            return True  # asking the circuit has opened it anew, and `circuit_opened` has settled this one
        if not called_for:
            return False
        self.give_way(pending, place, AT_ONCE)
        self._lane.book.conductor.forgo(pending, place)
        self.took(pending, AT_ONCE, 0)
        assert pending.caller is not None, "somebody has called for it"
        pending.caller.died(place, AT_ONCE)
        return True

    def circuit_opened(self) -> None:
        """Give every caller that waits for a delivery that is not in flight its fallback."""
        lane = self._lane
        for pending in lane.works.callers.events(lane.route, lane.book):
            lanes = pending.event.frozen.lanes
            place = lanes.index(lane.number) if lane.number in lanes else -1
            if place >= 0 and pending.states[place] in State.WAITING and _idle(pending, place):
                self.at_once(pending, place)

    def give_way(self, pending: Pending, place: int, dead: Dead) -> None:
        """Keep what later steps read of the target until its fallback has answered; a static answer is kept at once."""
        static = self._lane.target.static
        answer = None if static is None else static_answer(static)
        self._lane.book.conductor.keep(pending, place, Kept(answer, dead.reason.value))

    def took(self, pending: Pending, dead: Dead, attempts: int) -> None:
        """Count a fallback. It is also logged, unless it took at once: an open circuit would log every event."""
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
    """Make a target's answer of a static one."""
    return Captured(said.status, said.headers, said.body.encode())


def _idle(pending: Pending, place: int) -> bool:
    return pending.caller is not None and not pending.caller.hears_soon(place)
