"""A group: what one commit takes along, and the transaction that is made of it."""

import typing

import msgspec

from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.journal.protocol import Batch, DeadRow, DueRow, Fetched, Finished, KeyRow, Rank, Replayed
from fanout_dispatcher.values.event import Event


class Append(typing.Protocol):
    """An event to write, and what goes with it."""

    @property
    def event(self) -> Event:
        """The event."""

    @property
    def spilled(self) -> typing.Sequence[DueRow]:
        """Its deliveries that go into the index at once."""

    @property
    def ranks(self) -> typing.Sequence[Rank]:
        """Places in the order of a key, of its deliveries that have one."""

    @property
    def dead(self) -> typing.Sequence[DeadRow]:
        """Its deliveries that are dead at birth."""

    @property
    def replayed(self) -> Replayed | None:
        """The dead letter whose place it takes."""

    @property
    def fetched(self) -> Fetched | None:
        """What is remembered of where a source has fetched it."""

    @property
    def key(self) -> KeyRow | None:
        """The idempotency key that it comes under."""

    def landed(self, fault: Exception | None) -> None:
        """It is committed, or *fault* has refused it."""


After = typing.Callable[[], None]  # called once what was collected before it is committed


class Group(msgspec.Struct, frozen=True, gc=False):
    """What one commit takes along."""

    appends: list[Append]
    rest: Batch
    touched: list[Pending]
    after: list[After]

    def batch(self, at: float) -> Batch:
        """One transaction at *at*: the rest as it is, the appends, and what the touched events have come to by now.

        Asked for once: from then on those may be touched anew, for the next group. Of one that is void by now nothing
        is written.
        """
        appends, rest, touched = self.appends, self.rest, self.touched
        for pending in touched:
            pending.touched = False
        progress = [(one.event.seq, bytes(one.states)) for one in touched if one.left > 0]
        finished = [
            Finished(one.event.seq, one.event.frozen.number, one.event.accepted, bytes(one.states))
            for one in touched
            if one.left == 0
        ]
        return Batch(
            at=at,
            lanes=rest.lanes,
            frozen=rest.frozen,
            plans=rest.plans,
            events=[one.event for one in appends],
            fetched=[one.fetched for one in appends if one.fetched is not None],
            forgotten=rest.forgotten,
            keys=[one.key for one in appends if one.key is not None],
            answers=rest.answers,
            due=rest.due + [row for one in appends if one.spilled for row in one.spilled],
            ranks=[rank for one in appends if one.ranks for rank in one.ranks],
            undue=rest.undue,
            passed=rest.passed,
            progress=progress,
            kept=rest.kept,
            read=rest.read,
            dead=rest.dead + [row for one in appends if one.dead for row in one.dead],
            finished=finished,
            replayed=[one.replayed for one in appends if one.replayed is not None],
            removed=rest.removed,
        )
