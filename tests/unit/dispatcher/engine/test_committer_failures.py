"""Every way a commit fails: its events are refused, its settles are kept, and what is ambiguous is repaired first."""

import functools
import typing

import pytest

from fanout_dispatcher.engine.committer import SETTLE_LINGER
from fanout_dispatcher.engine.mending import RETRY_FIRST, RETRY_FULL, RETRY_LONGEST
from fanout_dispatcher.engine.pending import VOID
from fanout_dispatcher.journal.faults import JournalAmbiguous, JournalFault, JournalFull
from fanout_dispatcher.journal.protocol import DeadRow, DueRow, Finished
from tests.sim.loop import run
from tests.unit.dispatcher.engine.committing import Bench, settled
from tests.unit.dispatcher.engine.scripted import Written, event, pending

FULL: typing.Final = JournalFull("no space left on the disk")
AMBIGUOUS: typing.Final = JournalAmbiguous("COMMIT failed: disk I/O error")
BROKEN: typing.Final = JournalFault("the file is gone")
IN_TURN: typing.Final = (FULL, BROKEN, FULL, BROKEN, FULL, BROKEN)


async def failed(fault: Exception) -> Bench:
    """A bench whose first commit, of one event, ended in *fault*."""
    bench = Bench()
    bench.append(1)
    await bench.commits(fault)
    return bench


async def waits(bench: Bench, faults: typing.Sequence[JournalFault | None]) -> list[float]:
    """How long each try lets wait for it, in seconds, when it ends in the next of *faults* (None: well)."""
    found = []
    for fault in faults:
        begun = bench.loop.time()
        while not bench.disk.jobs:
            await bench.turn(0.01)
        found.append(round(bench.loop.time() - begun, 1))
        bench.disk.step(fault)
    return found


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


def test_one_that_breaks_when_it_is_refused_costs_no_other_its_answer_and_the_next_commit_nothing() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append_one_that_breaks(1)
        bench.append(2)
        settled(bench, pending(5, b"\0"), 0)
        await bench.commits(BROKEN)
        bench.append_one_that_breaks(3)
        bench.append(4)
        await bench.turn()
        await bench.mends()

        assert bench.told.landed == [(2, BROKEN), (4, BROKEN)]
        assert bench.released == [5]
        assert bench.committer.trouble is None
        assert len(bench.faults) == 2

    run(scenario())


def test_one_that_comes_in_trouble_and_breaks_does_not_keep_the_commit_from_being_made_that_tells_it() -> None:
    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        await bench.mends()
        settled(bench, pending(5, b"\0"), 0)
        bench.append_one_that_breaks(2)
        bench.committer._commit()  # its turn of the loop has come
        bench.disk.step()

        assert bench.released == [5]
        assert len(bench.faults) == 1

    run(scenario())


@pytest.mark.parametrize("fault", [FULL, AMBIGUOUS, BROKEN])
def test_settles_outlive_a_failed_commit(fault: Exception) -> None:
    async def scenario() -> None:
        bench = Bench()
        one = pending(1)
        calls: list[str] = []
        settled(bench, one, 0)
        due, dead = DueRow(1, 5, 9.0), DeadRow(2, 6, 0.0, "Expired", "", 1, (), 2)
        bench.committer.index(due, lambda: calls.append("indexed"))
        bench.committer.bury(dead)
        bench.committer.unindex(1, 4, lambda: calls.append("gone"))
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
        assert calls == ["indexed", "gone"]
        assert (bench.released, one.refs) == ([1], 0)

    run(scenario())


def test_rows_kept_from_a_failed_commit_come_before_newer_ones() -> None:
    """A delivery's second due row has to win over its first."""

    async def scenario() -> None:
        bench = Bench()
        old, new = DueRow(1, 1, 5.0, 1), DueRow(1, 1, 9.0, 2)
        bench.committer.index(old, lambda: None)
        await bench.turn(1.0)
        bench.committer.index(new, lambda: None)

        bench.disk.step(FULL)
        await bench.mends()

        assert bench.batches[-1].due == [old, new]

    run(scenario())


def test_trouble_is_told_and_so_is_its_end() -> None:
    async def scenario() -> None:
        bench = await failed(FULL)
        await bench.mends()

        assert bench.troubles == [FULL, None]
        assert bench.committer.trouble is None

    run(scenario())


def test_after_trouble_new_events_are_taken_again() -> None:
    async def scenario() -> None:
        bench = await failed(FULL)
        await bench.mends()

        bench.append(2)
        await bench.commits()

        assert bench.told.landed == [(1, FULL), (2, None)]

    run(scenario())


def test_each_try_waits_twice_as_long_as_the_last_up_to_a_bound() -> None:
    async def scenario() -> None:
        bench = await failed(BROKEN)

        assert await waits(bench, [BROKEN] * 6) == [RETRY_FIRST, 0.4, 0.8, 1.6, 3.2, RETRY_LONGEST]

    run(scenario())


def test_a_full_disk_is_tried_every_second_since_it_is_not_ill() -> None:
    """Whoever has made room does not wait for longer, however long the disk was full before."""

    async def scenario() -> None:
        bench = await failed(FULL)

        assert await waits(bench, [FULL] * 5) == [RETRY_FIRST, 0.4, 0.8, RETRY_FULL, RETRY_FULL]

    run(scenario())


def test_one_that_was_ill_and_is_full_now_is_tried_every_second_too() -> None:
    async def scenario() -> None:
        bench = await failed(BROKEN)

        after = await waits(bench, [BROKEN] * 5 + [FULL] * 2 + [BROKEN] * 3)

        assert after[5:] == [RETRY_LONGEST, RETRY_FULL, RETRY_FULL, RETRY_FULL, 2 * RETRY_FULL]

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
        bench = await failed(AMBIGUOUS)
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
        bench = await failed(FULL)
        await bench.mends()

        assert "repair" not in bench.disk.journal.asked

    run(scenario())


def test_what_whoever_is_refused_takes_back_waits_until_the_journal_is_repaired() -> None:
    """Or that commit would take the place of the repair, and the event that was refused be there after all."""

    async def scenario() -> None:
        bench = Bench()
        taken_back = functools.partial(bench.committer.unindex, 1, 1, lambda: None)
        bench.committer.append(Written(event(1), lambda _, __: taken_back()))
        await bench.commits(AMBIGUOUS)
        await bench.turn(2 * SETTLE_LINGER)
        early = len(bench.disk.jobs)
        await bench.turn(RETRY_FIRST)
        bench.disk.step()
        bench.disk.step()

        assert early == 0
        assert bench.disk.journal.asked == ["commit", "repair", "commit"]
        assert bench.disk.journal.repaired == [[1]]
        assert bench.batches[-1].undue == [(1, 1)]

    run(scenario())


# --- full -----------------------------------------------------------------------------------------------------------


def test_while_there_is_no_room_for_events_settles_are_written_and_the_trouble_lasts() -> None:
    """Or it would end with every try, and begin again with the next event: in the log, and for whoever asks /readyz."""

    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        for seq in (5, 6, 7):
            settled(bench, pending(seq, b"\0"), 0)
            await bench.mends()

        assert bench.released == [5, 6, 7]
        assert bench.troubles == [FULL]
        assert repr(bench.committer.trouble) == "JournalFull('the disk is full')"

    run(scenario())


def test_while_there_is_room_for_settles_alone_they_are_written_at_once() -> None:
    """Or each key that keeps order, and each step of a graph, would get on once a second."""

    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        await bench.mends()
        settled(bench, pending(5, b"\0"), 0)
        await bench.turn(2 * SETTLE_LINGER)
        bench.disk.step()

        assert bench.released == [5]
        assert bench.disk.journal.asked == ["commit", "commit", "full", "commit"], "and room is not asked for each time"

    run(scenario())


def test_an_event_that_comes_in_trouble_is_refused_and_no_settle_fails_with_it() -> None:
    """A replay asks nobody whether there is trouble."""

    async def scenario() -> None:
        bench = await failed(FULL)
        settled(bench, pending(5, b"\0"), 0)
        bench.append(2)
        await bench.mends()

        assert bench.told.landed == [(1, FULL), (2, FULL)]
        assert bench.released == [5]
        assert bench.batches[-1].events == []

    run(scenario())


def test_of_an_event_that_comes_in_trouble_nothing_is_written_by_a_commit_that_comes_before_it_is_told() -> None:
    """A replay that is dead at birth is touched: its end would be history of an event that never was."""

    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        await bench.mends()
        replay = pending(2, b"\1\1")

        def refused(_: int, fault: Exception | None) -> None:
            assert fault is not None
            replay.left = VOID

        settled(bench, pending(5, b"\0"), 0)
        bench.committer.touch(replay)
        bench.committer.append(Written(event(2), refused))
        bench.committer._commit()  # its turn of the loop has come
        bench.disk.step()

        assert [one.seq for one in bench.batches[-1].finished] == [5]

    run(scenario())


@pytest.mark.parametrize("fault", [AMBIGUOUS, BROKEN])
def test_one_that_was_full_and_fell_ill_is_asked_for_room_all_the_same(fault: JournalFault) -> None:
    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        settled(bench, pending(5, b"\0"), 0)
        await bench.turn(RETRY_LONGEST + 1)
        bench.disk.step(fault)
        for _ in range(2):  # a repair first, or only a commit and then one that asks
            await bench.mends()

        assert bench.troubles == [FULL, fault]
        assert repr(bench.committer.trouble) == "JournalFull('the disk is full')"

    run(scenario())


def test_room_is_asked_for_every_second_and_ends_the_trouble() -> None:
    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        tries = await waits(bench, [None] * 5)
        bench.disk.journal.why_full = None
        tries += await waits(bench, [None])
        bench.append(2)
        await bench.commits()

        assert tries == [RETRY_FIRST, *[RETRY_FULL] * 5]
        assert bench.troubles == [FULL, None]
        assert bench.told.landed == [(1, FULL), (2, None)]
        assert bench.disk.journal.asked == ["commit"] + ["commit", "full"] * 6 + ["commit"]

    run(scenario())


def test_room_is_asked_for_though_the_last_settle_is_at_the_disk_when_it_is_time_to() -> None:
    """Or whoever has nothing left to settle would never ask again, and take no events for ever."""

    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        await bench.mends()
        bench.disk.journal.why_full = None
        settled(bench, pending(5, b"\0"), 0)
        await bench.turn(RETRY_FULL + 1)
        bench.disk.step()
        await bench.turn(RETRY_FIRST)
        bench.disk.step()

        assert bench.released == [5]
        assert bench.troubles == [FULL, None]

    run(scenario())


@pytest.mark.parametrize("fault", [AMBIGUOUS, BROKEN])
def test_only_after_a_full_one_is_room_asked_for(fault: JournalFault) -> None:
    async def scenario() -> None:
        bench = await failed(fault)
        bench.disk.journal.why_full = "whoever asks is told so"
        await bench.mends()
        if fault is AMBIGUOUS:
            bench.disk.step()

        assert bench.committer.trouble is None
        assert "full" not in bench.disk.journal.asked

    run(scenario())


def test_whoever_shuts_down_waits_for_what_is_to_be_written_and_not_for_room() -> None:
    async def scenario() -> None:
        bench = await failed(FULL)
        bench.disk.journal.why_full = "the disk is full"
        await bench.mends()
        settled(bench, pending(5, b"\0"), 0)
        waiting = bench.loop.create_task(bench.committer.flushed())
        await bench.turn()
        before = waiting.done()
        await bench.mends()
        await bench.turn()

        bench.committer.mending.close()
        await bench.turn(RETRY_LONGEST + 1)

        assert (before, waiting.done()) == (False, True)
        assert bench.released == [5]
        assert not bench.disk.jobs, "and nothing comes after it"

    run(scenario())
