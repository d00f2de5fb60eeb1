"""A lane's index: its due rows in the journal, and the traffic between them and the lane's two windows.

Rows are pulled in order, each kind into its window, and stay where they are, *claimed*, until what became of them is
committed. Everything that changes what the lane knows of the index happens in the journal's own order, after the
commit or the read it follows from: so a row is never pulled twice, and a wake-up is never lost.
"""

import functools
import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.pending import Delivery, Pending
from fanout_dispatcher.engine.window import PAGE, Window
from fanout_dispatcher.journal.protocol import DueRow, Journal, Pulled
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Dead

Rows = tuple[list[Pulled], float | None]
Windows = tuple[Window, Window]  # fresh, tried


class Index:
    """The due rows of lane *number*. *woken* is called whenever there may be something to pull or to send."""

    __slots__ = ("book", "fault", "number", "ranked", "returned", "windows", "woken")

    def __init__(
        self, number: int, *, book: Book, windows: Windows, woken: typing.Callable[[], None], ranked: bool = False
    ) -> None:
        self.number = number
        self.book = book
        self.windows = windows
        self.woken = woken
        self.fault: Exception | None = None  # why the last look at the rows failed
        self.ranked = ranked  # some of it may have a place in the order of a key
        self.returned = NEVER  # when the oldest event was accepted that is back since the oldest were looked at

    def pull(self, window: Window, until: float) -> None:
        """Fetch the next rows of its kind that are due by *until* into *window*."""
        kind, claimed = (self.number, window.tried), frozenset(window.claimed)
        limit = window.page()
        window.pull_begins()

        def job(journal: Journal) -> Rows:
            return journal.pull(kind, until, limit, claimed)

        self.book.disk.run(job, functools.partial(self._pulled, window))

    def oldest(self, then: typing.Callable[[list[Pulled]], None]) -> None:
        """Look at the rows of the oldest events, whatever their kind and time, without claiming them."""
        number, claimed = self.number, frozenset().union(*(window.claimed for window in self.windows))
        returned, self.returned = self.returned, NEVER
        for window in self.windows:
            window.pulling = True  # a row that *then* gives up must not be pulled meanwhile

        def job(journal: Journal) -> list[Pulled]:
            return journal.oldest(number, PAGE, claimed)

        def looked(answer: list[Pulled] | Exception) -> None:
            for window in self.windows:
                window.pulling = False
            if isinstance(answer, Exception):
                self.fault = answer
                self.returned = min(self.returned, returned)
                return  # the next sweep tells, and wakes the lane again
            self.fault = None
            then(answer)
            self.woken()

        self.book.disk.run(job, looked)

    def searchable(self) -> bool:
        """It has rows that are not claimed, and is not being asked for any."""
        fresh, tried = self.windows
        has_rows = fresh.next_due < NEVER or tried.next_due < NEVER
        return has_rows and not (fresh.pulling or tried.pulling)

    def claimed(self, seq: int) -> bool:
        """Whether the row of an event is in a window or in flight."""
        return any(seq in window.claimed for window in self.windows)

    def claim(self, row: Pulled) -> Delivery:
        """Take a row into memory, beside the deliveries of the same event that are there already."""
        seq = row.event.seq
        claims = self.windows[row.due.tried].claimed
        claims.add(seq)
        pending = self.book.live.get(seq)
        if pending is None:
            event = row.event
            course = self.book.conductor.course(event.frozen, row.kept)
            pending = Pending(event=event, states=bytearray(row.states), left=State.left(row.states), course=course)
            self.book.live[seq] = pending
        pending.refs += 1
        index = pending.event.frozen.lanes.index(self.number)
        return Delivery(pending, index, row.due.attempts, row.due.history, claims, since=row.due.at)

    def put_back(self, delivery: Delivery, at: float, stuck: Dead | None = None) -> None:
        """Out of memory and into the index, due at *at*; fresh still if no attempt was spent on it.

        *stuck* says why it was given up, where people have to decide what becomes of it.
        """
        why = (stuck.reason.value, stuck.detail) if stuck else ("", "")
        row = DueRow(self.number, delivery.pending.event.seq, at, delivery.attempts, delivery.history, *why)
        if delivery.claims is None:
            delivery.pending.bare -= 1
        self.book.committer.index(row, functools.partial(self.let_go, delivery, at))

    def let_go(self, delivery: Delivery, at: float) -> None:
        """Out of memory, now that its row is written: due at *at*, or later."""
        if delivery.claims is not None:
            delivery.claims.discard(delivery.pending.event.seq)
        self.returned = min(self.returned, delivery.pending.event.accepted)
        self.book.release(delivery.pending)
        self.windows[delivery.attempts > 0].row_added(at)
        self.woken()

    def keep(self, window: Window, before: float) -> None:
        """Give what has been in *window* since before *before* a row each, claimed at once: it stays in the window.

        What stands still here for long (its target is held, its circuit open) would make the next start look at every
        event that came after it.
        """
        oldest = next((one for one in window.ready if one.claims is None), None)
        if oldest is None or oldest.pending.event.accepted > before:
            return
        for delivery in window.ready:
            if delivery.claims is None:
                event = delivery.pending.event
                delivery.claims = window.claimed
                window.claimed.add(event.seq)
                delivery.pending.bare -= 1
                self.book.committer.index(DueRow(self.number, event.seq, event.accepted), _nothing)

    def remove(self, seq: int) -> None:
        """The row of a delivery that was settled without being here; nothing, if it has none."""
        self.book.committer.unindex(self.number, seq, _nothing)

    def stow(self) -> None:
        """Out of memory and into the index, to their old places: all but a few of what the windows hold."""
        for window in self.windows:
            while (delivery := window.surplus()) is not None:
                pending = delivery.pending
                if pending.states[delivery.index] & State.MASK:  # called off while it was being fetched
                    self.drop(delivery)
                    self.book.release(pending)
                else:
                    self.put_back(delivery, pending.event.accepted)

    def drop(self, delivery: Delivery, *, holds: bool = False) -> None:
        """The delivery is settled: if it has a row, that goes with the same commit.

        So does its place in the order of its key, unless it *holds* that.
        """
        if delivery.claims is None:
            delivery.pending.bare -= 1
        elif self.ranked and not holds:
            self._let_next(delivery.claims, delivery.pending.event.seq)
        else:
            seq = delivery.pending.event.seq
            self.book.committer.unindex(self.number, seq, functools.partial(delivery.claims.discard, seq))

    def freed(self) -> None:
        """A place in the order of a key was given up: the one behind it may be due."""
        self.windows[0].row_added(0.0)
        self.woken()

    def _let_next(self, claims: set[int], seq: int) -> None:
        def gone() -> None:
            claims.discard(seq)
            self.freed()

        self.book.committer.give_up_place(self.number, seq)
        self.book.committer.unindex(self.number, seq, gone)

    def _pulled(self, window: Window, answer: Rows | Exception) -> None:
        if isinstance(answer, Exception):
            self.fault = answer
            window.pulling = False
            return  # the next sweep tells, and wakes the lane again
        self.fault = None
        rows, next_due = answer
        window.pull_ends(next_due)
        for row in rows:
            window.push(self.claim(row))
        self.woken()


def _nothing() -> None:
    """Nobody waits for it."""
