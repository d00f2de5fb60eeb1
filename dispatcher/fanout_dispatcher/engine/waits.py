"""What callers of one route wait for, worked out once for a plan: whose answers, and what may stand in for whom.

A caller hears of places: one for each target that it waits for, in the order of the plan. A delivery stands for the
place of its target; that of a fallback for the place of the target that it stands in for.
"""

import typing

import msgspec

from fanout_crds import plan
from fanout_dispatcher.engine.lines import Line
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Reason

NOBODY: typing.Final = -1
CIRCUIT_OPEN: typing.Final = Reason.CIRCUIT_OPEN.value


class Lane(typing.Protocol):
    """A target's lane, as far as a caller asks it."""

    def why_held(self) -> str | None:
        """Why nothing is sent, in a word."""

    def why_silent(self) -> str | None:
        """Why nothing is to be heard of it whatever it is asked, in a word."""


class Committer(typing.Protocol):
    """Whoever knows when the journal has something."""

    def once_written(self, then: typing.Callable[[], None]) -> None:
        """Call *then* once everything up to now is committed."""


class Book(typing.Protocol):
    """Where the event is."""

    @property
    def committer(self) -> Committer:
        """Writes what becomes of it."""

    def release(self, pending: Pending) -> None:
        """Nobody waits for it any more."""


class StandIn(msgspec.Struct, frozen=True, eq=False):
    """What a caller hears of in place of a target that is given up."""

    answer: Captured | None = None  # a static one
    index: int = NOBODY  # or another delivery of the event, which this lane has
    lane: Lane | None = None


class Waits(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """``places`` has an entry for each of the event's deliveries: the place that it stands for, NOBODY for none."""

    rule: plan.Respond
    book: Book
    lanes: tuple[Lane, ...]  # of the targets waited for, by place
    names: tuple[str, ...]
    places: tuple[int, ...]
    silence: tuple[Heard, ...]  # what is heard of each of these to begin with
    captures: tuple[int, ...]  # bytes of its answer that a caller is shown
    firsts: tuple[int, ...]  # the delivery of each of these …
    stand_ins: dict[int, StandIn]  # … and what stands in for that, where something does
    durable: bool
    lines: tuple[Line | None, ...] = ()  # of these, those that callers stand in line for; empty: none

    def instead(self, index: int) -> Heard | None:
        """The static answer in place of a target that is given up, if there is one."""
        stand_in = self.stand_ins.get(index)
        if stand_in is None or stand_in.answer is None:
            return None
        return Heard(self.names[self.places[index]], State.DELIVERED, answer=stand_in.answer, fallback=True)

    def why_held(self, index: int) -> str | None:
        """Why nothing more is sent now to whoever has that delivery."""
        place = self.places[index]
        first = self.firsts[place]
        lane = self.lanes[place] if index == first else self.stand_ins[first].lane
        return None if lane is None else lane.why_held()

    def why_lost(self, index: int, held: str | None) -> str | None:
        """Why nothing is to be hoped for of what is *held*; a circuit is no reason where a fallback stands in then."""
        return None if held == CIRCUIT_OPEN and index in self.stand_ins else held
