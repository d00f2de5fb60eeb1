"""What a restart need not look at: a mark in the journal, below which everything pending has a row in the index."""

import asyncio
import random

import pytest

from fanout_dispatcher.engine.committer import SETTLE_LINGER
from fanout_dispatcher.engine.lane import STALE
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome
from tests.sim.loop import run
from tests.unit.dispatcher.engine.test_lane_landing import Bench

NO_DEADLINE: dict[str, object] = {"timeouts": {"attempt": 0.0}}


def marked(bench: Bench) -> int:
    """The first event that the next start looks at."""
    return bench.journal._store.indexed_to + 1


def test_when_everything_is_settled_the_next_start_looks_at_nothing() -> None:
    async def scenario() -> None:
        bench = Bench([status(200)], {})
        for _ in range(10):
            bench.owes()
        await asyncio.sleep(1.0)
        bench.book.mark()
        await asyncio.sleep(1.0)

        assert marked(bench) == 11

    run(scenario())


def test_what_is_in_flight_and_has_no_row_is_looked_at() -> None:
    async def scenario() -> None:
        replies = [*[status(200)] * 4, NEVER, status(200)]
        bench = Bench(replies, NO_DEADLINE)
        for _ in range(10):
            bench.owes()
        await asyncio.sleep(1.0)
        bench.book.mark()
        await asyncio.sleep(1.0)

        assert marked(bench) == 5
        bench.journal.crash()
        assert bench.journal.open().pending == 1

    run(scenario())


def test_an_event_whose_commit_is_under_way_is_looked_at() -> None:
    async def scenario() -> None:
        bench = Bench([NEVER], NO_DEADLINE)
        bench.owes()
        bench.book.mark()
        await asyncio.sleep(1.0)

        assert marked(bench) == 1

    run(scenario())


@pytest.mark.parametrize("outcome", [Delivered(200), Failed(status=503)], ids=["settled", "put back"])
def test_the_mark_waits_until_what_landed_during_its_first_commit_is_written(outcome: Outcome) -> None:
    """It is in no window any more, and its row or its settle is only in the commit that follows."""

    async def scenario() -> None:
        flights: list[Flight] = []

        def asked(flight: Flight) -> Reply:
            flights.append(flight)
            return NEVER

        bench = Bench([], NO_DEADLINE, script=asked)
        bench.owes()
        await asyncio.sleep(1.0)
        bench.book.mark()
        await asyncio.sleep(SETTLE_LINGER + 0.0001)
        assert bench.book.committer.busy
        bench.lane.land(flights[0], outcome)
        for _ in range(1000):
            await asyncio.sleep(0.0001)
            if marked(bench) > 1:
                break

        assert marked(bench) == 2
        bench.journal.crash()
        assert bench.journal.open().pending == len(bench.journal._store.events)

    run(scenario())


def test_what_waits_for_long_is_written_into_the_index_and_stays_at_hand() -> None:
    async def scenario() -> None:
        bench = Bench([status(200)], {})
        bench.lane.hold("Suspended")
        for _ in range(10):
            bench.owes()
        await asyncio.sleep(STALE + 1.0)
        bench.lane.sweep(bench.lane.clock.now())
        await asyncio.sleep(1.0)
        bench.book.mark()
        await asyncio.sleep(1.0)
        rows = bench.journal.pull((bench.lane.number, False), 1e9, 100, ())[0]
        assert (marked(bench), len(rows), len(bench.lane.fresh.ready)) == (11, 10, 10)

        bench.lane.hold(None)
        await asyncio.sleep(1.0)

        assert bench.sender.seen == 10
        assert bench.journal._store.events == {}
        assert bench.journal.pull((bench.lane.number, False), 1e9, 100, ()) == ([], None)

    run(scenario())


@pytest.mark.parametrize("seed", range(30))
def test_whenever_it_crashes_nothing_below_the_mark_is_lost(seed: int) -> None:
    """Lives of all lengths, with sweeps and marks all the time; a target that fails, hangs and is held."""
    chance = random.Random(f"marks/{seed}")
    journal = MemoryJournal()

    def moody(flight: Flight) -> Reply:
        return chance.choice([status(200, chance.uniform(0.0, 2.0)), status(503, 0.1), NEVER])

    async def life() -> None:
        bench = Bench([], {"bulkhead": {"max_concurrent": 4}}, script=moody, journal=journal)
        for _ in range(chance.randrange(40)):
            for _ in range(chance.choice([0, 1, 5, 300])):
                bench.owes()
            await asyncio.sleep(chance.choice([0.001, 0.1, 3.0]))
            bench.lane.hold(chance.choice([None, "Suspended"]))
            bench.lane.sweep(bench.lane.clock.now())
            bench.book.mark()
        await asyncio.sleep(chance.uniform(0.0, 0.01))

    for _ in range(4):
        run(life(), seed=seed)
        journal.crash()

    recovered = journal.open()
    unsettled = sum(journal._store.states(event).count(0) for event in journal._store.events.values())
    assert recovered.pending == unsettled
