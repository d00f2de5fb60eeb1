"""The conductor: takes the events of one book through their graphs.

What follows from a settlement is decided by the flow, at once, and stands in the event's states before anything else
happens; here it is carried out: what was freed goes to its lane once that is committed, what was skipped is settled,
what is called off is taken from its lane. A crash in between loses nothing, since the journal gives a lane whatever is
ready and has no row.

A position that can be undone is noted as started, and that is committed, before it is sent: after a crash nobody could
say otherwise whether there is something to undo. A target on a route without a graph never comes by here.
"""

import functools
import typing

import msgspec

from fanout_dispatcher.engine.conditions import Conditions
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.flow import Moves, flow_of
from fanout_dispatcher.engine.pending import Course, Delivery, Pending
from fanout_dispatcher.journal.protocol import DeadRow, DueRow, Fetched, KeptRow, KeyRow, Rank, Replayed
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Accepted, Answered, Reply, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.earlier import Kept, earlier, packed
from fanout_dispatcher.values.event import Event, Frozen, State
from fanout_dispatcher.values.graph import Role
from fanout_dispatcher.values.outcome import Dead, Delivered, Failed, Fault, Outcome, Reason, Refused

if typing.TYPE_CHECKING:
    from fanout_dispatcher.engine.book import Book

_NOT_SENT: typing.Final = frozenset(
    {Fault.NAME_FAILURE, Fault.CONNECT_FAILURE, Fault.TLS_FAILURE, Fault.ADDRESS_REFUSED}
)
_TAKEN_AWAY: typing.Final = frozenset({Reason.ROUTE_DELETED, Reason.TARGET_REMOVED})


class Laned(typing.Protocol):
    """A lane, as far as the conductor needs one."""

    def owe(self, pending: Pending, place: int) -> None:
        """A delivery that was freed is owed from now on, and counted; it is not there yet."""

    def begin(self, pending: Pending, place: int) -> None:
        """What was owed may go: into the window, or into the index."""

    def unowe(self, pending: Pending) -> None:
        """What was owed is not any more; its row goes, if it has one."""

    def forget(self, pending: Pending, place: int) -> None:
        """What was owed and is not any more was not here yet."""

    def resume(self, delivery: Delivery) -> None:
        """Take back a delivery whose start was being noted: it is the next to go."""

    def drop(self, delivery: Delivery) -> None:
        """Let go of a delivery that was settled while it waited here."""

    def mourn(self, row: DeadRow) -> None:
        """Count and tell a dead letter."""

    def skip(self) -> None:
        """Count a delivery that is not for it."""


class Begun(msgspec.Struct, frozen=True, gc=False, eq=False):
    """An event with a graph on its way to the journal (a committer's Append), and what happens when it is there."""

    event: Event
    conductor: "Conductor"
    pending: Pending
    moves: Moves
    reply: Reply
    meter: RouteMeter | None
    refuse: typing.Callable[[Exception, RouteMeter | None], Turned]
    dead: tuple[DeadRow, ...] = ()
    spilled: tuple[DueRow, ...] = ()
    ranks: tuple[Rank, ...] = ()
    replayed: Replayed | None = None
    fetched: Fetched | None = None
    key: KeyRow | None = None

    def landed(self, fault: Exception | None) -> None:
        """Tell the producer, and give the lanes what is theirs."""
        if fault is not None:
            self.conductor.revoke(self.pending, self.moves.freed)
            return self.reply(self.refuse(fault, self.meter))
        if self.fetched is not None:
            self.conductor.book.remembered(self.fetched.source).add(self.fetched.key)
        if self.meter is not None:
            self.meter.accepted += 1
        self.reply(self.conductor.receipt(self.event.seq))
        for place in self.moves.freed:
            self.conductor.free(self.pending, place)
        self.conductor.count(self.pending, self.moves.skipped, self.dead)
        return None


class Conductor:
    """Conducts the events of one book. Lanes come and go by number."""

    def __init__(self, book: "Book", now: typing.Callable[[], float]) -> None:
        self.book = book
        self.now = now
        self.lanes: dict[int, Laned] = {}

    def __repr__(self) -> str:
        return f"<Conductor {len(self.lanes)} lanes>"

    @staticmethod
    def course(frozen: Frozen, kept: typing.Mapping[int, Kept]) -> Course | None:
        """What an event needs in memory for its graph, with what the journal has *kept*; None: it has none."""
        if not frozen.graph:
            return None
        return Course(flow_of(frozen.graph), kept=dict(kept), bytes=sum(one.size for one in kept.values()))

    # --- the front door ----------------------------------------------------------------------------------------------

    def begin(
        self,
        event: Event,
        reply: Reply,
        meter: RouteMeter | None,
        refuse: typing.Callable[[Exception, RouteMeter | None], Turned],
        *,
        judged: Judged | None = None,
        fetched: Fetched | None = None,
        key: KeyRow | None = None,
    ) -> Pending:
        """Write an event, of which filters said *judged*, and let go what depends on nothing."""
        flow = flow_of(event.frozen.graph)
        conditions = Conditions(event, {}, judged)
        states, moves = flow.begin(conditions.hold)
        pending = Pending(event=event, states=states, left=State.left(states), course=Course(flow, judged=judged))
        dead = [self._baffled(pending, place, conditions) for place in moves.baffled]
        for place in moves.freed:
            self._owe(pending, place)
        self.book.live[event.seq] = pending
        self.book.committer.touch(pending)  # the states go into the same commit
        begun = Begun(event, self, pending, moves, reply, meter, refuse, tuple(dead), fetched=fetched, key=key)
        self.book.committer.append(begun)
        return pending

    def revoke(self, pending: Pending, freed: list[int]) -> None:
        """The event was refused after all."""
        pending.left = -1
        for place in freed:
            lane = self._lane(pending, place)
            lane.unowe(pending)
            lane.forget(pending, place)

    def receipt(self, seq: int) -> Answered:
        """What the producer is told."""
        return Accepted(self.book.receipts.make(seq))

    # --- what lanes ask and tell -------------------------------------------------------------------------------------

    def goes(self, lane: Laned, delivery: Delivery) -> bool:
        """Whether a delivery may be sent now; if not, it is taken care of."""
        pending, place = delivery.pending, delivery.index
        course = _course(pending)
        state = pending.states[place]
        if state & State.MASK:  # called off while it waited
            lane.drop(delivery)
            return False
        course.flying.add(place)
        if not course.flow.compensated(place):
            return True
        if place in course.noted:
            course.noted.discard(place)
            return True
        if state & State.STARTED:  # before a crash: how that ended nobody knows
            pending.states[place] = state | State.UNKNOWN
            return True
        pending.states[place] = state | State.STARTED
        self.book.committer.touch(pending)
        self.book.committer.once_written(functools.partial(self._noted, lane, delivery))
        return False

    def landed(self, pending: Pending, place: int, outcome: Outcome) -> None:
        """An attempt is over: what does it say about whether something was done?"""
        course = _course(pending)
        course.flying.discard(place)
        state = pending.states[place]
        if state & State.MASK:
            return
        state &= ~State.STARTED
        if _unknown(outcome):
            state |= State.UNKNOWN
        pending.states[place] = state
        if type(outcome) is Delivered:
            self.keep(pending, place, Kept(outcome.answer or Captured(outcome.status)))

    def called_off(self, pending: Pending, place: int) -> bool:
        """Whether a delivery that would be tried again is not wanted any more: its saga has failed meanwhile."""
        flow = _course(pending).flow
        return flow.role(place) <= Role.FALLBACK and flow.failing(pending.states)

    def sticks(self, pending: Pending, place: int, reason: Reason) -> bool:
        """Whether a delivery that is given up waits for people instead: a compensation, unless people said so."""
        over = reason in _TAKEN_AWAY or reason is Reason.SAGA_ABANDONED
        if not over and _course(pending).flow.role(place) is Role.COMPENSATION:
            return True
        self.keep(pending, place, Kept(reason=reason.value))
        return False

    def stands_in(self, pending: Pending, place: int, reason: Reason) -> bool:
        """Whether a delivery that is given up for *reason* is no dead letter, since something stands in for its target.

        A static answer does not where people took the target away: nobody hears it, and they may want it back.
        """
        flow = _course(pending).flow
        return flow.stands_in(pending.states, place) and not (reason in _TAKEN_AWAY and flow.covered(place))

    def forgo(self, pending: Pending, place: int) -> None:
        """Give up a delivery that is not in flight, and that something stands in for: it is not sent any more."""
        before = pending.states[place]
        pending.states[place] = State.DEAD
        pending.left -= 1
        self.book.committer.touch(pending)
        self._lane(pending, place).unowe(pending)
        self.settled(pending, place, before)

    def settled(self, pending: Pending, place: int, before: int) -> None:
        """A position was settled, as its state says; *before* is its state until then: carry out what follows.

        One that was started and is not on its way in this process was so in an earlier one: it may have been done.
        """
        course = _course(pending)
        unknown = bool(before & State.UNKNOWN) or (bool(before & State.STARTED) and place not in course.flying)
        course.flying.discard(place)
        conditions = Conditions(pending.event, course.kept, course.judged)
        moves = course.flow.settled(pending.states, place, unknown=unknown, flying=course.flying, ask=conditions.hold)
        self._carry_out(pending, moves, conditions)
        if not pending.left and course.kept:
            self.book.committer.forget_kept(pending.event.seq)

    # --- what follows ------------------------------------------------------------------------------------------------

    def free(self, pending: Pending, place: int) -> None:
        """It is on disk that *place* may go: the lane has it now, unless it was called off meanwhile."""
        lane = self._lane(pending, place)
        if pending.states[place] & State.MASK:
            lane.forget(pending, place)
        else:
            lane.begin(pending, place)

    def count(self, pending: Pending, skipped: list[int], dead: typing.Iterable[DeadRow]) -> None:
        """Count and tell what was settled without having been owed."""
        for place in skipped:
            if (lane := self.lanes.get(pending.event.frozen.lanes[place])) is not None:
                lane.skip()
        for row in dead:
            self.lanes[row.lane].mourn(row)

    def _carry_out(self, pending: Pending, moves: Moves, conditions: Conditions) -> None:
        pending.left -= len(moves.skipped) + len(moves.called_off) + len(moves.baffled)
        if (caller := pending.caller) is not None:
            for place in (*moves.skipped, *moves.called_off):
                caller.passed_over(place, pending.states[place])
            for place in moves.baffled:
                caller.died(place, Dead(Reason.EXPRESSION_FAILED, conditions.failed[place]))
        dead = [self._baffled(pending, place, conditions) for place in moves.baffled]
        for row in dead:
            self.book.committer.bury(row)
        self.count(pending, moves.skipped, dead)
        for place in moves.called_off:
            self._lane(pending, place).unowe(pending)
        for place in moves.freed:
            if pending.event.frozen.lanes[place] in self.lanes:
                self._owe(pending, place)
                self.book.committer.once_written(functools.partial(self.free, pending, place))
            else:
                self._orphaned(pending, place)

    def _baffled(self, pending: Pending, place: int, conditions: Conditions) -> DeadRow:
        """A dead letter because its condition has no value for the event."""
        return self._stillborn(pending, place, Reason.EXPRESSION_FAILED, conditions.failed[place])

    def _orphaned(self, pending: Pending, place: int) -> None:
        """Its turn has come, and its target is in no plan any more."""
        event = pending.event
        if not self.stands_in(pending, place, Reason.TARGET_REMOVED):
            row = self._stillborn(pending, place, Reason.TARGET_REMOVED)
            self.book.committer.bury(row)
            self.book.mourn(event.frozen.route, event.frozen.targets[place], row)
        pending.states[place] = State.DEAD
        pending.left -= 1
        self.keep(pending, place, Kept(reason=Reason.TARGET_REMOVED.value))
        self.settled(pending, place, State.BLOCKED)

    def _stillborn(self, pending: Pending, place: int, reason: Reason, why: str = "") -> DeadRow:
        """A dead letter that was never a delivery."""
        event = pending.event
        known = packed(earlier(event.frozen, pending.states, _course(pending).kept))
        size = len(event.body) + len(known)
        return DeadRow(event.frozen.lanes[place], event.seq, self.now(), reason.value, why, 0, (), size, known)

    def keep(self, pending: Pending, place: int, kept: Kept) -> None:
        """Keep what became of a position, if expressions read it, in the commit that settles it."""
        event = pending.event
        most = event.frozen.graph[place].keep
        if most:
            kept = Kept(kept.answer.whole(most), kept.reason) if kept.answer is not None else kept
            _course(pending).keep(place, kept)
            self.book.committer.keep(KeptRow(event.seq, place, kept))

    def _owe(self, pending: Pending, place: int) -> None:
        """From now on it is owed; the reference is the delivery's that is to come."""
        pending.refs += 1
        self._lane(pending, place).owe(pending, place)

    def _noted(self, lane: Laned, delivery: Delivery) -> None:
        """Its start is on disk: now it may go."""
        _course(delivery.pending).noted.add(delivery.index)
        lane.resume(delivery)

    def _lane(self, pending: Pending, place: int) -> Laned:
        return self.lanes[pending.event.frozen.lanes[place]]


def _course(pending: Pending) -> Course:
    course = pending.course
    assert course is not None, "only events with a graph come by here"
    return course


def _unknown(outcome: Outcome) -> bool:
    """Whether a target may have done what it was asked although no answer said so.

    Only a 3xx or 4xx is a clear no: whoever answers 5xx may have begun, and an answer that never came says nothing.
    """
    match outcome:
        case Failed(fault=None, status=status):
            return status >= 500
        case Failed(fault=fault):
            return fault not in _NOT_SENT
        case Refused():
            return False
        case _:
            return True
