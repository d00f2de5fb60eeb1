"""One caller that waits for targets of its event, from the event's acceptance to its one answer.

It is answered by the first of these: enough targets have succeeded, enough cannot any more, its time is up, this
dispatcher is shutting down. After that it only counts what comes too late.
"""

import asyncio
import functools
import typing

import msgspec

from fanout_crds import plan
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.lines import Line, leave, stand
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.policies.quorum import judge, too_late
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Answered, Ending, Heard, Settled, Tell, Told, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Dead, Delivered, Failed, Outcome, Reason, Verdict

NOBODY: typing.Final = -1


class Lane(typing.Protocol):
    """A target's lane, as far as a caller asks it."""

    def why_held(self) -> str | None:
        """Why nothing is sent, in a word."""


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


class Callers(typing.Protocol):
    """All who wait, and what they occupy."""

    loop: asyncio.AbstractEventLoop
    draining: bool

    def left(self, caller: "Caller") -> None:
        """One less."""

    def keep(self, answer: Captured) -> Captured:
        """Account for what is kept for a caller."""


class Waits(msgspec.Struct, frozen=True, kw_only=True, eq=False):
    """What callers of a route wait for: worked out once for a plan.

    ``places`` has an entry for each of the event's deliveries: where in ``names`` its target stands, NOBODY for one
    that is not waited for.
    """

    rule: plan.Respond
    book: Book
    lanes: tuple[Lane, ...]  # of the targets waited for, in their order
    names: tuple[str, ...]
    places: tuple[int, ...]
    silence: tuple[Heard, ...]  # what is heard of each of these to begin with
    captures: tuple[int, ...]  # bytes of its answer that a caller is shown
    durable: bool
    lines: tuple[Line | None, ...] = ()  # of these, those that callers stand in line for; empty: none


class Caller:
    """``over`` once it is answered, or has nobody to answer."""

    __slots__ = (
        "asked",
        "busy",
        "bytes",
        "callers",
        "heard",
        "judged",
        "lines",
        "lost",
        "meter",
        "over",
        "pending",
        "receipt",
        "succeeded",
        "tell",
        "tick",
        "waits",
    )

    def __init__(self, callers: Callers, waits: Waits, meter: RouteMeter, tell: Tell) -> None:
        self.callers = callers
        self.waits = waits
        self.meter = meter
        self.tell = tell
        self.pending: Pending | None = None
        self.judged: Judged | None = None
        self.receipt: str | None = None
        self.heard = list(waits.silence)
        self.asked = len(self.heard)  # of these, those that were not skipped
        self.succeeded = 0
        self.lost = 0  # not to be hoped for
        self.busy = bytearray(len(waits.names))  # an attempt is under way, or its success is on its way to the disk
        self.bytes = 0
        self.lines: list[Line | None] = []  # those that it stands in, by place; empty: none has a bound
        self.over = False
        self.tick = 0

    def __repr__(self) -> str:
        return f"<Caller {'over' if self.over else 'waiting'} {self.receipt} {self.heard}>"

    # --- what acceptance tells it -----------------------------------------------------------------------------------

    def follow(self, pending: Pending, judged: Judged | None) -> None:
        """Wait for this event, of which filters said *judged*; it stays in memory as long as that takes."""
        self.pending = pending
        self.judged = judged
        pending.caller = self
        pending.refs += 1
        if self.waits.lines:
            self.lines = stand(self.waits, judged)

    def taken(self, said: Answered) -> None:
        """Take what acceptance says to a producer: an event that is turned away ends the wait."""
        if self.over:
            return
        if isinstance(said, Turned):
            self.tell(said)
            self.dismiss()
            return
        self.receipt = said.receipt
        self._look()

    def _look(self) -> None:
        """Hear what can be known before anything is sent: what is dead at birth, and what is held."""
        pending, waits = self.pending, self.waits
        assert pending is not None, f"{self!r} is told of an event that it does not follow"
        if any(pending.states):
            self._look_at(pending.states)
        for place, lane in enumerate(waits.lanes):
            if (why := lane.why_held()) is not None and not self.busy[place]:
                self._note(place, Heard(target=waits.names[place], reason=why))
        if self.lost or self.asked < len(self.heard):
            self._judge()

    def _look_at(self, states: bytearray) -> None:
        """Not all of its deliveries are owed."""
        for index, place in enumerate(self.waits.places):
            state, _ = State.read(states[index])
            if place != NOBODY and state in {State.SKIPPED, State.DEAD}:
                self.busy[place] = True
                skipped = state == State.SKIPPED
                self._note(place, self._skipped(place, states[index]) if skipped else self._born_dead(place, index))

    def _born_dead(self, place: int, index: int) -> Heard:
        """Why a delivery died before it was owed: its filter had no value for the event, or its queue was full."""
        said = True if self.judged is None else self.judged[index]
        why, detail = (Reason.EXPRESSION_FAILED, said) if isinstance(said, str) else (Reason.QUEUE_FULL, "")
        return Heard(self.waits.names[place], State.DEAD, why.value, detail)

    def _skipped(self, place: int, state: int) -> Heard:
        """A target that is not asked: its filter said no, or what it depends on was given up."""
        return Heard(self.waits.names[place], State.SKIPPED, State.WHY_SKIPPED.get(state, ""))

    # --- what lanes tell it -----------------------------------------------------------------------------------------

    def flies(self, index: int) -> None:
        """An attempt is under way."""
        place = self.waits.places[index]
        if place != NOBODY:
            self.busy[place] = True
            if self.lines:
                leave(self.lines, place)

    def landed(self, index: int, outcome: Outcome, verdict: Verdict) -> None:
        """It has landed."""
        place = self.waits.places[index]
        if place == NOBODY:
            return
        if type(outcome) is Delivered:
            self._settled(place, State.DELIVERED, "", "", outcome.answer)
        elif type(verdict) is Dead:
            answer = outcome.answer if type(outcome) is Failed else None
            self._settled(place, State.DEAD, verdict.reason.value, verdict.detail, answer)
        else:
            self.busy[place] = False
            if (held := self.waits.lanes[place].why_held()) is not None:
                self._hear(place, Heard(self.waits.names[place], reason=held))

    def died(self, index: int, dead: Dead) -> None:
        """The delivery was given up without an attempt."""
        place = self.waits.places[index]
        if place != NOBODY:
            self.busy[place] = True
            self._settled(place, State.DEAD, dead.reason.value, dead.detail, None)

    def passed_over(self, index: int, state: int) -> None:
        """The delivery was skipped, as *state* says."""
        place = self.waits.places[index]
        if place == NOBODY or self.over:
            return
        heard = self._skipped(place, state)
        if self.waits.durable:
            self.waits.book.committer.once_written(functools.partial(self._hear, place, heard))
        else:
            self._hear(place, heard)

    def held(self, target: str, why: str) -> None:
        """Nothing is sent to *target* now."""
        if target not in self.waits.names or self.receipt is None:
            return
        place = self.waits.names.index(target)
        if not self.busy[place]:
            self._hear(place, Heard(target=target, reason=why))

    # --- what the door and the clock tell it ------------------------------------------------------------------------

    def leave(self) -> None:
        """The caller has hung up. Its event stays."""
        if not self.over:
            self._close(Ending.GONE)

    def dismiss(self) -> None:
        """It waits for nothing of its own: it was turned away, or its event was known before."""
        if not self.over:
            self._end()

    def late(self) -> None:
        """Time is up."""
        if self.callers.draining:
            self._answer(Ending.DRAINING)
        else:
            self._answer(too_late(succeeded=self.succeeded, partial=self.waits.rule.partial))

    # --- within -----------------------------------------------------------------------------------------------------

    def _settled(self, place: int, state: int, reason: str, detail: str, answer: Captured | None) -> None:
        """Hear of it once the journal has it; where nothing is durable, at once."""
        if self.over:
            self.meter.late += 1
            return
        if answer is not None and answer.body:
            answer = self.callers.keep(answer.cut(self.waits.captures[place]))
            self.bytes += len(answer.body)
        heard = Heard(self.waits.names[place], state, reason, detail, answer)
        if self.waits.durable:
            self.waits.book.committer.once_written(functools.partial(self._hear, place, heard))
        else:
            self._hear(place, heard)

    def _hear(self, place: int, heard: Heard) -> None:
        if self.over:
            return
        self._note(place, heard)
        if self.succeeded >= self.waits.rule.quorum or self.lost or self.asked < len(self.heard):
            self._judge()  # else it goes on: none is lost, and too few have succeeded

    def _note(self, place: int, heard: Heard) -> None:
        """Replace what was heard of a target: one that was lost may succeed after all."""
        self.lost += bool(heard.reason) - bool(self.heard[place].reason)
        self.succeeded += heard.state == State.DELIVERED
        self.asked -= heard.state == State.SKIPPED and not heard.lost
        if self.lines and heard.state != State.PENDING:
            leave(self.lines, place)
        self.heard[place] = heard

    def _judge(self) -> None:
        rule = self.waits.rule
        ending = judge(succeeded=self.succeeded, lost=self.lost, asked=self.asked, quorum=rule.quorum)
        if ending is not None:
            self._answer(ending)

    def _answer(self, ending: Ending) -> None:
        told = Settled(receipt=self.receipt, ending=ending, heard=tuple(self.heard))
        self.callers.loop.call_soon(self.tell, told)  # not now: a lane that lands is in the middle of something
        self._close(ending)

    def _close(self, ending: Ending) -> None:
        self.meter.answers[ending.value] = self.meter.answers.get(ending.value, 0) + 1
        self._end()

    def _end(self) -> None:
        """Keep nothing but the count of what comes too late."""
        self.over = True
        self.tell = _nobody  # the event may wait for its retry for a day, and must not keep a connection in memory
        self.callers.left(self)
        self.heard = []
        for place in range(len(self.lines)):
            leave(self.lines, place)
        pending, self.pending = self.pending, None
        if pending is not None:
            self.waits.book.release(pending)


def _nobody(told: Told) -> None:
    """There is nobody to tell."""
