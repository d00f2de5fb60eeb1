"""The sender's twin without a network: a target that answers from a script, in the loop's own time.

Simulations and engine tests use it where a dispatcher has HttpSender; both pass the same contract suite. What it does
is decided by a callable from flight to Reply: a constant, an iterator, or a seeded model of a target.
"""

import asyncio
import collections.abc

import msgspec

from fanout_crds.plan import Credentials, Target
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused


class Reply(msgspec.Struct, frozen=True):
    """What the target does about one flight: *outcome* after *latency* s of loop time; None = it never answers."""

    outcome: Outcome | None
    latency: float = 0.0


Script = collections.abc.Callable[[Flight], Reply]

NEVER = Reply(None)


def status(code: int, latency: float = 0.0, *, retry_after: str | None = None) -> Reply:
    """Answer with an HTTP status."""
    answered = Delivered(code) if 200 <= code < 300 else Failed(status=code, retry_after=retry_after)
    return Reply(answered, latency)


def fault(kind: Fault, latency: float = 0.0) -> Reply:
    """Fail without an answer."""
    return Reply(Failed(fault=kind), latency)


def always(reply: Reply) -> Script:
    """Do the same for every flight."""
    return lambda _: reply


def in_turn(replies: collections.abc.Iterable[Reply]) -> Script:
    """Take the replies one after the other; the last one stays."""
    remaining = iter(replies)
    last = next(remaining)

    def script(_: Flight) -> Reply:
        nonlocal last
        reply, last = last, next(remaining, last)
        return reply

    return script


class ScriptedSender:
    """A target that answers from a script. ``seen`` counts flights, ``peak`` the most that were in the air at once."""

    def __init__(self, loop: asyncio.AbstractEventLoop, script: Script) -> None:
        self._loop = loop
        self._script = script
        self._flying: dict[Flight, asyncio.TimerHandle | None] = {}
        self._closed = False
        self.seen = 0
        self.peak = 0

    def __repr__(self) -> str:
        return f"<ScriptedSender seen={self.seen} flying={len(self._flying)}>"

    def start(self, flight: Flight) -> None:
        """Ask the script; land what it says when it says."""
        reply = Reply(Refused("the sender is closed")) if self._closed else self._script(flight)
        self.seen += 1
        timer = None
        if reply.outcome is not None:
            timer = self._loop.call_later(reply.latency, self._land, flight, reply.outcome)
        self._flying[flight] = timer
        self.peak = max(self.peak, len(self._flying))

    def cancel(self, flight: Flight) -> None:
        """Forget the flight."""
        timer = self._flying.pop(flight, None)
        if timer is not None:
            timer.cancel()

    def close(self) -> None:
        """Let what is in the air land; start nothing more."""
        self._closed = True

    def _land(self, flight: Flight, outcome: Outcome) -> None:
        del self._flying[flight]
        flight.landing.land(flight, outcome)


class ScriptedSenders:
    """Makes ScriptedSenders by target name (a SenderFactory); ``made`` keeps them."""

    def __init__(self, loop: asyncio.AbstractEventLoop, script_of: collections.abc.Callable[[str], Script]) -> None:
        self._loop = loop
        self._script_of = script_of
        self.made: dict[str, ScriptedSender] = {}

    def __call__(self, target: Target, credentials: Credentials) -> ScriptedSender:
        """Make the sender of *target*; the same script goes on when a plan changes."""
        self.made[target.name] = ScriptedSender(self._loop, self._script_of(target.name))
        return self.made[target.name]
