"""Positions of a graph whose turn has come and which cannot go: they are given up before any lane has heard of them.

A position cannot go where its target is in no plan any more, or where `queue.maxBytes` of a target that turns nothing
away (``onFull: DeadLetter``) is reached. Only targets are given up for that: a compensation, a fallback and a callback
are what repairs, and wait in any case.
"""

import typing

import msgspec

from fanout_dispatcher.engine.conditions import Conditions
from fanout_dispatcher.engine.flow import Moves
from fanout_dispatcher.engine.pending import Course, Pending
from fanout_dispatcher.journal.protocol import DeadRow
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.graph import Role
from fanout_dispatcher.values.outcome import Dead, Reason

_GONE: typing.Final = Dead(Reason.TARGET_REMOVED, spent=False)


class Barred(msgspec.Struct, frozen=True, gc=False):
    """A position that cannot go, and why. *row*: its dead letter; None: something stands in for it."""

    place: int
    dead: Dead
    row: DeadRow | None


class Lane(typing.Protocol):
    """The lane of a position."""

    def barred(self, size: int) -> Dead | None:
        """Why an event of *size* bytes cannot wait for the target, and is given up."""

    def give_way(self, pending: Pending, place: int, dead: Dead) -> None:
        """Keep what later steps read of a delivery that is given up before it is owed, and stood in for."""


class Conductor(typing.Protocol):
    """Who conducts the event."""

    def lane_of(self, pending: Pending, place: int) -> Lane | None:
        """The lane of a position, if there is one."""

    def stands_in(self, pending: Pending, place: int, reason: Reason) -> bool:
        """Whether a delivery that is given up for *reason* is no dead letter."""

    def dead_letter(self, pending: Pending, place: int, dead: Dead) -> DeadRow:
        """Make the dead letter of a position that was never a delivery of a lane."""

    def keep(self, pending: Pending, place: int, kept: Kept) -> None:
        """Keep what became of a position, if expressions read it."""


def bar(conductor: Conductor, pending: Pending, moves: Moves, conditions: Conditions) -> list[Barred]:
    """Give up what was freed by *moves* and cannot go; what follows from that is added to them.

    A fallback whose turn comes by that may be passed over again, when the next one that cannot go fails the saga: who
    is stood in for shows at the end.
    """
    course, states, found = pending.course, pending.states, list[Barred]()
    assert course is not None, "only events with a graph have positions"
    spared: set[int] = set()
    while (one := _cannot_go(conductor, pending, course, moves)) is not None:
        place, dead = one
        moves.freed.remove(place)
        found.append(Barred(place, dead, conductor.dead_letter(pending, place, dead)))
        if _gives_way(conductor, pending, place, dead):
            spared.add(place)
        states[place] = State.DEAD
        course.flow.settled(states, place, unknown=False, flying=course.flying, ask=conditions.holds, moves=moves)
    return [
        Barred(one.place, one.dead, None) if one.place in spared and course.flow.stood_in(states, one.place) else one
        for one in found
    ]


def letters(barred: typing.Iterable[Barred]) -> list[DeadRow]:
    """The dead letters of what cannot go."""
    return [one.row for one in barred if one.row is not None]


def _cannot_go(conductor: Conductor, pending: Pending, course: Course, moves: Moves) -> tuple[int, Dead] | None:
    """The first of what was freed that cannot go, and why."""
    for place in moves.freed:
        lane = conductor.lane_of(pending, place)
        if lane is None:
            return place, _GONE
        if course.flow.role(place) is Role.TARGET and (dead := lane.barred(len(pending.event.body))) is not None:
            return place, dead
    return None


def _gives_way(conductor: Conductor, pending: Pending, place: int, dead: Dead) -> bool:
    """Keep what later steps read of a position that is given up; whether something would stand in for it."""
    lane = conductor.lane_of(pending, place)
    stood_in = conductor.stands_in(pending, place, dead.reason)
    if stood_in and lane is not None:
        lane.give_way(pending, place, dead)
    else:
        conductor.keep(pending, place, Kept(reason=dead.reason.value))
    return stood_in
