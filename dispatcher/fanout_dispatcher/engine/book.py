"""A book: one journal with what the engine keeps in memory about it.

There are two: the durable one and the one for routes with ``durability: Memory``. They work alike, down to the
receipts.
"""

import asyncio
import functools
import typing

import msgspec

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.committer import Committer
from fanout_dispatcher.engine.conductor import Conductor
from fanout_dispatcher.engine.linger import LONGEST, Linger
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.engine.receipts import Receipts
from fanout_dispatcher.engine.register import Register
from fanout_dispatcher.journal.disk import Disk, ask
from fanout_dispatcher.journal.protocol import Backlog, DeadRow, Journal, Pruned, Recovered
from fanout_dispatcher.values.event import Frozen
from fanout_dispatcher.values.graph import Graph

T = typing.TypeVar("T")
PRUNE: typing.Final = 250  # dead letters at a time: some 2 ms on the journal's thread
PRUNE_PAUSE: typing.Final = 0.05  # seconds between two times


class Book:
    """Numbers the events of one journal, and knows which are live in memory and what no lane has taken over yet."""

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
        self.marked = recovered.last_seq + 1  # every pending delivery of an event below has its row in the journal
        self.live: dict[int, Pending] = {}
        self.register = Register(recovered, self.committer)
        self.fetched = {source: set(keys) for source, keys in recovered.fetched.items()}
        self.conductor = Conductor(self, clock.now)
        self.found: dict[str, dict[str, Backlog]] = {}  # by route and target: no lane stands for it yet
        for number, backlog in recovered.backlog.items():
            route, target = recovered.lanes[number]
            self.found.setdefault(route, {})[target] = backlog

    def remembered(self, source: str) -> set[str]:
        """Keys of what *source* has fetched and may fetch again, to add one to."""
        return self.fetched.setdefault(source, set())

    def forget(self, source: str, keys: typing.Collection[str]) -> None:
        """*source* will not fetch these again."""
        if keys:
            kept = self.remembered(source)
            kept.difference_update(keys)
            if not kept:
                del self.fetched[source]
            self.committer.forget(source, keys)

    def next_seq(self) -> int:
        """The number of the next event."""
        self.seq += 1
        return self.seq

    def lane(self, route: str, target: str) -> tuple[int, Backlog]:
        """The number of a lane, and what a restart found in it."""
        return self.register.lane(route, target), self.found.get(route, {}).pop(target, Backlog())

    def lane_dropped(self, names: tuple[str, str]) -> None:
        """The journal has dropped a lane: nothing is known of it any more, unless it was asked for meanwhile."""
        if self.register.lane_dropped(names):
            route, target = names
            found = self.found.get(route, {})
            found.pop(target, None)
            if not found:
                self.found.pop(route, None)

    def left_behind(self, route: str) -> list[str]:
        """Targets of *route* that a restart found a backlog for and no lane stands for."""
        return [target for target, backlog in self.found.get(route, {}).items() if backlog.pending]

    def dead_letters(self, route: str, target: str) -> int:
        """How many there are of a target that no lane stands for."""
        found = self.found.get(route, {}).get(target)
        return 0 if found is None else found.dead

    def leave_behind(self, route: str, target: str, backlog: Backlog) -> None:
        """No lane stands for the target any more; the next one that does finds *backlog*."""
        self.found.setdefault(route, {})[target] = backlog

    def mourn(self, route: str, target: str, row: DeadRow) -> None:
        """Count a dead letter of a target that no lane stands for."""
        self._count(route, target, 1, row.size)

    def dropped(self, route: str, target: str, count: int, size: int) -> None:
        """So many dead letters of such a target are no longer kept: pruned, removed or replayed."""
        self._count(route, target, -count, -size)

    def _count(self, route: str, target: str, count: int, size: int) -> None:
        left = self.found.get(route, {}).get(target, Backlog())
        dead, size = max(0, left.dead + count), max(0, left.dead_bytes + size)  # people and time may drop the same one
        self.leave_behind(route, target, msgspec.structs.replace(left, dead=dead, dead_bytes=size))

    def prune(self, before: float) -> None:
        """Drop dead letters from before *before* of targets that no lane stands for, and that owe nothing.

        One that owes something waits for a plan of its own, which says how long they are kept.
        """
        for route, targets in self.found.items():
            for target, backlog in targets.items():
                if backlog.dead and not backlog.pending:
                    self._prune(route, target, before)

    def _prune(self, route: str, target: str, before: float) -> None:
        number = self.register.lane(route, target)

        def pruned(answer: Pruned | Exception) -> None:
            if target in self.found.get(route, {}) and not isinstance(answer, Exception):
                count, size, _ = answer
                self.dropped(route, target, count, size)
                if count == PRUNE:
                    self.loop.call_later(PRUNE_PAUSE, self._prune, route, target, before)

        self.disk.run(lambda journal: journal.prune(number, before, None, PRUNE), pruned)

    def freeze(self, route: str, generation: int, targets: tuple[str, ...], graph: Graph = ()) -> Frozen:
        """The frozen target list for a generation; the same one again while nothing changes."""
        return self.register.freeze(route, generation, targets, graph)

    def mark(self) -> None:
        """Tell the journal from which event on the next start has to look for deliveries that were in a window.

        Twice it waits for a commit: first until every event so far is with its lanes or refused, then until what had
        become of the older ones is written.
        """
        if self.marked > self.seq:
            return
        last = self.seq

        def handed_over() -> None:
            bare = (seq for seq, pending in self.live.items() if pending.bare)
            self.marked = min(min(bare, default=last + 1), last + 1)
            self.committer.once_written(functools.partial(self._mark, self.marked))

        self.committer.once_written(handed_over)

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
