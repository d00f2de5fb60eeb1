"""Acceptance: the hot path from an event at the door to its deliveries on their lanes.

It checks the bounds, numbers the event, and hands it to the committer together with what spills into the index. Only
when that is committed does the producer hear of it and do the lanes get the deliveries: a delivery sent before its
event is on disk could be sent twice and be known to nobody.
"""

import typing

import msgspec

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.bounds import BUSY, QUEUE_FULL
from fanout_dispatcher.engine.caller import Caller
from fanout_dispatcher.engine.callers import Callers
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.filters import Judged
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.lines import no_room
from fanout_dispatcher.engine.order import UNJUDGED, Judgement, Keys
from fanout_dispatcher.engine.pending import VOID, Pending
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal.faults import JournalFull
from fanout_dispatcher.journal.protocol import DeadRow, DueRow, Fetched, KeyRow, Rank, Replayed
from fanout_dispatcher.values.answers import Accepted, Reply, Tell, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.each import safely
from fanout_dispatcher.values.event import Event, Frozen, Head, State
from fanout_dispatcher.values.keyed import Keyed
from fanout_dispatcher.values.outcome import Reason

NONE: typing.Final[frozenset[int]] = frozenset()

CHANGED: typing.Final = Turned(
    status=503,
    reason="RouteChanged",
    detail="the route was changed or deleted while its key was looked up: nothing was accepted, try again",
    retry_after=1,
)


class Taken(msgspec.Struct, frozen=True, gc=False, eq=False):
    """An event on its way to the journal (a committer's Append), and what happens when it is there."""

    event: Event
    book: Book
    lanes: tuple[Lane, ...]
    pending: Pending
    reply: Reply
    meter: RouteMeter | None  # of the route's front door; None for a replay, which does not come in there
    spilled: list[DueRow]
    dead: list[DeadRow]
    skipped: frozenset[int]  # numbers of the lanes that it is not for
    replayed: Replayed | None
    fetched: Fetched | None
    key: KeyRow | None
    ranks: typing.Sequence[Rank] = ()

    def landed(self, fault: Exception | None) -> None:
        """Tell the producer, and give the lanes what is theirs, whatever becomes of the answer."""
        if fault is not None:
            return self._refused(fault)
        if self.meter is not None:
            self.meter.accepted += 1
        if self.fetched is not None:
            self.book.remembered(self.fetched.source).add(self.fetched.key)
        safely(self.book.loop, self.reply, Accepted(self.book.receipts.make(self.event.seq)))
        if self.spilled or self.dead or self.skipped:
            return self._scattered()
        pending = self.pending
        self.book.live[self.event.seq] = pending
        pending.refs += len(self.lanes)
        for index, lane in enumerate(self.lanes):
            lane.offer(pending, index)
        return None

    def _scattered(self) -> None:
        """Some of its deliveries are not in a window."""
        pending, elsewhere = self.pending, self._elsewhere()
        if len(elsewhere) < len(self.lanes) or pending.refs:
            self.book.live[self.event.seq] = pending
        for index, lane in enumerate(self.lanes):
            if lane.number not in elsewhere:
                pending.refs += 1
                lane.offer(pending, index)
            elif lane.number in self.skipped:
                lane.tally.meter.skipped += 1
        by_number = {lane.number: lane for lane in self.lanes}
        for row in self.spilled:
            by_number[row.lane].spilled(row.at)
        for dead in self.dead:
            by_number[dead.lane].mourn(dead)

    def _refused(self, fault: Exception) -> None:
        """Take back what was promised; nothing of the event is kept."""
        self.pending.left = VOID
        size, elsewhere = len(self.event.body), self._elsewhere()
        never_owed = {row.lane for row in self.dead} | self.skipped
        for lane in self.lanes:
            if lane.number not in never_owed:
                lane.tally.left(size)
            if lane.number not in elsewhere:
                lane.unpromise()
        self.reply(_refusal(fault, self.meter))

    def _elsewhere(self) -> set[int]:
        """The lanes that have no place for it in their window."""
        return {row.lane for row in self.spilled} | {row.lane for row in self.dead} | self.skipped


class Acceptance:
    """Takes events and replays into their book."""

    def __init__(self, clock: Clock, callers: Callers) -> None:
        self.clock = clock
        self.callers = callers
        self.closed: str | None = None  # why nothing is taken at all

    def accept(
        self,
        route: Route,
        head: Head,
        body: bytes,
        reply: Reply,
        *,
        keyed: Keyed | None = None,
        fetched: str | None = None,
    ) -> None:
        """Take an event for every target of *route*; *reply* is called once. See `take` for what is kept with it."""
        judgement, meter = route.judge(head, body), route.meter
        turned = self.turned(route, len(body), judgement[0])
        if turned is not None:
            return reply(count(meter, turned))
        frozen, lanes = route.frozen, route.lanes
        self.take(frozen, lanes, head, body, judgement, reply=reply, meter=meter, keyed=keyed, fetched=fetched)
        return None

    def accept_waiting(self, route: Route, head: Head, body: bytes, tell: Tell) -> Caller | None:
        """Take an event whose caller waits for targets; None when it was turned away, which *tell* has said."""
        assert route.waits is not None, f"nobody waits for the targets of {route.plan.key}"
        judgement, meter = route.judge(head, body), route.meter
        turned = self.turned(route, len(body), judgement[0]) or self.callers.turned(meter.route)
        turned = turned or no_room(route.waits, judgement[0], head, body)
        if turned is not None:
            tell(count(meter, turned))
            return None
        caller = self.callers.wait(route.waits, meter, tell)
        took = self.take(route.frozen, route.lanes, head, body, judgement, reply=caller.taken, meter=meter)
        caller.follow(took, judgement[0])
        return caller

    def accept_for(self, caller: Caller, route: Route, keyed: Keyed, reply: Reply) -> None:
        """Take an event with its key for *caller*, who waits already; *reply* is called once, with its acceptance."""
        head, body, meter = keyed.head, keyed.body, route.meter
        judgement = route.judge(head, body)
        turned = self.turned(route, len(body), judgement[0]) or no_room(caller.waits, judgement[0], head, body)
        if turned is not None:
            return reply(count(meter, turned))
        took = self.take(route.frozen, route.lanes, head, body, judgement, reply=reply, meter=meter, keyed=keyed)
        if not caller.over:
            caller.follow(took, judgement[0])
        return None

    def take(  # noqa: PLR0913  what an event is made of; a value of their own would be one more per event
        self,
        frozen: Frozen,
        lanes: tuple[Lane, ...],
        head: Head,
        body: bytes,
        judgement: Judgement = UNJUDGED,
        *,
        reply: Reply,
        meter: RouteMeter | None = None,
        replayed: int | None = None,
        fetched: str | None = None,
        keyed: Keyed | None = None,
    ) -> Pending:
        """Write an event owed to those of *lanes* that it is for by *judgement*, counted in *meter*.

        With it, in one commit: the key of *keyed*, by which it is known when it comes again; *fetched*, what the
        route's source calls it, so that it is not brought here again; the end of *replayed*, the dead letter whose
        place it takes.
        """
        judged, keys = judgement
        now = self.clock.now()
        book = lanes[0].book
        seq = book.next_seq()
        event = Event(seq=seq, frozen=frozen, accepted=now, head=head, body=body)
        origin = None if fetched is None else Fetched(frozen.route, fetched, seq)
        key = None if keyed is None else KeyRow(seq, keyed.door, keyed.key, keyed.fingerprint, now)
        if frozen.graph:
            return book.conductor.begin(event, reply, meter, _refusal, judged=judged, fetched=origin, key=key)
        pending = Pending(event=event, states=bytearray(len(lanes)), left=len(lanes))
        size = len(body)
        spilled: list[DueRow] = []
        dead: list[DeadRow] = []
        skipped = NONE if judged is None else _turn_aside(judged, lanes, pending, dead)
        for index, lane in enumerate(lanes):
            if judged is not None and judged[index] is not True:
                continue
            if not lane.bounds.rejects and lane.bounds.overfull(size):  # one that rejects was asked before
                pending.states[index] = State.DEAD
                pending.left -= 1
                dead.append(DeadRow(lane.number, seq, now, Reason.QUEUE_FULL, QUEUE_FULL, 0, (), size))
                continue
            lane.tally.came(size)
            wait = lane.target.delay if replayed is None else 0.0  # a replay was asked for now
            if wait or lane.index.ranked or not lane.promise(now):  # a lane with an order sends by its index alone
                spilled.append(DueRow(lane.number, seq, now + wait))
        if dead or skipped:
            book.committer.touch(pending)  # the states go into the same commit
        link = None if replayed is None else Replayed(replayed, seq)
        ranks = () if keys is None else _ranks(event, lanes, keys, spilled, dead)
        book.committer.append(
            Taken(event, book, lanes, pending, reply, meter, spilled, dead, skipped, link, origin, key, ranks)
        )
        return pending

    def barred(self, book: Book) -> Turned | None:
        """Why no event at all can be taken into *book*, if so."""
        if self.closed is not None:
            return Turned(status=503, reason="ShuttingDown", detail=self.closed, retry_after=BUSY)
        trouble = book.committer.trouble
        return None if trouble is None else journal_trouble(trouble)

    def turned(self, route: Route, size: int, judged: Judged | None, events: int = 1) -> Turned | None:
        """Why *events* of *size* bytes in all cannot be taken, if so: said before anything is written."""
        if not route.standing.in_force:
            return CHANGED
        barred = self.barred(route.book)
        if barred is not None:
            return barred
        for lane in route.lanes:
            turned = lane.bounds.turns_away(size, events)
            if turned is not None and (judged is None or judged[route.lanes.index(lane)] is not False):
                return turned
        return _turned_behind(route, size, judged, events) if route.behind else None


def _turned_behind(route: Route, size: int, judged: Judged | None, events: int) -> Turned | None:
    """Why what stands behind the targets cannot take more: their fallbacks and compensations, and the callbacks."""
    for lane, step in zip(route.behind, route.frozen.graph[len(route.lanes) :], strict=True):
        turned = lane.bounds.turns_away(size, events)
        if turned is not None and (judged is None or not step.after or judged[step.after[0]] is not False):
            return turned
    return None


def _turn_aside(judged: Judged, lanes: tuple[Lane, ...], pending: Pending, dead: list[DeadRow]) -> frozenset[int]:
    """Settle what the event is not for, and what a filter failed for; the lanes that are skipped."""
    event, skipped = pending.event, set()
    for index, (lane, said) in enumerate(zip(lanes, judged, strict=True)):
        if said is True:
            continue
        pending.left -= 1
        if said is False:
            pending.states[index] = State.SKIPPED
            skipped.add(lane.number)
        else:
            pending.states[index] = State.DEAD
            reason, size = Reason.EXPRESSION_FAILED, len(event.body)
            dead.append(DeadRow(lane.number, event.seq, event.accepted, reason, str(said), 0, (), size))
    return frozenset(skipped)


def _ranks(event: Event, lanes: tuple[Lane, ...], keys: Keys, spilled: list[DueRow], dead: list[DeadRow]) -> list[Rank]:
    """Its places in the order of its keys, of what is owed and of what is dead and holds its place all the same."""
    ready = {row.lane: row.at for row in spilled}
    born_dead = {row.lane for row in dead}
    return [
        Rank(lane.number, event.seq, key, ready.get(lane.number, event.accepted))
        for lane, key in zip(lanes, keys, strict=True)
        if key is not None and (lane.number not in born_dead or lane.holds())
    ]


def _refusal(fault: Exception, meter: RouteMeter | None) -> Turned:
    """What a producer is told whose event could not be committed, counted at the route's front door."""
    turned = journal_trouble(fault)
    return turned if meter is None else count(meter, turned)


def count(meter: RouteMeter, turned: Turned) -> Turned:
    """Count an event that was turned away, by its reason."""
    meter.turned[turned.reason] = meter.turned.get(turned.reason, 0) + 1
    return turned


def journal_trouble(fault: Exception) -> Turned:
    """What a producer is told while the journal does not take events; the cause is for the log, not for it."""
    if isinstance(fault, JournalFull):
        return Turned(status=503, reason="JournalFull", detail="the journal is full: try again later", retry_after=BUSY)
    detail = "the journal cannot be written at the moment: nothing was accepted, try again"
    return Turned(status=503, reason="JournalUnavailable", detail=detail, retry_after=BUSY)
