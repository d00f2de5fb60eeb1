"""The conductor: takes the events of one book through their graphs.

The flow decides what follows from a settlement, and writes it into the event's states at once. This module carries it
out: what was freed goes to its lane once the states are committed, what was skipped is counted, what was called off is
taken back from its lane. A crash in between loses nothing: a lane that starts finds, in the journal, each delivery that
is ready and has no row.

The start of a position with a compensation is committed before it is sent (`starting`). Otherwise nobody could tell,
after a crash, whether there is something to undo (`acted`). Events of a route without a graph never come here.
"""

import functools
import typing

from fanout_dispatcher.engine import acted
from fanout_dispatcher.engine.barred import Barred, bar, letters
from fanout_dispatcher.engine.begun import Begun
from fanout_dispatcher.engine.conditions import Conditions
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.flow import Moves, flow_of
from fanout_dispatcher.engine.pending import VOID, Course, Delivery, Pending
from fanout_dispatcher.journal.protocol import DeadRow, DueRow, Fetched, KeptRow, KeyRow
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Reply, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.earlier import Kept, earlier, packed
from fanout_dispatcher.values.event import Event, Frozen, State
from fanout_dispatcher.values.graph import Role
from fanout_dispatcher.values.outcome import Dead, Delivered, Outcome, Reason

if typing.TYPE_CHECKING:
    from fanout_dispatcher.engine.book import Book

_TAKEN_AWAY: typing.Final = frozenset({Reason.ROUTE_DELETED, Reason.TARGET_REMOVED})


class Lane(typing.Protocol):
    """What the conductor tells a lane; `handover` has the methods."""

    def owe(self, pending: Pending, place: int) -> DueRow | None:
        """Count a delivery that was freed as owed, with the row that it may need. It comes with `begin`."""

    def barred(self, size: int) -> Dead | None:
        """Why an event of *size* bytes cannot wait for the target, and is given up."""

    def has_static(self) -> bool:
        """Whether the target has a static answer by now."""

    def give_way(self, pending: Pending, place: int, dead: Dead) -> None:
        """Keep what later steps read of a delivery that is given up before it is owed, and stood in for."""

    def fell_back(self, pending: Pending, dead: Dead) -> None:
        """Count that something stood in for such a delivery."""

    def begin(self, pending: Pending, place: int) -> None:
        """Take a delivery that is owed: into the window, or into the index."""

    def unowe(self, pending: Pending) -> None:
        """Count a delivery as owed no more, and remove its row and its place in the window, if it has them."""

    def forget(self, pending: Pending, place: int) -> None:
        """Give up the claim on a delivery that is owed no more and never came by `begin`."""

    def call_off(self, delivery: Delivery) -> None:
        """Settle a delivery that is in hand, and not wanted any more."""

    def drop(self, delivery: Delivery) -> None:
        """Let go of a delivery that was settled while it waited in the window."""

    def mourn(self, row: DeadRow) -> None:
        """Count a dead letter, and tell the seam."""

    def skip(self) -> None:
        """Count a delivery that was skipped."""


class Conductor:
    """Conducts the events of one book. Lanes come and go by number."""

    def __init__(self, book: "Book", now: typing.Callable[[], float]) -> None:
        self.book = book
        self.now = now
        self.lanes: dict[int, Lane] = {}

    def __repr__(self) -> str:
        return f"<Conductor {len(self.lanes)} lanes>"

    @staticmethod
    def course(frozen: Frozen, kept: typing.Mapping[int, Kept]) -> Course | None:
        """Make what an event needs in memory for its graph; *kept* is from the journal. None: it has no graph."""
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
        """Append a new event, of which filters said *judged*, and owe what depends on nothing.

        *reply* is called once it is on disk, or refused.
        """
        flow = flow_of(event.frozen.graph)
        course = Course(flow, judged=judged)
        conditions = Conditions(event, course.kept, judged)
        states, moves = flow.begin(conditions.holds)
        pending = Pending(event=event, states=states, left=0, course=course)
        barred = bar(self, pending, moves, conditions)
        pending.left = State.left(states)
        dead = [self._undecided(pending, place, conditions) for place in moves.undecided]
        if dead or barred:
            undecided = {place: _no_value(conditions, place) for place in moves.undecided}
            course.born_dead = undecided | {one.place: one.dead for one in barred}
        rows = [self._owe(pending, place) for place in moves.freed]
        spilled = tuple(row for row in rows if row is not None)
        self.book.live[event.seq] = pending
        self.book.committer.touch(pending)  # the states go into the same commit
        dead += letters(barred)
        begun = Begun(
            event, self, pending, moves, barred, reply, meter, refuse, tuple(dead), spilled, fetched=fetched, key=key
        )
        self.book.committer.append(begun)
        if not pending.left and course.kept:
            self.book.committer.forget_kept(event.seq)
        return pending

    def revoke(self, pending: Pending, freed: list[int]) -> None:
        """Take everything back: the commit of the event failed."""
        pending.left = VOID
        if _course(pending).kept:
            self.book.committer.forget_kept(pending.event.seq)
        for place in freed:
            lane = self._lane(pending, place)
            lane.unowe(pending)
            lane.forget(pending, place)

    # --- what lanes ask and tell -------------------------------------------------------------------------------------

    def goes(self, lane: Lane, delivery: Delivery) -> bool:
        """Whether a delivery is wanted still. If not, it is taken care of here."""
        if delivery.pending.states[delivery.index] & State.MASK:  # called off while it waited
            lane.drop(delivery)
            return False
        if self.called_off(delivery.pending, delivery.index):  # it was in flight, and its process has ended
            lane.call_off(delivery)
            return False
        return True

    def noting(self, pending: Pending, place: int, then: typing.Callable[[], None]) -> bool:
        """*place* has a slot: whether it is to be noted as started before it is sent; *then* once that is on disk."""
        course = _course(pending)
        course.flying.add(place)
        state = pending.states[place]
        if not course.flow.compensated(place):
            return False
        if state & State.STARTED:  # before a crash, and nobody knows how that attempt ended
            pending.states[place] = state | State.UNKNOWN
            return False
        pending.states[place] = state | State.STARTED
        self.book.committer.touch(pending)
        self.book.committer.once_written(then)
        return True

    def not_sent(self, pending: Pending, place: int) -> None:
        """What was noted as started was not sent, and has no slot any more."""
        _course(pending).flying.discard(place)
        pending.states[place] &= ~State.STARTED
        self.book.committer.touch(pending)

    def landed(self, pending: Pending, place: int, outcome: Outcome) -> None:
        """Note what the outcome of an attempt says about whether the target may have acted."""
        course = _course(pending)
        course.flying.discard(place)
        state = pending.states[place]
        if state & State.MASK:
            return
        pending.states[place] = acted.landed(state, outcome)
        if type(outcome) is Delivered:
            self.keep(pending, place, Kept(outcome.answer or Captured(outcome.status)))

    def called_off(self, pending: Pending, place: int) -> bool:
        """Whether a delivery must not be tried again, since its saga has failed meanwhile."""
        flow = _course(pending).flow
        return flow.role(place) <= Role.FALLBACK and flow.failing(pending.states)

    def sticks(self, pending: Pending, place: int, reason: Reason) -> bool:
        """Whether a delivery that is given up for *reason* becomes Stuck: a compensation, unless people gave it up."""
        over = reason in _TAKEN_AWAY or reason is Reason.SAGA_ABANDONED
        if not over and _course(pending).flow.role(place) is Role.COMPENSATION:
            return True
        self.keep(pending, place, Kept(reason=reason.value))
        return False

    def stands_in(self, pending: Pending, place: int, reason: Reason) -> bool:
        """Whether a delivery that is given up for *reason* is no dead letter, since something stands in for its target.

        A static answer does not once people have removed the target: they may put it back, and replay. Nor where they
        have taken away the answer itself, but for a caller, who has it from the plan that it came in by.
        """
        flow = _course(pending).flow
        stands_in = flow.stands_in(pending.states, place)
        if not stands_in or not flow.covered(place):
            return stands_in
        lane, caller = self.lane_of(pending, place), pending.caller
        known = (lane is not None and lane.has_static()) or (caller is not None and caller.waits_for(place))
        return known and reason not in _TAKEN_AWAY

    def forgo(self, pending: Pending, place: int) -> None:
        """Give up a delivery that is not in flight, because something stands in for it."""
        before = pending.states[place]
        pending.states[place] = State.DEAD
        pending.left -= 1
        self.book.committer.touch(pending)
        self._lane(pending, place).unowe(pending)
        self.settled(pending, place, before)

    def settled(self, pending: Pending, place: int, before: int) -> None:
        """Carry out what follows from the settling of a position, as its state says it; *before* is the former one."""
        course = _course(pending)
        unknown = acted.unknown(before, flying=place in course.flying)
        course.flying.discard(place)
        conditions = Conditions(pending.event, course.kept, course.judged)
        moves = course.flow.settled(pending.states, place, unknown=unknown, flying=course.flying, ask=conditions.holds)
        barred = bar(self, pending, moves, conditions)
        self._carry_out(pending, moves, conditions, barred)
        if not pending.left and course.kept:
            self.book.committer.forget_kept(pending.event.seq)

    # --- what follows ------------------------------------------------------------------------------------------------

    def free(self, pending: Pending, place: int) -> None:
        """Give a position to its lane, now that its turn is on disk, unless it was called off meanwhile."""
        lane = self._lane(pending, place)
        if pending.states[place] & State.MASK:
            lane.forget(pending, place)
        else:
            lane.begin(pending, place)

    def count(
        self,
        pending: Pending,
        skipped: list[int],
        dead: typing.Iterable[DeadRow],
        barred: typing.Iterable[Barred],
    ) -> None:
        """Count what was settled without ever having been owed: *skipped*, *dead* letters, and those stood in for."""
        for place in skipped:
            if (lane := self.lane_of(pending, place)) is not None:
                lane.skip()
        for row in dead:
            self._mourn(pending, row)
        for one in barred:
            if one.row is None and (lane := self.lane_of(pending, one.place)) is not None:
                lane.fell_back(pending, one.dead)

    def _carry_out(
        self, pending: Pending, moves: Moves, conditions: Conditions, barred: typing.Sequence[Barred]
    ) -> None:
        pending.left -= len(moves.skipped) + len(moves.called_off) + len(moves.undecided) + len(barred)
        if (caller := pending.caller) is not None:
            for place in (*moves.skipped, *moves.called_off):
                caller.passed_over(place, pending.states[place])
            for place in moves.undecided:
                caller.died(place, _no_value(conditions, place))
            for one in barred:
                caller.died(one.place, one.dead)
        dead = [self._undecided(pending, place, conditions) for place in moves.undecided] + letters(barred)
        for row in dead:
            self.book.committer.bury(row)
        self.count(pending, moves.skipped, dead, barred)
        for place in moves.called_off:
            if (lane := self.lane_of(pending, place)) is not None:
                lane.unowe(pending)
        for place in moves.freed:
            self._hand_over(pending, place)

    def _hand_over(self, pending: Pending, place: int) -> None:
        """Owe a position that was freed, and give it to its lane once that is on disk."""
        owed, then = self._owe(pending, place), functools.partial(self.free, pending, place)
        if owed is None:
            self.book.committer.once_written(then)
        else:
            self.book.committer.index(owed, then)

    def _undecided(self, pending: Pending, place: int, conditions: Conditions) -> DeadRow:
        """Make the dead letter of a position whose condition has no value for the event."""
        return self.dead_letter(pending, place, _no_value(conditions, place))

    def dead_letter(self, pending: Pending, place: int, dead: Dead) -> DeadRow:
        """Make the dead letter of a position that was never a delivery of a lane."""
        event = pending.event
        known = packed(earlier(event.frozen, pending.states, _course(pending).kept))
        size = len(event.body) + len(known)
        lane, reason = event.frozen.lanes[place], dead.reason.value
        return DeadRow(lane, event.seq, self.now(), reason, dead.detail, 0, (), size, known)

    def keep(self, pending: Pending, place: int, kept: Kept) -> None:
        """Keep what became of a position in the commit that settles it, if expressions read it."""
        event = pending.event
        most = event.frozen.graph[place].keep
        if most:
            kept = Kept(kept.answer.whole(most), kept.reason) if kept.answer is not None else kept
            _course(pending).keep(place, kept)
            self.book.committer.keep(KeptRow(event.seq, place, kept))

    def _owe(self, pending: Pending, place: int) -> DueRow | None:
        """Count a position as owed by its lane, and hold its event in memory for the delivery to come."""
        pending.refs += 1
        return self._lane(pending, place).owe(pending, place)

    def lane_of(self, pending: Pending, place: int) -> Lane | None:
        """The lane of a position whose turn had not come, so that its target may be in no plan any more."""
        return self.lanes.get(pending.event.frozen.lanes[place])

    def _mourn(self, pending: Pending, row: DeadRow) -> None:
        """Count a dead letter where its target is counted, whether a lane stands for it or not."""
        lane = self.lanes.get(row.lane)
        if lane is not None:
            lane.mourn(row)
        else:
            frozen = pending.event.frozen
            self.book.mourn(frozen.route, frozen.targets[frozen.lanes.index(row.lane)], row)

    def _lane(self, pending: Pending, place: int) -> Lane:
        return self.lanes[pending.event.frozen.lanes[place]]


def _no_value(conditions: Conditions, place: int) -> Dead:
    """Why a position is given up whose condition has no value."""
    return Dead(Reason.EXPRESSION_FAILED, conditions.failed[place], spent=False)


def _course(pending: Pending) -> Course:
    course = pending.course
    assert course is not None, "only events with a graph come to the conductor"
    return course
