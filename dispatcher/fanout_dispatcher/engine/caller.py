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
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.policies.quorum import judge, too_late
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Answered, Ending, Heard, Settled, Tell, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Again, Dead, Delivered, Done, Failed, Outcome, Reason, Verdict

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

    def keep(self, answer: Captured | None) -> Captured | None:
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
    durable: bool


class Caller:
    """``over`` once it is answered, or has nobody to answer."""

    __slots__ = (
        "bytes",
        "callers",
        "flying",
        "heard",
        "judged",
        "meter",
        "over",
        "pending",
        "receipt",
        "tell",
        "timer",
        "until",
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
        self.heard = [Heard(target=name) for name in waits.names]
        self.flying = bytearray(len(waits.names))
        self.bytes = 0
        self.over = False
        self.until = callers.loop.time() + waits.rule.timeout
        self.timer = callers.loop.call_at(self.until, self.late)

    def __repr__(self) -> str:
        return f"<Caller {'over' if self.over else 'waiting'} {self.receipt} {self.heard}>"

    # --- what acceptance tells it -----------------------------------------------------------------------------------

    def follow(self, pending: Pending, judged: Judged | None) -> None:
        """Wait for this event, of which filters said *judged*; it stays in memory as long as that takes."""
        self.pending = pending
        self.judged = judged
        pending.caller = self
        pending.refs += 1

    def taken(self, said: Answered) -> None:
        """Take what acceptance says to a producer: an event that is turned away ends the wait."""
        if self.over:
            return
        if isinstance(said, Turned):
            self._end()
            self.tell(said)
            return
        self.receipt = said.receipt
        self._look()

    def _look(self) -> None:
        """Hear what can be known before anything is sent: what is dead at birth, and what is held."""
        pending, waits = self.pending, self.waits
        assert pending is not None, f"{self!r} is told of an event that it does not follow"
        for index, place in enumerate(waits.places):
            if place == NOBODY:
                continue
            state, _ = State.read(pending.states[index])
            if state == State.SKIPPED:
                self.heard[place] = self._skipped(place, pending.states[index])
            elif state == State.DEAD:
                self.heard[place] = self._born_dead(place, index)
            elif (why := waits.lanes[place].why_held()) is not None:
                self.heard[place] = Heard(target=waits.names[place], reason=why)
        self._judge()

    def _born_dead(self, place: int, index: int) -> Heard:
        """Why a delivery died before it was owed: its filter had no value for the event, or its queue was full."""
        said = True if self.judged is None else self.judged[index]
        why, detail = (Reason.EXPRESSION_FAILED, said) if isinstance(said, str) else (Reason.QUEUE_FULL, "")
        return Heard(target=self.waits.names[place], state=State.DEAD, reason=why.value, detail=detail)

    def _skipped(self, place: int, state: int) -> Heard:
        """A target that is not asked: its filter said no, or what it depends on was given up."""
        return Heard(target=self.waits.names[place], state=State.SKIPPED, reason=State.WHY_SKIPPED.get(state, ""))

    # --- what lanes tell it -----------------------------------------------------------------------------------------

    def flies(self, index: int) -> None:
        """An attempt is under way."""
        place = self.waits.places[index]
        if place != NOBODY:
            self.flying[place] = True

    def landed(self, index: int, outcome: Outcome, verdict: Verdict, held: str | None) -> None:
        """It has landed; *held*: why nothing more is sent now."""
        place = self.waits.places[index]
        if place == NOBODY:
            return
        self.flying[place] = False
        answer = outcome.answer if isinstance(outcome, Delivered | Failed) else None
        match verdict:
            case Done():
                self._settled(place, State.DELIVERED, "", "", answer)
            case Dead():
                self._settled(place, State.DEAD, verdict.reason.value, verdict.detail, answer)
            case Again():
                if held is not None and not self.over:
                    self._hear(place, Heard(target=self.waits.names[place], reason=held))
            case _:
                typing.assert_never(verdict)

    def died(self, index: int, dead: Dead) -> None:
        """The delivery was given up without an attempt."""
        place = self.waits.places[index]
        if place != NOBODY:
            self._settled(place, State.DEAD, dead.reason.value, dead.detail, None)

    def passed_over(self, index: int, state: int) -> None:
        """The delivery was skipped, as *state* says."""
        place = self.waits.places[index]
        if place == NOBODY or self.over:
            return
        call = functools.partial(self._hear, place, self._skipped(place, state))
        if self.waits.durable:
            self.waits.book.committer.once_written(call)
        else:
            self.callers.loop.call_soon(call)

    def held(self, target: str, why: str) -> None:
        """Nothing is sent to *target* now."""
        if target not in self.waits.names or self.receipt is None:
            return
        place = self.waits.names.index(target)
        if not self.flying[place] and self.heard[place].state == State.PENDING:
            self._hear(place, Heard(target=target, reason=why))

    # --- what the door and the clock tell it ------------------------------------------------------------------------

    def leave(self) -> None:
        """The caller has hung up. Its event stays."""
        if not self.over:
            self._close(Ending.GONE)

    def hurry(self, seconds: float) -> None:
        """Give it *seconds* at most from now on."""
        at = self.callers.loop.time() + seconds
        if at < self.until:
            self.until = at
            self.timer.cancel()
            self.timer = self.callers.loop.call_at(at, self.late)

    def late(self) -> None:
        """Time is up."""
        if self.callers.draining:
            self._answer(Ending.DRAINING)
        else:
            self._answer(too_late(self.heard, partial=self.waits.rule.partial))

    # --- within -----------------------------------------------------------------------------------------------------

    def _settled(self, place: int, state: int, reason: str, detail: str, answer: Captured | None) -> None:
        """Hear of it once the journal has it; where nothing is durable, in the next turn of the loop."""
        if self.over:
            self.meter.late += 1
            return
        answer = self.callers.keep(answer)
        self.bytes += 0 if answer is None else len(answer.body)
        heard = Heard(target=self.waits.names[place], state=state, reason=reason, detail=detail, answer=answer)
        call = functools.partial(self._hear, place, heard)
        if self.waits.durable:
            self.waits.book.committer.once_written(call)
        else:
            self.callers.loop.call_soon(call)

    def _hear(self, place: int, heard: Heard) -> None:
        if not self.over:
            self.heard[place] = heard
            self._judge()

    def _judge(self) -> None:
        ending = judge(self.heard, self.waits.rule.quorum)
        if ending is not None:
            self._answer(ending)

    def _answer(self, ending: Ending) -> None:
        heard = tuple(self.heard)
        self._close(ending)
        self.tell(Settled(receipt=self.receipt, ending=ending, heard=heard))

    def _close(self, ending: Ending) -> None:
        self.meter.answers[ending.value] = self.meter.answers.get(ending.value, 0) + 1
        self._end()

    def _end(self) -> None:
        """Keep nothing but the count of what comes too late."""
        self.over = True
        self.timer.cancel()
        self.callers.left(self)
        self.heard = []
        pending, self.pending = self.pending, None
        if pending is not None:
            self.waits.book.release(pending)
