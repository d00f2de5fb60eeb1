"""What a gate is: it says when a target may be asked, and learns from how it went.

A lane asks its gates *before* it takes work, so a refusal costs nothing and nothing has to be handed back. Asking and
entering happen in one synchronous step, so no other delivery can slip in between. The retry budget is a gate that only
a retry asks.

What starts a little later, once it is noted in the journal, has entered the gates that can be left again; with those
that count starts it is *reserved* (`Counting`).
"""

import math
import typing

from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.outcome import Outcome

NEVER: typing.Final = math.inf  # only an event (a landing, a new plan) can tell


class Crossing(typing.Protocol):
    """What a gate sees of a flight, and may write on it: the circuit's epoch, and whether the flight is a probe."""

    event: Event
    number: int  # of the attempt: 1 for the first; any other is a retry
    entered: float  # engine time, s
    epoch: int
    probe: bool


class Gate(typing.Protocol):
    """Answers at once, never waits."""

    def opens_at(self, now: float) -> float:
        """*now* when open, a later time when that is known, else NEVER."""

    def enter(self, flight: Crossing, now: float) -> None:
        """The flight starts. Only called when ``opens_at(now)`` was *now* in the same step."""

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """The flight has landed."""


class Counting(Gate, typing.Protocol):
    """A gate that counts starts: what has started is not handed back, what is reserved may be."""

    def reserve(self, flight: Crossing, now: float) -> None:
        """The flight is going to start. Only called when ``opens_at(now)`` was *now* in the same step."""

    def start(self, flight: Crossing, now: float) -> None:
        """What was reserved starts now, whatever the gate says by now."""

    def hand_back(self, flight: Crossing, now: float) -> None:
        """What was reserved does not start."""
