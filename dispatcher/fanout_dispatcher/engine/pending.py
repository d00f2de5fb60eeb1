"""An event that is not finished, as memory holds it, and its deliveries.

``Pending`` is shared by the event's deliveries. It stays in its book's ``live`` table while anything refers to it: a
delivery in a lane's window or in flight, a settle that is not committed yet, a caller that waits. Only after the last
such commit may it go, because from then on the journal tells the same story.
"""

import typing

import msgspec

from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.flow import Flow
from fanout_dispatcher.policies.cache import Shelf
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import HISTORY, Attempt, Event
from fanout_dispatcher.values.outcome import Dead, Outcome, Verdict

VOID: typing.Final = -1  # what is left of an event that was refused after all: the committer writes nothing about it


class Caller(typing.Protocol):
    """Whoever waits for what becomes of an event's deliveries, by their place in it."""

    def waits_for(self, index: int) -> bool:
        """Whether it still waits to hear of that delivery."""

    def hears_soon(self, index: int) -> bool:
        """Whether an attempt is under way of which it hears anyway."""

    def flies(self, index: int) -> None:
        """An attempt is under way."""

    def landed(self, index: int, outcome: Outcome, verdict: Verdict) -> None:
        """It has landed."""

    def stands(self, index: int) -> None:
        """The delivery needs a slot after all, and has never been in flight: it stands in line for one."""

    def died(self, index: int, dead: Dead) -> None:
        """The delivery was given up without an attempt."""

    def passed_over(self, index: int, state: int) -> None:
        """The delivery was skipped, as *state* says."""


class Course(msgspec.Struct, eq=False):
    """What memory knows of an event's way through its graph, besides its states."""

    flow: Flow
    flying: set[int] = msgspec.field(default_factory=set)  # positions that have a slot of their target
    kept: dict[int, Kept] = msgspec.field(default_factory=dict)  # of positions that expressions read, once settled
    bytes: int = 0  # of these
    judged: Judged | None = None  # what filters said at acceptance; None: nothing, or in an earlier process
    born_dead: typing.Mapping[int, Dead] | None = None  # positions that were given up at acceptance

    def keep(self, place: int, kept: Kept) -> None:
        """Keep what became of a position."""
        before = self.kept.get(place)
        self.bytes += kept.size - (0 if before is None else before.size)
        self.kept[place] = kept


class Pending(msgspec.Struct, kw_only=True, eq=False):
    """``states`` has a byte per target (values.event.State); ``left`` counts those still pending, or is `VOID`.

    ``bare`` counts the deliveries in memory that have no due row: after a crash only a look at the event finds them.
    """

    event: Event
    states: bytearray
    left: int
    refs: int = 0
    touched: bool = False  # in the batch that is being collected
    bare: int = 0
    caller: "Caller | None" = None  # who waits for it, or has waited
    course: Course | None = None  # of an event with a graph


class Asked(msgspec.Struct, eq=False):
    """What the cache of a target knows of a delivery: by which key it looked, on which shelf.

    ``alone``: there was no answer. It asks for itself from now on, and waits for nobody else's. ``counted``: as a miss,
    since it has asked.
    """

    key: bytes  # empty: it is not looked for
    shelf: Shelf
    alone: bool = False
    counted: bool = False


class Delivery(msgspec.Struct, eq=False):
    """One event owed to one target, in a lane's window or in flight.

    ``claims`` are those of the window that pulled it out of the index, where its due row stays; None: it has none.
    ``weight``: the bytes that it counts for while it waits in a window, or for another one's answer.
    ``since``: the engine time from which on it may go, if that is later than its event.
    ``together``: it was rejected in a batch, and goes with at most so many of the others now; 0: it was not.
    """

    pending: Pending
    index: int
    attempts: int = 0
    history: tuple[Attempt, ...] = ()
    claims: set[int] | None = None
    asked: Asked | None = None
    together: int = 0
    weight: int = 0
    since: float = 0.0

    def remember(self, attempt: Attempt) -> None:
        """Add one that failed to its history, of which the last are kept."""
        self.history = (*self.history, attempt)[-HISTORY:]


def weight(pending: Pending) -> int:
    """Bytes that an event's deliveries count for, each: its body, and what is kept of its positions."""
    course = pending.course
    return len(pending.event.body) if course is None else len(pending.event.body) + course.bytes
