"""One caller that waits for targets of its event, from the event's acceptance to its one answer.

It is answered by the first of these: enough targets have succeeded, enough cannot any more, its time is up, this
dispatcher is shutting down. After that it only counts what comes too late.
"""

import asyncio
import functools
import typing

import msgspec

from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.lines import Line, join, leave, stand
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.engine.waits import NOBODY, StandIn, Waits
from fanout_dispatcher.policies.quorum import judge, too_late
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Answered, Ending, Heard, Settled, Tell, Told, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Dead, Delivered, Failed, Outcome, Reason, Verdict


class Callers(typing.Protocol):
    """All who wait, and what they occupy."""

    loop: asyncio.AbstractEventLoop
    draining: bool

    def left(self, caller: "Caller") -> None:
        """One less."""

    def keep(self, answer: Captured) -> Captured:
        """Account for what is kept for a caller."""


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
        "turns",
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
        self.turns = (
            list(waits.firsts) if waits.stand_ins else waits.firsts
        )  # whose turn it is: a target's, or another's
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
            self.lines = stand(self.waits, judged, pending.event)

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
            self._look_at(pending, pending.states)
        for place, lane in enumerate(waits.lanes):
            index, first = self.turns[place], waits.firsts[place]
            held = lane.why_silent() if index == first else waits.why_held(index)
            if not self.busy[place] and (why := waits.why_lost(index, held)) is not None:
                self._note(place, Heard(target=waits.names[place], reason=why))
        if self.lost or self.succeeded or self.asked < len(self.heard):
            self._judge()

    def _look_at(self, pending: Pending, states: bytearray) -> None:
        """Not all of its deliveries are owed."""
        for place, index in enumerate(self.waits.firsts):
            state, _ = State.read(states[index])
            if state == State.SKIPPED:
                self.busy[place] = True
                self._note(place, self._skipped(place, states[index]))
            elif state == State.DEAD:
                stand_in = self.waits.stand_ins.get(index)
                if stand_in is not None and stand_in.lane is not None and not self._passed(stand_in.index):
                    self._turn(place, stand_in)
                else:
                    self.busy[place] = True
                    self._note(place, self.waits.instead(index) or self._born_dead(pending, place, index))

    def _born_dead(self, pending: Pending, place: int, index: int) -> Heard:
        """Why a delivery died before it was owed: its condition had no value for the event, or its queue was full."""
        born_dead = None if pending.course is None else pending.course.born_dead
        if born_dead is not None and index in born_dead:
            dead = born_dead[index]
            return Heard(self.waits.names[place], State.DEAD, dead.reason.value, dead.detail)
        said = True if self.judged is None else self.judged[index]
        why, detail = (Reason.EXPRESSION_FAILED, said) if isinstance(said, str) else (Reason.QUEUE_FULL, "")
        return Heard(self.waits.names[place], State.DEAD, why.value, detail)

    def _skipped(self, place: int, state: int) -> Heard:
        """A target that is not asked: its filter said no, or what it depends on was given up."""
        return Heard(self.waits.names[place], State.SKIPPED, State.WHY_SKIPPED.get(state, ""))

    # --- what lanes tell it -----------------------------------------------------------------------------------------

    def waits_for(self, index: int) -> bool:
        """Whether it still waits to hear of that delivery."""
        place = self.waits.places[index]
        return place != NOBODY and not self.over and self.turns[place] == index

    def hears_soon(self, index: int) -> bool:
        """Whether an attempt is under way of which it hears anyway."""
        return bool(self.busy[self.waits.places[index]])

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
            name, fallback = self.waits.names[place], index != self.waits.firsts[place]
            self._settled(place, Heard(name, State.DELIVERED, answer=outcome.answer, fallback=fallback))
        elif type(verdict) is Dead:
            self._dead(index, verdict, outcome.answer if type(outcome) is Failed else None)
        else:
            self.busy[place] = False
            if (why := self.waits.why_lost(index, self.waits.why_held(index))) is not None:
                self._hear(place, Heard(self.waits.names[place], reason=why))
            elif type(outcome) is Failed and not self.over and not self.heard[place].lost:
                last = f"last attempt: {outcome}"  # it is tried again: should time be up before, that is what is known
                self.heard[place] = msgspec.structs.replace(self.heard[place], detail=last)

    def stands(self, index: int) -> None:
        """Its delivery needs a slot after all, and has never been in flight: it stands in line for one."""
        place = self.waits.places[index]
        if self.lines and place != NOBODY and not self.over:
            join(self.lines, self.waits, place)

    def died(self, index: int, dead: Dead) -> None:
        """The delivery was given up without an attempt."""
        place = self.waits.places[index]
        if place != NOBODY:
            self.busy[place] = True
            self._dead(index, dead, None)

    def passed_over(self, index: int, state: int) -> None:
        """The delivery was skipped, as *state* says."""
        place = self.waits.places[index]
        if not self.waits_for(index):
            return  # or its turn has not come: then nothing has to stand in, or nobody will
        heard = self._skipped(place, state)
        if self.waits.durable:
            self.waits.book.committer.once_written(functools.partial(self._hear_later, place, heard))
        else:
            self._hear_later(place, heard)

    def held(self, target: str, why: str) -> None:
        """Nothing is sent to *target* now."""
        names = self.pending.event.frozen.targets if self.pending is not None else ()
        if target not in names or self.receipt is None:
            return
        place = self.waits.places[index := names.index(target)]
        if self.waits_for(index) and not self.busy[place] and self.waits.why_lost(index, why) is not None:
            self._hear(place, Heard(target=self.waits.names[place], reason=why))

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

    def _dead(self, index: int, dead: Dead, answer: Captured | None) -> None:
        """A delivery was given up: hear of that, or of what stands in for its target."""
        place = self.waits.places[index]
        static, stand_in = self.waits.instead(index), self.waits.stand_ins.get(index)
        if static is not None:
            self._settled(place, static)
        elif stand_in is None or self._passed(stand_in.index):
            name, fallback = self.waits.names[place], index != self.waits.firsts[place]
            self._settled(place, Heard(name, State.DEAD, dead.reason.value, dead.detail, answer, fallback=fallback))
        elif not self.over:
            self._give_way(place, stand_in)

    def _give_way(self, place: int, stand_in: StandIn) -> None:
        """From now on it is another's turn; that one may be held."""
        assert stand_in.lane is not None, "a static answer stands in at once"
        self._turn(place, stand_in)
        if (why := stand_in.lane.why_held()) is not None:
            self._hear(place, Heard(self.waits.names[place], reason=why))

    def _turn(self, place: int, stand_in: StandIn) -> None:
        assert isinstance(self.turns, list), "somebody stands in"
        self.turns[place] = stand_in.index
        self.busy[place] = False

    def _passed(self, index: int) -> bool:
        """Whether what would stand in was skipped before its turn came."""
        return self.pending is not None and bool(self.pending.states[index] & State.MASK)

    def _settled(self, place: int, heard: Heard) -> None:
        """Hear of it once the journal has it; where nothing is durable, at once."""
        if self.over:
            self.meter.late += 1
            return
        if heard.answer is not None and heard.answer.body:
            answer = self.callers.keep(heard.answer.cut(self.waits.captures[place]))
            self.bytes += len(answer.body)
            heard = msgspec.structs.replace(heard, answer=answer)
        hear = self._hear_later if heard.state == State.DEAD else self._hear
        if self.waits.durable:
            self.waits.book.committer.once_written(functools.partial(hear, place, heard))
        else:
            hear(place, heard)

    def _hear(self, place: int, heard: Heard) -> None:
        if self.over:
            return
        self._note(place, heard)
        if self.succeeded >= self.waits.rule.quorum or self.lost or self.asked < len(self.heard):
            self._judge()  # else it goes on: none is lost, and too few have succeeded

    def _hear_later(self, place: int, heard: Heard) -> None:
        """Hear of one that is given up or skipped. Not judged yet: what that follows from may be told only after it."""
        if not self.over:
            self._note(place, heard)
            self.callers.loop.call_soon(self._look_again)

    def _look_again(self) -> None:
        if not self.over:
            self._judge()

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
