"""The committer against a disk that answers when and how the test says: grouping, order, and every way a commit fails."""

import asyncio
import typing

import pytest

from fanout_dispatcher.engine.committer import RETRY_FIRST, RETRY_LONGEST, SETTLE_LINGER, Committer
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.journal.protocol import (
    Batch,
    DeadRow,
    DueRow,
    Finished,
    JournalAmbiguous,
    JournalFault,
    JournalFull,
    Replayed,
)
from tests.sim.loop import run
from tests.unit.dispatcher.engine.scripted import ScriptedDisk, Told, pending

FULL: typing.Final = JournalFull("no space left on the disk")
AMBIGUOUS: typing.Final = JournalAmbiguous("COMMIT failed: disk I/O error")
BROKEN: typing.Final = JournalFault("the file is gone")
A_MOMENT: typing.Final = 0.0001
IN_TURN: typing.Final = (FULL, BROKEN, FULL, BROKEN, FULL, BROKEN)


class Bench:
    """A committer at a scripted disk, and what it told."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
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
        )

    @property
    def batches(self) -> list[Batch]:
        return self.disk.journal.batches

    def append(self, *seqs: int) -> None:
        for seq in seqs:
            self.committer.append(self.told.append(seq))

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


def settled(bench: Bench, one: Pending, index: int) -> None:
    """What a lane does when a delivery is delivered."""
    one.states[index] = 1
    one.left -= 1
    bench.committer.touch(one)
    one.refs -= 1


# --- groups ---------------------------------------------------------------------------------------------------------


def test_appends_of_one_turn_share_a_commit_and_land_in_order() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1, 2, 3)

        await bench.commits()

        assert [[event.seq for event in batch.events] for batch in bench.batches] == [[1, 2, 3]]
        assert bench.told.landed == [(1, None), (2, None), (3, None)]

    run(scenario())


def test_nobody_is_told_before_the_disk_has_answered() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)

        await bench.turn(60.0)

        assert bench.told.landed == []

    run(scenario())


def test_what_arrives_during_a_commit_goes_into_the_next_and_one_is_at_the_disk_at_a_time() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.turn()
        bench.append(2, 3)
        settled(bench, pending(9), 0)
        await bench.turn(60.0)

        bench.disk.step()
        bench.disk.step()

        assert [[event.seq for event in batch.events] for batch in bench.batches] == [[1], [2, 3]]
        assert bench.batches[1].progress == [(9, b"\1\0")]
        assert bench.disk.most == 1

    run(scenario())


def test_a_settle_waits_a_little_for_company() -> None:
    async def scenario() -> None:
        bench = Bench()
        settled(bench, pending(1), 0)
        await bench.turn(SETTLE_LINGER / 2)
        assert not bench.disk.jobs

        await bench.turn(SETTLE_LINGER)

        assert len(bench.disk.jobs) == 1

    run(scenario())


def test_an_append_takes_the_waiting_settles_along_at_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        settled(bench, pending(1), 0)
        bench.append(2)

        await bench.commits()
        await bench.turn(1.0)

        assert len(bench.batches) == 1
        assert bench.batches[0].progress == [(1, b"\1\0")]
        assert not bench.disk.jobs

    run(scenario())


def test_nothing_to_write_writes_nothing() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.commits()

        await bench.turn(60.0)

        assert not bench.disk.jobs

    run(scenario())


def test_what_goes_with_an_append_is_in_the_same_batch() -> None:
    async def scenario() -> None:
        bench = Bench()
        due, dead, link = DueRow(1, 1, 5.0), DeadRow(2, 1, 0.0, "QueueFull", "", 0, (), 2), Replayed(7, 1)
        bench.committer.append(bench.told.append(1, spilled=(due,), dead=(dead,), replayed=link))

        await bench.commits()

        assert (bench.batches[0].due, bench.batches[0].dead, bench.batches[0].replayed) == ([due], [dead], [link])

    run(scenario())


# --- states ---------------------------------------------------------------------------------------------------------


def test_the_states_written_are_those_at_the_commit_not_at_the_touch() -> None:
    async def scenario() -> None:
        bench = Bench()
        one = pending(1)
        settled(bench, one, 0)
        settled(bench, one, 1)

        await bench.turn(SETTLE_LINGER)
        await bench.commits()

        assert bench.batches[0].progress == []
        assert bench.batches[0].finished == [Finished(1, 1, 0.0, b"\1\1")]

    run(scenario())


def test_an_event_leaves_memory_only_after_its_last_settle_is_committed() -> None:
    async def scenario() -> None:
        bench = Bench()
        one = pending(1)
        settled(bench, one, 0)
        await bench.turn(1.0)
        settled(bench, one, 1)

        bench.disk.step()
        assert bench.released == []
        await bench.turn(1.0)
        bench.disk.step()

        assert bench.released == [1]
        assert one.refs == 0

    run(scenario())


def test_after_is_called_when_what_came_before_it_is_committed() -> None:
    async def scenario() -> None:
        bench = Bench()
        calls: list[str] = []
        bench.committer.rest.undue.append((1, 1))
        bench.committer.after.append(lambda: calls.append("first"))
        bench.committer.settle()
        await bench.turn(1.0)
        bench.committer.after.append(lambda: calls.append("second"))

        bench.disk.step()
        assert calls == ["first"]
        await bench.turn(1.0)
        bench.disk.step()

        assert calls == ["first", "second"]

    run(scenario())


# --- failures -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [FULL, AMBIGUOUS, BROKEN, ValueError("a bug")])
def test_a_failed_commit_refuses_its_events_and_those_that_wait(fault: Exception) -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.turn()
        bench.append(2)

        bench.disk.step(fault)

        assert bench.told.landed == [(1, fault), (2, fault)]
        assert bench.committer.trouble is fault

    run(scenario())


@pytest.mark.parametrize("fault", [FULL, AMBIGUOUS, BROKEN])
def test_settles_outlive_a_failed_commit(fault: Exception) -> None:
    async def scenario() -> None:
        bench = Bench()
        one = pending(1)
        calls: list[str] = []
        settled(bench, one, 0)
        due, dead = DueRow(1, 5, 9.0), DeadRow(2, 6, 0.0, "Expired", "", 1, (), 2)
        bench.committer.rest.due.append(due)
        bench.committer.rest.dead.append(dead)
        bench.committer.rest.undue.append((1, 4))
        bench.committer.after.append(lambda: calls.append("after"))
        bench.append(2)

        await bench.commits(fault)
        assert calls == []
        settled(bench, one, 1)
        await bench.mends()
        if fault is AMBIGUOUS:
            bench.disk.step()

        batch = bench.batches[-1]
        assert (batch.due, batch.dead, batch.undue) == ([due], [dead], [(1, 4)])
        assert batch.finished == [Finished(1, 1, 0.0, b"\1\1")]
        assert batch.events == []
        assert calls == ["after"]
        assert (bench.released, one.refs) == ([1], 0)

    run(scenario())


def test_rows_kept_from_a_failed_commit_come_before_newer_ones() -> None:
    """A delivery's second due row has to win over its first."""

    async def scenario() -> None:
        bench = Bench()
        old, new = DueRow(1, 1, 5.0, 1), DueRow(1, 1, 9.0, 2)
        bench.committer.rest.due.append(old)
        bench.committer.settle()
        await bench.turn(1.0)
        bench.committer.rest.due.append(new)

        bench.disk.step(FULL)
        await bench.mends()

        assert bench.batches[-1].due == [old, new]

    run(scenario())


def test_trouble_is_told_and_so_is_its_end() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.commits(FULL)
        await bench.mends()

        assert bench.troubles == [FULL, None]
        assert bench.committer.trouble is None

    run(scenario())


def test_after_trouble_new_events_are_taken_again() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.commits(FULL)
        await bench.mends()

        bench.append(2)
        await bench.commits()

        assert bench.told.landed == [(1, FULL), (2, None)]

    run(scenario())


def test_each_try_waits_twice_as_long_as_the_last_up_to_a_bound() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.commits(FULL)
        waits = []
        for fault in IN_TURN:
            begun = bench.loop.time()
            while not bench.disk.jobs:
                await bench.turn(0.01)
            waits.append(round(bench.loop.time() - begun, 1))
            bench.disk.step(fault)

        assert waits == [RETRY_FIRST, 0.4, 0.8, 1.6, 3.2, RETRY_LONGEST]

    run(scenario())


def test_nothing_is_lost_however_often_it_fails() -> None:
    async def scenario() -> None:
        bench = Bench()
        for seq, fault in enumerate(IN_TURN, 1):
            settled(bench, pending(seq, b"\0"), 0)
            await bench.turn(RETRY_LONGEST + 1)
            bench.disk.step(fault)

        await bench.mends()

        assert sorted(one.seq for one in bench.batches[-1].finished) == [1, 2, 3, 4, 5, 6]
        assert sorted(bench.released) == [1, 2, 3, 4, 5, 6]

    run(scenario())


# --- ambiguous ------------------------------------------------------------------------------------------------------


def test_after_an_ambiguous_commit_its_events_are_repaired_away_before_anything_else() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1, 2)
        await bench.turn()
        bench.append(3)  # never at the disk: nothing to repair
        bench.disk.step(AMBIGUOUS)

        await bench.mends()
        bench.disk.step()

        assert bench.disk.journal.asked == ["commit", "repair", "commit"]
        assert bench.disk.journal.repaired == [[1, 2]]

    run(scenario())


def test_a_repair_that_fails_is_tried_until_it_works() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.commits(AMBIGUOUS)
        for _ in range(3):
            await bench.turn(RETRY_LONGEST + 1)
            bench.disk.step(BROKEN)
        assert bench.committer.trouble is AMBIGUOUS

        await bench.mends()
        bench.disk.step()

        assert bench.disk.journal.asked == ["commit", "repair", "repair", "repair", "repair", "commit"]
        assert bench.disk.journal.repaired == [[1]]
        assert bench.committer.trouble is None

    run(scenario())


def test_a_clear_failure_needs_no_repair() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        await bench.commits(FULL)
        await bench.mends()

        assert bench.disk.journal.asked == ["commit", "commit"]

    run(scenario())


# --- shutting down --------------------------------------------------------------------------------------------------


def test_flushed_waits_for_everything_and_for_the_end_of_trouble() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1)
        settled(bench, pending(2), 0)
        flushed = asyncio.ensure_future(bench.committer.flushed())
        await bench.commits(FULL)
        await bench.turn(RETRY_LONGEST + 1)
        assert not flushed.done()

        while not flushed.done():
            if bench.disk.jobs:
                bench.disk.step()
            await bench.turn()

        assert bench.batches[0].progress == [(2, b"\1\0")]
        assert not bench.committer.busy

    run(scenario())


def test_flushed_with_nothing_to_do_ends_at_once() -> None:
    async def scenario() -> None:
        bench = Bench()

        await bench.committer.flushed()

        assert not bench.disk.jobs

    run(scenario())
