"""What became of the targets before: ``targets.<name>`` in the expressions of those that come later.

A target that is settled has its ``state``; one that was given up or skipped a ``reason``, where there is one; one that
was delivered its answer (targets.py). It is kept with the event, and a dead letter takes it along for its replay.
"""

import typing

import msgspec

from fanout_crds.expressions import Parts
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.event import Frozen, State
from fanout_dispatcher.values.graph import Role
from fanout_dispatcher.values.targets import targets

KEPT_BYTES: typing.Final = 256  # what one that is kept takes besides its answer, generously


class Kept(msgspec.Struct, frozen=True, gc=False):
    """What is kept with an event of one target that was settled: its answer, or the reason why it was given up."""

    answer: Captured | None = None
    reason: str = ""

    @property
    def size(self) -> int:
        """Bytes that count towards what bounds memory and journal."""
        return KEPT_BYTES + (0 if self.answer is None else self.answer.size)


class Earlier(msgspec.Struct, frozen=True):
    """What became of the targets of one event up to one moment: those that are settled, and that expressions read."""

    heard: tuple[Heard, ...] = ()

    def read(self, parts: Parts) -> dict[str, object]:
        """Give what *parts* names of them, as an expression reads it."""
        return targets(self.heard, parts)


NOTHING_YET: typing.Final = Earlier()
_encode: typing.Final = msgspec.msgpack.Encoder().encode
_decode: typing.Final = msgspec.msgpack.Decoder(Earlier).decode


def packed(known: Earlier) -> bytes:
    """Write it down, for a dead letter and whatever is made of that; nothing, where there is nothing to be read."""
    return _encode(known) if known.heard else b""


def unpacked(text: bytes) -> Earlier:
    """The same, back."""
    return _decode(text) if text else NOTHING_YET


def earlier(frozen: Frozen, states: bytes | bytearray, kept: typing.Mapping[int, Kept]) -> Earlier:
    """Say what became of an event's targets; *kept* has, by position, what was kept of those that expressions read."""
    said: dict[int, int] = {}  # by target: whose answer it is, its own or that of who stood in for it
    for place, step in enumerate(frozen.graph):
        state = states[place] & State.MASK
        if step.keep and step.role is Role.TARGET and state:
            said[place] = place
        elif step.keep and step.role is Role.FALLBACK and state == State.DELIVERED:
            said[step.after[0]] = place
        elif step.keep and step.role is Role.FALLBACK and not state and _given_up(states, step.after[0]):
            del said[step.after[0]]  # what became of its target is open yet
    return Earlier(
        tuple(
            _heard(frozen.targets[of], states[place], kept.get(place), fallback=of != place)
            for of, place in sorted(said.items())
        )
    )


def _given_up(states: bytes | bytearray, place: int) -> bool:
    return states[place] & State.MASK == State.DEAD


def _heard(target: str, byte: int, kept: Kept | None, *, fallback: bool) -> Heard:
    state = byte & State.MASK
    if state == State.DEAD and kept is not None and kept.answer is not None:  # a static answer
        return Heard(target, State.DELIVERED, answer=kept.answer, fallback=True)
    if state == State.SKIPPED:
        return Heard(target, state, State.WHY_SKIPPED.get(byte, ""))
    if kept is None:
        # All who give up a delivery keep the reason; where a condition had no value there was no delivery yet.
        return Heard(target, state, "ExpressionFailed" if state == State.DEAD else "")
    return Heard(target, state, kept.reason, answer=kept.answer, fallback=fallback)
