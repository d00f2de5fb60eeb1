"""Lines: callers whose delivery has not come to a slot of its target's bulkhead yet, where ``maxQueue`` bounds them.

A caller that would have to wait for a slot for longer than it waits at all is better told at once. So it is turned away
before anything is accepted: what goes on behind a 503 would only keep the slots from those who still wait. One stands
in line from the event's acceptance until its delivery is in flight, or settled, or until the caller has its answer; one
that waits for a retry does not, and neither does one that a cache has an answer for, or is about to. Where that comes
to nothing it stands in line from then on, also in one that is full: so those who come next are turned away.
"""

import typing
from collections.abc import Sequence

from fanout_crds import plan
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.gates import Gates
from fanout_dispatcher.values.answers import Turned
from fanout_dispatcher.values.event import Event, Head

BUSY: typing.Final = 1  # seconds after which one that was turned away may try again


class Cached(typing.Protocol):
    """The cache of a target."""

    def serves(self, head: Head, body: bytes) -> bool:
        """Whether an event that comes in now needs no slot."""


class Lane(typing.Protocol):
    """A target's lane, as far as a line needs it."""

    gates: Gates
    target: plan.Target

    @property
    def reuse(self) -> Cached | None:
        """Its cache, if it has one."""


class Waits(typing.Protocol):
    """What callers of a route wait for."""

    @property
    def lines(self) -> Sequence["Line | None"]:
        """By the place of each target that is waited for."""

    @property
    def places(self) -> Sequence[int]:
        """By each delivery, the place of its target."""


class Line:
    """The callers in line for one target."""

    __slots__ = ("lane", "waiting")

    def __init__(self, lane: Lane) -> None:
        self.lane = lane
        self.waiting = 0

    def __repr__(self) -> str:
        return f"<Line {self.waiting} for {self.lane.gates.bulkhead}>"

    @property
    def full(self) -> bool:
        """No slot is free for one more caller, and no place in line: those in line will have the slots first."""
        most = self.lane.target.policy.bulkhead.max_queue
        gates = self.lane.gates
        slots = gates.bulkhead.limit
        if gates.adaptive is not None:
            slots = min(slots, int(gates.adaptive.limit))
        return most is not None and gates.bulkhead.in_flight + self.waiting >= slots + most

    def spares(self, head: Head, body: bytes) -> bool:
        """Whether an event has no need to stand here: it is going to be answered without a slot."""
        cache = self.lane.reuse
        return cache is not None and cache.serves(head, body)


def lines(lanes: Sequence[Lane], before: Sequence[Line | None]) -> tuple[Line | None, ...]:
    """The line of each of *lanes* that asks for one, taken over from *before* where it is there; empty if none asks."""
    known = {id(line.lane): line for line in before if line is not None}
    made = tuple(
        None if lane.target.policy.bulkhead.max_queue is None else known.get(id(lane)) or Line(lane) for lane in lanes
    )
    return made if any(made) else ()


def no_room(waits: Waits, judged: Judged | None, head: Head, body: bytes) -> Turned | None:
    """Why one more caller cannot stand in line, if so: for the first target of its event whose line is full."""
    for line in _of_event(waits, judged) if waits.lines else ():
        if line is not None and line.full and not line.spares(head, body):
            target = line.lane.target
            detail = (
                f"target {target.name} has no slot free and as many callers in line as bulkhead.maxQueue lets,"
                f" {target.policy.bulkhead.max_queue}: nothing was accepted, try again later"
            )
            return Turned(status=503, reason="BulkheadFull", detail=detail, retry_after=BUSY)
    return None


def stand(waits: Waits, judged: Judged | None, event: Event) -> list[Line | None]:
    """Stand in line for each target that the event is for; those lines, by place."""
    stood = [None if line is None or line.spares(event.head, event.body) else line for line in _of_event(waits, judged)]
    for line in stood:
        if line is not None:
            line.waiting += 1
    return stood


def join(stood: list[Line | None], waits: Waits, place: int) -> None:
    """Stand in the line at *place*, though nobody asked whether it is full: the event is accepted."""
    if stood[place] is None and (line := waits.lines[place]) is not None:
        stood[place] = line
        line.waiting += 1


def leave(stood: list[Line | None], place: int) -> None:
    """Leave the line at *place*, if one still stands in it."""
    line, stood[place] = stood[place], None
    if line is not None:
        line.waiting -= 1


def _of_event(waits: Waits, judged: Judged | None) -> list[Line | None]:
    """The lines of the targets that the event is for, by place."""
    found: list[Line | None] = [None for _ in waits.lines]
    for index, place in enumerate(waits.places):
        if place >= 0 and (judged is None or judged[index] is True):
            found[place] = waits.lines[place]
    return found
