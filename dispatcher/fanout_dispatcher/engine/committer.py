"""The committer: many requests and settles share one commit.

A pure part on the loop collects; at most one batch is at the disk at any time, so a group forms by itself: whatever
arrives while a commit runs goes into the next. An append waits a few milliseconds for company where that pays
(linger.py); a settle alone, always.

When a commit fails, its events are refused (nobody has been told 202) and its settles are kept and tried again: they
say what has already happened out there. When they are tried, and what the journal does before, mending.py tells. Where
it failed for want of room, settles may have some while events have none: then they are written as ever, and the trouble
lasts until the journal, which is asked now and then, says that it takes events.
"""

import asyncio
import math
import typing

from fanout_dispatcher.engine.collected import empty, joined
from fanout_dispatcher.engine.group import After, Append, Group
from fanout_dispatcher.engine.linger import Linger
from fanout_dispatcher.engine.mending import RETRY_FIRST, Mending
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.journal.disk import Disk
from fanout_dispatcher.journal.faults import JournalAmbiguous, JournalFull
from fanout_dispatcher.journal.protocol import AnswerRow, Batch, DeadRow, DueRow, Journal, KeptRow
from fanout_dispatcher.values.desk import JournalMeter
from fanout_dispatcher.values.each import each
from fanout_dispatcher.values.event import Frozen

SETTLE_LINGER: typing.Final = 0.005  # seconds a settle waits for an append to ride with


class Committer:
    """Collects for one journal; every verb sees to it that what it collects is committed soon.

    *released* is told each Pending that nothing uncommitted refers to any more, *troubled* when commits begin to fail,
    and None when they work again.
    """

    def __init__(
        self,
        disk: Disk,
        *,
        loop: asyncio.AbstractEventLoop,
        now: typing.Callable[[], float],
        released: typing.Callable[[Pending], None],
        troubled: typing.Callable[[Exception | None], None],
        linger: Linger,
    ) -> None:
        self.disk = disk
        self.loop = loop
        self.now = now
        self.released = released
        self.troubled = troubled
        self.appends: list[Append] = []
        self.refused: list[tuple[Append, Exception]] = []  # they came in trouble, and are to be told
        self.rest = Batch()
        self.touched: list[Pending] = []
        self.busy = False
        self.begun = 0.0  # when the commit that is at the disk was handed to it
        self.meter = JournalMeter()
        self.linger = linger
        self.opened = 0.0  # loop time at which the first of ``appends`` came
        self.enough = math.inf  # so many of them go at once
        self.flush: asyncio.Handle | None = None  # the next commit is scheduled …
        self.flush_at = math.inf  # … for this loop time
        self.trouble: Exception | None = None  # why events are refused
        self.full = False  # the journal had no room for events, and has not said since that it has
        self.asks = False  # the next commit asks it
        self.mending = Mending(disk, loop, self._commit)
        self.after: list[After] = []

    def append(self, append: Append) -> None:
        """Write an event with the next commit; in trouble it is refused, so that no settle has to fail with it."""
        if self.trouble is not None:
            if not self.refused:
                self.loop.call_soon(self._refuse)
            self.refused.append((append, self.trouble))
            return
        appends = self.appends
        appends.append(append)
        if len(appends) == 1:
            self.opened = self.loop.time()
            if not self.busy:
                self._wait()
        elif len(appends) >= self.enough and not self.busy:
            self._flush_by(self.opened, self._commit)

    def touch(self, pending: Pending) -> None:
        """The event's states have changed."""
        if not pending.touched:
            pending.touched = True
            pending.refs += 1
            self.touched.append(pending)
            self._soon()

    def index(self, row: DueRow, then: After) -> None:
        """Put a delivery into the index; *then* once it is there."""
        self.rest.due.append(row)
        self.once_written(then)

    def unindex(self, lane: int, seq: int, then: After) -> None:
        """Take a settled delivery out of the index; *then* once it is gone."""
        self.rest.undue.append((lane, seq))
        self.once_written(then)

    def give_up_place(self, lane: int, seq: int) -> None:
        """The delivery's rank, if it has one, goes with what is collected now: the next one of its key is first."""
        self.rest.passed.append((lane, seq))
        self._soon()

    def keep(self, row: KeptRow) -> None:
        """Keep what became of a position, for later ones to read; with the commit of its settling."""
        self.rest.kept.append(row)
        self._soon()

    def forget_kept(self, seq: int) -> None:
        """The event is settled: nobody will read what was kept of its positions."""
        self.rest.read.append(seq)
        self._soon()

    def bury(self, row: DeadRow) -> None:
        """Keep a dead letter."""
        self.rest.dead.append(row)
        self._soon()

    def remove(self, dead: int, then: After) -> None:
        """Drop a dead letter; *then* once it is gone."""
        self.rest.removed.append(dead)
        self.once_written(then)

    def name_lane(self, number: int, route: str, target: str) -> None:
        """Say what a lane's number stands for."""
        self.rest.lanes.append((number, route, target))
        self._soon()

    def freeze(self, frozen: Frozen) -> None:
        """Keep a frozen target list, before the first event that refers to it."""
        self.rest.frozen.append(frozen)
        self._soon()

    def keep_plan(self, route: str, plan: bytes | None) -> None:
        """Keep the plan of a route, or forget it (None)."""
        self.rest.plans.append((route, plan))
        self._soon()

    def forget(self, source: str, keys: typing.Iterable[str]) -> None:
        """*source* will not fetch these again: they need not be remembered."""
        self.rest.forgotten += [(source, key) for key in keys]
        self._soon()

    def keep_answer(self, row: AnswerRow) -> None:
        """Keep what a caller was told, with the key of its event."""
        self.rest.answers.append(row)
        self._soon()

    def once_written(self, then: After) -> None:
        """Call *then* once everything collected up to now is committed."""
        self.after.append(then)
        self._soon()

    async def written(self) -> None:
        """Wait until everything collected up to now is committed; for as long as the disk does not take it."""
        waiter = self.loop.create_future()
        self.once_written(lambda: None if waiter.done() else waiter.set_result(None))
        await waiter

    async def flushed(self) -> None:
        """Wait until nothing is left to commit. Only ends when no new work comes in: for shutting down."""
        while self.busy or self.appends or self.touched or not empty(self.rest):
            await self.written()

    def _soon(self) -> None:
        """Commit a little later, so that what was collected finds company."""
        if self.flush is None and not self.busy:
            self._flush_by(self.loop.time() + SETTLE_LINGER, self._commit)

    def _wait(self) -> None:
        """Let the appends that are here wait for others, if that pays and they have not waited long enough."""
        seconds = self.linger.seconds()
        self.enough = self.linger.enough() if seconds else 0
        if len(self.appends) >= self.enough:
            self._flush_by(self.opened, self._commit)
        else:
            self._flush_by(self.opened + seconds, self._waited)

    def _flush_by(self, at: float, flush: typing.Callable[[], None]) -> None:
        """Begin a commit, by *flush*, at loop time *at*; in the next turn of the loop when that has passed."""
        if at >= self.flush_at or self.busy:
            return
        self._unscheduled()
        self.flush_at = at
        self.flush = self.loop.call_soon(flush) if at <= self.loop.time() else self.loop.call_at(at, flush)

    def _waited(self) -> None:
        """Nobody else has come in time."""
        self.linger.waited()
        self._commit()

    def _refuse(self) -> None:
        refused, self.refused = self.refused, []
        each(self.loop, refused, lambda one: one[0].landed(one[1]))

    def _commit(self) -> None:
        self._refuse()  # first: what is touched of an event that is not written must not be written either
        self._unscheduled()
        group = Group(self.appends, self.rest, self.touched, self.after)
        self.appends, self.rest, self.touched, self.after = [], Batch(), [], []
        self.busy = True
        self.begun = self.loop.time()
        batch, opened = group.batch(self.now()), self.opened
        asks, self.asks = self.asks, False
        self.disk.run(
            lambda journal: _written(journal, batch, asks), lambda answer: self._done(group, opened, asks, answer)
        )

    def _unscheduled(self) -> None:
        if self.flush is not None:
            self.flush.cancel()
            self.flush = None
            self.flush_at = math.inf

    def _done(self, group: Group, opened: float, asked: bool, answer: str | Exception | None) -> None:
        self.busy = False
        if group.appends:
            size = len(group.appends)
            self.linger.learn(size, size - 1 + len(self.appends), self.loop.time() - opened)
        if isinstance(answer, Exception):
            return self._failed(group, answer)
        if self.trouble is not None and (asked or not self.full):
            self._works_again(answer)
        took = self.loop.time() - self.begun
        self.meter.commit(events=len(group.appends), settles=len(group.touched), seconds=took)
        each(self.loop, group.appends, _landed)
        for pending in group.touched:
            pending.refs -= 1
            if not pending.refs:
                self.released(pending)
        each(self.loop, group.after, lambda then: then())
        if self.appends:
            self._wait()
        elif self.touched or self.after or not empty(self.rest):
            self._soon()

    def _works_again(self, full: str | None) -> None:
        """A commit has worked: that ends the trouble, unless the journal is still *full* to events."""
        if full is None:
            self.trouble, self.full = None, False
            self.mending.ended()
            self.troubled(None)
        else:
            self.trouble = JournalFull(full)
            self.mending.ask_later(self._ask)

    def _ask(self) -> None:
        """Ask with the next commit: now, or a little later when one is at the disk, lest none comes after it."""
        self.asks = True
        if self.busy:
            self.mending.ask_later(self._ask, RETRY_FIRST)
        else:
            self._commit()

    def _failed(self, group: Group, fault: Exception) -> None:
        """Refuse the events, keep the settles for the next try."""
        self.busy = True  # with mending; before anybody is told: what they do then must not begin a commit
        self.meter.failed += 1
        for pending in group.touched:
            if pending.touched:
                pending.refs -= 1  # it is in the next group already, with a reference of its own
            else:
                pending.touched = True
                self.touched.append(pending)
        self.rest = joined(group.rest, self.rest)
        self.after = group.after + self.after
        refused = group.appends + self.appends
        self.appends = []
        if self.trouble is None:
            self.mending.began()
        self.trouble = fault
        self.full = self.asks = self.full or isinstance(fault, JournalFull)
        repair = [one.event.seq for one in group.appends] if isinstance(fault, JournalAmbiguous) else None
        self.mending.again(fault, repair)
        self.troubled(fault)
        each(self.loop, refused, lambda append: append.landed(fault))


def _landed(append: Append) -> None:
    append.landed(None)


def _written(journal: Journal, batch: Batch, asks: bool) -> str | None:
    """Commit *batch*; to whoever *asks*, why the journal would take no events all the same."""
    journal.commit(batch)
    return journal.full() if asks else None
