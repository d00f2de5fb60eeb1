"""What a lane tells the outside by itself: that its circuit has changed, what cannot be read, what is pending."""

import typing

from fanout_crds import plan
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.fallbacks import Fallbacks
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.policies.circuit import Circuit, CircuitState
from fanout_dispatcher.telemetry.seam import CircuitChanged, DeliveriesReadable, DeliveriesUnreadable
from fanout_dispatcher.values.outcome import Reason

CIRCUIT_OPEN: typing.Final = Reason.CIRCUIT_OPEN.value  # why a lane holds what it has, beside what a plan says


class Cached(typing.Protocol):
    """The cache of a target."""

    def part(self) -> None:
        """Nobody waits for another one's answer any more."""


class Lane(typing.Protocol):
    """What this asks of its lane."""

    book: Book
    circuit: Circuit
    clock: Clock
    fallbacks: Fallbacks
    index: Index
    route: str
    tally: Tally
    target: plan.Target
    works: Works

    @property
    def reuse(self) -> Cached | None:
        """Its cache, if it has one."""

    def why_held(self) -> str | None:
        """Why nothing is sent, in a word; None while the lane is free to send."""


class Herald:
    """Speaks for one lane."""

    __slots__ = ("_lane", "_unreadable")

    def __init__(self, lane: Lane) -> None:
        self._lane = lane
        self._unreadable = False

    def report(self, now: float) -> None:
        """Tell how much is pending, if that is not known outside, and note how long the oldest of it waits to be sent.

        What waits for something else (a reference, a probe, people, company in a batch) does not wait for its turn.
        """
        lane = self._lane
        meter = lane.tally.meter
        pending = meter.pending
        waits = bool(pending) and lane.why_held() is None
        since = min(window.waits_since() for window in lane.index.windows) if waits else now
        batch = lane.target.policy.batch
        meter.backlog_age = max(0.0, now - since - (0.0 if batch is None else batch.max_wait))
        if pending != lane.tally.reported:
            lane.tally.reported = pending
            lane.works.changed(lane.route)

    def read(self, fault: Exception | None) -> None:
        """Tell, once, that the journal does not give what waits, or does again; a restart may be what it needs."""
        if self._unreadable is (fault is not None):
            return
        self._unreadable = fault is not None
        lane = self._lane
        target = lane.tally.meter.target
        if fault is None:
            lane.works.seam.tell(DeliveriesReadable(route=lane.route, target=target))
        else:
            lane.tally.last_error = f"the journal cannot be read: {fault}"
            lane.works.seam.tell(DeliveriesUnreadable(route=lane.route, target=target, why=str(fault)))
        lane.works.changed(lane.route)

    def held(self, why: str) -> None:
        """Tell callers that nothing is sent now; first those are released who would wait for another one's answer."""
        lane = self._lane
        if lane.reuse is not None:
            lane.reuse.part()
        lane.works.callers.held(lane.route, lane.tally.meter.target, why, lane.book)

    def circuit_changed(self, state: CircuitState) -> None:
        """Tell that the circuit has become another, and those who wait for the target if it is open."""
        lane = self._lane
        meter = lane.tally.meter
        before, meter.circuit = meter.circuit, lane.circuit.shown.value
        probed = lane.circuit.probe_at
        why = (lane.tally.last_error or "") if state is CircuitState.OPEN else ""  # it is no reason to close
        lane.works.seam.tell(
            CircuitChanged(
                route=lane.route,
                target=meter.target,
                before=before,
                after=state.value,
                why=why,
                opens_for=None if probed is None else probed - lane.clock.now(),
            )
        )
        if lane.circuit.holds:
            self.held(CIRCUIT_OPEN)
            lane.fallbacks.circuit_opened()
        lane.works.changed(lane.route)
