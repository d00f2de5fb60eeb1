"""A committer at a scripted disk: the bench on which its tests stand."""

import asyncio
import typing

from fanout_dispatcher.engine.committer import Committer
from fanout_dispatcher.engine.linger import Linger
from fanout_dispatcher.engine.mending import RETRY_LONGEST
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.journal.protocol import Batch
from tests.unit.dispatcher.engine.scripted import ScriptedDisk, Told, Written, event

A_MOMENT: typing.Final = 0.0001


class Bench:
    """A committer at a scripted disk, and what it told."""

    def __init__(self, linger: float = 0.0) -> None:
        self.loop = asyncio.get_running_loop()
        self.faults: list[dict[str, typing.Any]] = []  # what the loop was told of
        self.loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.disk = ScriptedDisk()
        self.told = Told()
        self.released: list[int] = []
        self.troubles: list[Exception | None] = []
        self.committer = Committer(
            self.disk,
            loop=self.loop,
            now=self.loop.time,
            released=lambda pending: self.released.append(pending.event.seq),
            troubled=self.troubles.append,
            linger=Linger(linger),
        )

    @property
    def batches(self) -> list[Batch]:
        return self.disk.journal.batches

    def append(self, *seqs: int) -> None:
        for seq in seqs:
            self.committer.append(self.told.append(seq))

    def append_one_that_breaks(self, seq: int) -> None:
        self.committer.append(Written(event(seq), breaks))

    async def turn(self, seconds: float = A_MOMENT) -> None:
        await asyncio.sleep(seconds)

    async def commits(self, fault: Exception | None = None) -> None:
        """Let the group form and the disk answer."""
        await self.turn()
        self.disk.step(fault)

    async def mends(self) -> None:
        """Wait for the next try after a failure and let it succeed."""
        await self.turn(RETRY_LONGEST + 1)
        self.disk.step()


def breaks(*_: object) -> None:
    """What should have been told of a commit has a fault of ours."""
    raise RuntimeError("a fault of ours")


def settled(bench: Bench, one: Pending, index: int) -> None:
    """What a lane does when a delivery is delivered."""
    one.states[index] = 1
    one.left -= 1
    bench.committer.touch(one)
    one.refs -= 1
