"""The targets' end of the wire: a sender that does what the world says and writes down what the target saw.

The twin of the transport's ScriptedSender, with one thing more: a target may have done what it was asked although its
answer is lost. Target, URL and policy are those of the plan that the sender was made for, as on a real connection.
"""

import asyncio
import typing

import msgspec

from fanout_crds.plan import Target
from fanout_dispatcher.engine.batching import Member
from fanout_dispatcher.transport.memory import Reply
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.event import Event, State
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome, Refused
from tests.sim.history import Landed, Sent, Started

if typing.TYPE_CHECKING:
    from tests.sim.world import Life


class Lost(msgspec.Struct, frozen=True):
    """The target does what it is asked, and *reply* is all that we hear of it."""

    reply: Reply


def saying(outcome: Outcome, sent: Sent, flight: Flight) -> Outcome:
    """The same with a body, where the flight keeps one and the script says none: no two attempts have the same."""
    if not flight.capture or isinstance(outcome, Refused) or outcome.answer is not None:
        return outcome
    if isinstance(outcome, Failed) and outcome.fault is not None:
        return outcome
    body = f"{sent.target} {sent.event} {sent.number} {sent.n}".encode()[: flight.capture]
    return msgspec.structs.replace(outcome, answer=Captured(outcome.status, (), body))


def _saw(one: Heard) -> tuple[str, str, bytes | None]:
    """What a request could be made of: an earlier target as the flight shows it."""
    return one.target, State.NAMES[one.state], None if one.answer is None else one.answer.body


def members(flight: Flight) -> list[tuple[Event, int]]:
    """The events that a flight carries, and which attempt at each it is."""
    if isinstance(flight.delivery, list):
        batch = typing.cast("list[Member]", flight.delivery)
        return [(one.delivery.pending.event, one.delivery.attempts + 1) for one in batch]
    return [(flight.event, flight.number)]


class WorldSender:
    """Carries flights of one life to one target."""

    def __init__(self, life: "Life", target: Target) -> None:
        self._life = life
        self._target = target
        self._flying: dict[Flight, tuple[list[Sent], asyncio.TimerHandle | None]] = {}
        self._closed = False

    def start(self, flight: Flight) -> None:
        """Let the target do what it does; land when it says."""
        if self._closed:
            self._life.loop.call_soon(flight.landing.land, flight, Refused("the sender is closed"))
            return
        behaviour = self._life.world.behave(self._target.name, flight, self._life.now())
        reply = behaviour.reply if isinstance(behaviour, Lost) else behaviour
        done = isinstance(behaviour, Lost) or isinstance(reply.outcome, Delivered)
        sent = self._note(flight, done)
        timer = None
        if reply.outcome is not None:
            outcome = saying(reply.outcome, sent[0], flight)
            timer = self._life.loop.call_later(reply.latency, self._land, flight, outcome)
        self._flying[flight] = sent, timer

    def cancel(self, flight: Flight) -> None:
        """Drop the connection: the deadline has passed."""
        sent, timer = self._flying.pop(flight)
        if timer is not None:
            timer.cancel()
        for one in sent:
            one.cancelled = True
        self._ended(sent, None)

    def close(self) -> None:
        """Let what is in the air land; start nothing more."""
        self._closed = True

    def _land(self, flight: Flight, outcome: Outcome) -> None:
        sent, _ = self._flying.pop(flight)
        self._ended(sent, outcome)
        flight.landing.land(flight, outcome)

    def _ended(self, sent: list[Sent], outcome: Outcome | None) -> None:
        for one in sent:
            one.ended, one.outcome = self._life.now(), outcome
            self._life.history.log.append(Landed(one.ended, one.n))

    def _beside(self, flight: Flight) -> int | None:
        """The first of the tries that this one is sent beside, where the policy asks for such; None: this is it."""
        if self._target.policy.hedge is not None:
            for other, ((sent, *_), _) in self._flying.items():
                if other.event is flight.event and other.number == flight.number:
                    return sent.n if sent.of is None else sent.of
        return None

    def _note(self, flight: Flight, done: bool) -> list[Sent]:
        life, found = self._life, members(flight)
        first = len(life.history.sent)
        for event, number in found:
            sent = Sent(
                n=len(life.history.sent),
                at=life.now(),
                life=life.number,
                event=event.head.id,
                delivery=(life.journal_of(flight), event.seq),
                route=event.frozen.route,
                target=self._target.name,
                url=self._target.url,
                number=number,
                did=done,
                request=first,
                shared=len(found),
                size=len(flight.event.body),
                saw=tuple(_saw(one) for one in flight.earlier.heard),
                of=self._beside(flight),
            )
            life.history.sent.append(sent)
            if sent.of is not None:
                life.history.fire("hedge")
            life.history.log.append(Started(sent.at, sent.n))
        return life.history.sent[first:]
