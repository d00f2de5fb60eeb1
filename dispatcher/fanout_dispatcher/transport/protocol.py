"""What a sender is: it starts flights and lands each exactly once, unless it is told to cancel first."""

import typing

import msgspec

from fanout_crds.plan import Credentials, Target
from fanout_dispatcher.values.earlier import NOTHING_YET, Earlier
from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.outcome import Outcome


class Landing(typing.Protocol):
    """Where a flight comes down: the lane that started it."""

    def land(self, flight: "Flight", outcome: Outcome) -> None:
        """Take the outcome of *flight*. A second landing moves nothing."""

    def late(self, flight: "Flight") -> None:
        """The attempt's deadline has passed, and it has not landed."""


class Flight(msgspec.Struct, kw_only=True, eq=False):
    """One attempt under way. The lane makes it; the sender may keep its connection in ``carrier``."""

    landing: Landing
    event: Event
    target: str
    number: int  # 1 for the first attempt that we know of
    started: float  # loop time, s
    entered: float = 0.0  # the same moment in engine time, s, for the gates
    delivery: object = None  # the lane's own
    capture: int = 0  # bytes of the answer's body to keep; 0: nothing of the answer but what it means
    earlier: Earlier = NOTHING_YET  # what became of the targets before, where expressions read it
    epoch: int = 0  # the circuit's, at the time of asking
    probe: bool = False
    landed: bool = False
    slot: int = -1  # the deadline wheel's
    carrier: object = None  # the sender's
    sender: "Sender | None" = None  # who carries it: the one to cancel at


class Sender(typing.Protocol):
    """Sends to one target. Never waits, never retries, never raises: what goes wrong is an Outcome."""

    def start(self, flight: Flight) -> None:
        """Send; later (never inside this call) ``flight.landing.land(flight, outcome)`` is called, once."""

    def cancel(self, flight: Flight) -> None:
        """The attempt's deadline has passed: drop the connection and do not land."""

    def close(self) -> None:
        """Close idle connections now, busy ones when they have landed; start is not called again."""


class Unsendable(Exception):
    """A target that no sender can be made for: a URL the guard refuses by its spelling, a CA that does not parse."""


class SenderFactory(typing.Protocol):
    """Makes the sender for a target of a plan."""

    def __call__(self, target: Target, credentials: Credentials) -> Sender:
        """Raises Unsendable with a sentence."""
