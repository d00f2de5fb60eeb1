"""A lane's index: its due rows in the journal, and the traffic between them and the window.

Rows are pulled in order and stay where they are, *claimed*, until what became of them is committed. Everything that
changes what the lane knows of the index happens in the journal's own order, after the commit or the read it follows
from: so a row is never pulled twice, and a wake-up is never lost.
"""

import functools
import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.pending import Delivery, Pending
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.journal.protocol import DueRow, Journal, Pulled
from fanout_dispatcher.values.event import State

PULL: typing.Final = 128  # rows at a time

Rows = tuple[list[Pulled], float | None]


class Index:
    """The due rows of lane *number*. *woken* is called whenever there may be something to pull or to send."""

    def __init__(self, number: int, *, book: Book, window: Window, woken: typing.Callable[[], None]) -> None:
        self.number = number
        self.book = book
        self.window = window
        self.woken = woken

    def pull(self, until: float) -> None:
        """Fetch the next rows that are due by *until* into the window."""
        number, claimed = self.number, frozenset(self.window.claimed)
        self.window.pull_begins()

        def job(journal: Journal) -> Rows:
            return journal.pull(number, until, PULL, claimed)

        self.book.disk.run(job, self._pulled)

    def oldest(self, then: typing.Callable[[list[Pulled]], None]) -> None:
        """Look at the rows of the oldest events, whatever their time, without claiming them."""
        number, claimed = self.number, frozenset(self.window.claimed)
        self.window.pulling = True

        def job(journal: Journal) -> list[Pulled]:
            return journal.oldest(number, PULL, claimed)

        def looked(answer: list[Pulled] | Exception) -> None:
            self.window.pulling = False
            if not isinstance(answer, Exception):
                then(answer)
            self.woken()

        self.book.disk.run(job, looked)

    def claim(self, row: Pulled) -> Delivery:
        """Take a row into memory, beside the deliveries of the same event that are there already."""
        seq = row.event.seq
        self.window.claimed.add(seq)
        pending = self.book.live.get(seq)
        if pending is None:
            pending = Pending(event=row.event, states=bytearray(row.states), left=row.states.count(State.PENDING))
            self.book.live[seq] = pending
        pending.refs += 1
        index = pending.event.frozen.lanes.index(self.number)
        return Delivery(pending, index, row.due.attempts, row.due.history, indexed=True)

    def put_back(self, delivery: Delivery, at: float) -> None:
        """Out of memory and into the index, due at *at*."""
        row = DueRow(self.number, delivery.pending.event.seq, at, delivery.attempts, delivery.history)
        self.book.committer.index(row, functools.partial(self._is_back, delivery.pending, at))

    def drop(self, delivery: Delivery) -> None:
        """The delivery is settled: its row goes with the same commit."""
        seq = delivery.pending.event.seq
        self.book.committer.unindex(self.number, seq, functools.partial(self.window.claimed.discard, seq))

    def _is_back(self, pending: Pending, at: float) -> None:
        self.window.claimed.discard(pending.event.seq)
        self.book.release(pending)
        self.window.row_added(at)
        self.woken()

    def _pulled(self, answer: Rows | Exception) -> None:
        if isinstance(answer, Exception):
            self.window.pulling = False
            return  # the next sweep wakes the lane again
        rows, next_due = answer
        self.window.pull_ends(next_due)
        for row in rows:
            self.window.push(self.claim(row))
        self.woken()
