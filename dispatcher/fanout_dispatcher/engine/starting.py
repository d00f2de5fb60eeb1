"""From the slot to the sending: what a delivery of an event with a graph goes through when its gates have said yes.

One that can be undone is noted as started, and that is committed, before it is sent: after a crash nobody could say
otherwise whether there is something to undo. It has its slot before that, and keeps it over the commit. So nothing is
ever noted but what is about to be sent, no more than there are slots: what waits for one is called off when its saga
fails, and is not undone. And it keeps its place in the line, since it leaves that only once.

Things may change while it is being noted: the saga fails, the target is held, its circuit opens. Then it is not sent,
what it took is handed back, and the note is taken back with the next commit.
"""

import functools
import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.fallbacks import Fallbacks
from fanout_dispatcher.engine.gates import NOT_SENT, Gates
from fanout_dispatcher.engine.handover import Handover
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.policies.circuit import Circuit
from fanout_dispatcher.policies.decide import Rules
from fanout_dispatcher.transport.protocol import Flight, Sender
from fanout_dispatcher.values.earlier import earlier
from fanout_dispatcher.values.outcome import Again, Reason


class Lane(typing.Protocol):
    """What this asks of a lane."""

    book: Book
    circuit: Circuit
    clock: Clock
    ending: Reason | None
    fallbacks: Fallbacks
    gates: Gates
    handover: Handover
    held: str | None
    index: Index
    rules: Rules
    sender: Sender | None
    tally: Tally
    works: Works

    def soon(self) -> None:
        """Pump in the next turn of the loop."""


class Starting:
    """The starts of one lane, as far as their events have a graph."""

    __slots__ = ("_lane",)

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def __repr__(self) -> str:
        return f"<Starting {self._lane!r}>"

    def at_once(self, flight: Flight, delivery: Delivery) -> bool:
        """Whether its lane sends it in this step; else it has its slot now, and is sent when it is noted."""
        lane, pending, place = self._lane, delivery.pending, delivery.index
        if not lane.book.conductor.noting(pending, place, functools.partial(self._noted, flight, delivery)):
            _brief(flight, delivery)
            return True
        lane.gates.reserve(flight, flight.entered)
        lane.tally.meter.in_flight += 1
        if pending.caller is not None:
            pending.caller.flies(place)
        return False

    def _noted(self, flight: Flight, delivery: Delivery) -> None:
        """It is on disk that it is started: now it is sent."""
        lane = self._lane
        now, sender = lane.clock.now(), flight.sender
        if sender is None or not self._wanted(flight, delivery, now):
            return self._stay(flight, delivery, now)
        _brief(flight, delivery)
        flight.started, flight.entered = now - lane.clock.offset, now
        lane.gates.start(flight, now)
        if lane.rules.attempt:
            lane.works.wheel.add(flight, flight.started + lane.rules.attempt)
        lane.soon()  # a rate limit may let the next one in only now
        return sender.start(flight)

    def _wanted(self, flight: Flight, delivery: Delivery, now: float) -> bool:
        lane, pending = self._lane, delivery.pending
        free = lane.held is None and lane.ending is None and lane.sender is flight.sender
        in_time = now < lane.rules.expires(pending.event.accepted)
        called_off = lane.book.conductor.called_off(pending, delivery.index)
        return free and in_time and not called_off and not lane.circuit.lapsed(flight)

    def _stay(self, flight: Flight, delivery: Delivery, now: float) -> None:
        """It is not sent: called off, or back in its old place."""
        lane, pending, place = self._lane, delivery.pending, delivery.index
        conductor, caller = lane.book.conductor, pending.caller
        flight.landed = True
        lane.gates.hand_back(flight, now)
        lane.tally.meter.in_flight -= 1
        conductor.not_sent(pending, place)
        lane.soon()
        if conductor.called_off(pending, place):
            return lane.handover.call_off(delivery)
        lane.index.windows[delivery.attempts > 0].take_back(delivery)
        if caller is not None:
            caller.landed(place, NOT_SENT, Again(now, spent=False))
            caller.stands(place)
            lane.fallbacks.at_once(pending, place)
        return None


def _brief(flight: Flight, delivery: Delivery) -> None:
    """Say what became of the targets before, and how much is to be kept of what this one answers."""
    pending = delivery.pending
    frozen, course = pending.event.frozen, pending.course
    if course is not None and course.flow.keeps:
        flight.capture = max(flight.capture, frozen.graph[delivery.index].keep)
        flight.earlier = earlier(frozen, pending.states, course.kept)
