"""An event with a graph between the conductor and the committer: what is appended, and what to do once it is there."""

import typing

import msgspec

from fanout_dispatcher.engine.barred import Barred
from fanout_dispatcher.engine.flow import Moves
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.journal.protocol import DeadRow, DueRow, Fetched, KeyRow, Rank, Replayed
from fanout_dispatcher.values.answers import Accepted, Reply, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.each import safely
from fanout_dispatcher.values.event import Event

if typing.TYPE_CHECKING:
    from fanout_dispatcher.engine.book import Book


class Conductor(typing.Protocol):
    """What it asks of its conductor."""

    book: "Book"

    def free(self, pending: Pending, place: int) -> None:
        """Give a position to its lane."""

    def count(
        self,
        pending: Pending,
        skipped: list[int],
        dead: typing.Iterable[DeadRow],
        barred: typing.Iterable[Barred],
    ) -> None:
        """Count what was settled without ever having been owed."""

    def revoke(self, pending: Pending, freed: list[int]) -> None:
        """Take everything back."""


class Begun(msgspec.Struct, frozen=True, gc=False, eq=False):
    """An event with a graph on its way to the journal: what the committer appends, and what to do once it is there."""

    event: Event
    conductor: Conductor
    pending: Pending
    moves: Moves
    barred: typing.Sequence[Barred]
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
        """Answer the producer, and give the lanes their deliveries; or refuse, when the commit failed with *fault*."""
        if fault is not None:
            self.conductor.revoke(self.pending, self.moves.freed)
            return self.reply(self.refuse(fault, self.meter))
        if self.fetched is not None:
            self.conductor.book.remembered(self.fetched.source).add(self.fetched.key)
        if self.meter is not None:
            self.meter.accepted += 1
        safely(self.conductor.book.loop, self.reply, Accepted(self.conductor.book.receipts.make(self.event.seq)))
        for place in self.moves.freed:
            self.conductor.free(self.pending, place)
        self.conductor.count(self.pending, self.moves.skipped, self.dead, self.barred)
        return None
