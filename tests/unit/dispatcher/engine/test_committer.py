"""How commits form: which appends and settles share one, in what order, and who hears of it when."""

import asyncio

from fanout_dispatcher.engine.committer import SETTLE_LINGER
from fanout_dispatcher.engine.mending import RETRY_LONGEST
from fanout_dispatcher.journal.faults import JournalFull
from fanout_dispatcher.journal.protocol import DeadRow, DueRow, Finished, Replayed
from tests.sim.loop import run
from tests.unit.dispatcher.engine.committing import A_MOMENT, Bench, breaks, settled
from tests.unit.dispatcher.engine.scripted import pending

FULL = JournalFull("no space left on the disk")


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
        await bench.turn()
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


def test_commits_are_counted_with_what_they_shared_and_how_long_the_loop_waited() -> None:
    async def scenario() -> None:
        bench = Bench()
        bench.append(1, 2)
        await bench.commits(FULL)
        await bench.mends()
        bench.append(3, 4, 5)
        settled(bench, pending(9), 0)
        await bench.turn(0.4)

        bench.disk.step()

        meter = bench.committer.meter
        assert (meter.events, meter.settles, meter.failed, sum(meter.seconds)) == (3, 1, 1, 2)
        assert 0.4 - A_MOMENT <= meter.seconds_sum < RETRY_LONGEST + 2

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
        bench.committer.unindex(1, 1, lambda: calls.append("first"))
        await bench.turn(1.0)
        bench.committer.once_written(lambda: calls.append("second"))

        bench.disk.step()
        assert calls == ["first"]
        await bench.turn(1.0)
        bench.disk.step()

        assert calls == ["first", "second"]

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


# --- faults of ours -------------------------------------------------------------------------------------------------


def test_one_that_breaks_when_it_is_told_costs_nobody_else_of_its_commit_what_is_theirs() -> None:
    async def scenario() -> None:
        bench = Bench()
        calls: list[str] = []
        settled(bench, pending(5, b"\0"), 0)
        bench.append(1)
        bench.append_one_that_breaks(2)
        bench.append(3)
        bench.committer.once_written(breaks)
        bench.committer.once_written(lambda: calls.append("written"))
        await bench.turn()
        bench.append(4)

        bench.disk.step()
        await bench.commits()

        assert bench.told.landed == [(1, None), (3, None), (4, None)]
        assert (bench.released, calls) == ([5], ["written"])
        assert [repr(one["exception"]) for one in bench.faults] == ["RuntimeError('a fault of ours')"] * 2

    run(scenario())
