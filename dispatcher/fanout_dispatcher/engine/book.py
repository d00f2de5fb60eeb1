"""A book: one journal with what the engine keeps in memory about it.

There are two: the durable one and the one for routes with ``durability: Memory``. They work alike, down to the
receipts.
"""

import asyncio
import functools
import typing

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.committer import Committer
from fanout_dispatcher.engine.linger import LONGEST, Linger
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.engine.receipts import Receipts
from fanout_dispatcher.journal.disk import Disk, ask
from fanout_dispatcher.journal.protocol import Backlog, Journal, Recovered
from fanout_dispatcher.values.event import Frozen

T = typing.TypeVar("T")
PRUNE: typing.Final = 1000  # dead letters at a time


class Book:
    """Numbers events, lanes and frozen target lists of one journal, and knows which events are live in memory."""

    def __init__(
        self,
        disk: Disk,
        recovered: Recovered,
        *,
        worker: str,
        clock: Clock,
        max_bytes: int,
        troubled: typing.Callable[[Exception | None], None],
        linger: float = LONGEST,
    ) -> None:
        self.disk = disk
        self.max_bytes = max_bytes
        self.loop: asyncio.AbstractEventLoop = clock.loop
        self.committer = Committer(
            disk,
            loop=clock.loop,
            now=clock.now,
            released=self._released,
            troubled=troubled,
            linger=Linger(linger),
        )
        self.receipts = Receipts(worker, recovered.key)
        self.seq = recovered.last_seq
        self.marked = 0  # every pending delivery of an event below has its row in the journal
        self.live: dict[int, Pending] = {}
        self.lanes: dict[tuple[str, str], int] = {names: number for number, names in recovered.lanes.items()}
        self.frozen = {(one.route, one.generation, one.targets): one for one in recovered.frozen.values()}
        self.last_lane = max(recovered.lanes, default=0)
        self.last_frozen = max(recovered.frozen, default=0)
        self.found: dict[str, dict[str, Backlog]] = {}  # by route and target: not claimed by a lane yet
        for number, backlog in recovered.backlog.items():
            route, target = recovered.lanes[number]
            self.found.setdefault(route, {})[target] = backlog

    def next_seq(self) -> int:
        """The number of the next event."""
        self.seq += 1
        return self.seq

    def lane(self, route: str, target: str) -> tuple[int, Backlog]:
        """The number of a lane, given out once and for good, and what a restart found in it."""
        number = self.lanes.get((route, target))
        if number is None:
            number = self.last_lane = self.last_lane + 1
            self.lanes[route, target] = number
            self.committer.name_lane(number, route, target)
        return number, self.found.get(route, {}).pop(target, Backlog())

    def left_behind(self, route: str) -> list[str]:
        """Targets of *route* that a restart found a backlog for and no lane has claimed."""
        return [target for target, backlog in self.found.get(route, {}).items() if backlog.pending]

    def leave_behind(self, route: str, target: str, backlog: Backlog) -> None:
        """No lane stands for the target any more; the next one that does finds *backlog*."""
        self.found.setdefault(route, {})[target] = backlog

    def prune(self, before: float) -> None:
        """Drop dead letters from before *before* of targets that no lane stands for."""
        for route, targets in self.found.items():
            for target, backlog in targets.items():
                if backlog.dead:
                    self._prune(route, target, before)

    def _prune(self, route: str, target: str, before: float) -> None:
        number = self.lanes[route, target]

        def pruned(answer: tuple[int, int] | Exception) -> None:
            left = self.found.get(route, {}).get(target)
            if left is not None and not isinstance(answer, Exception):
                count, size = answer
                self.leave_behind(route, target, Backlog(dead=left.dead - count, dead_bytes=left.dead_bytes - size))

        self.disk.run(lambda journal: journal.prune(number, before, None, PRUNE), pruned)

    def freeze(self, route: str, generation: int, targets: tuple[str, ...]) -> Frozen:
        """The frozen target list for a generation; the same one again while nothing changes."""
        what = (route, generation, targets)
        frozen = self.frozen.get(what)
        if frozen is None:
            number = self.last_frozen = self.last_frozen + 1
            lanes = tuple(self.lanes[route, target] for target in targets)
            frozen = Frozen(number=number, route=route, generation=generation, targets=targets, lanes=lanes)
            self.frozen[what] = frozen
            self.committer.freeze(frozen)
        return frozen

    def mark(self) -> None:
        """Tell the journal from which event on the next start has to look for deliveries that were in a window.

        Twice it waits for a commit: first until every event so far is with its lanes or refused, then until what had
        become of the older ones is written.
        """
        if self.marked > self.seq:
            return
        last = self.seq

        def landed() -> None:
            bare = (seq for seq, pending in self.live.items() if pending.bare)
            self.marked = min(min(bare, default=last + 1), last + 1)
            self.committer.once_written(functools.partial(self._mark, self.marked))

        self.committer.once_written(landed)

    def _mark(self, below: int) -> None:
        self.disk.run(lambda journal: journal.mark(below), lambda answer: None)

    async def ask(self, job: typing.Callable[[Journal], T]) -> T:
        """Run *job* on the journal's thread. Raises JournalFault."""
        return await ask(self.disk, job)

    def release(self, pending: Pending) -> None:
        """One reference less; the last one takes the event out of memory."""
        pending.refs -= 1
        if not pending.refs:
            self._released(pending)

    def _released(self, pending: Pending) -> None:
        self.live.pop(pending.event.seq, None)
