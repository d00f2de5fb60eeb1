"""Numbers of lanes and frozen values: kept while anything refers to them, and whoever asks meanwhile loses nothing."""

import asyncio
import random

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.tidy import PAUSE, Tidy
from fanout_dispatcher.journal.disk import LoopDisk
from fanout_dispatcher.journal.memory import MemoryJournal
from tests.sim.loop import run

ROUTE = "shop/order-placed"
STEP = 0.01  # seconds that a call to the journal takes


def a_book(journal: MemoryJournal) -> Book:
    loop = asyncio.get_running_loop()
    clock = Clock(loop, base=0.0, wall=loop.time)
    disk = LoopDisk(journal, rng=random.Random(1), latency=(STEP, STEP))
    return Book(disk, journal.open(), worker="0", clock=clock, max_bytes=1 << 20, troubled=lambda fault: None)


def nothing() -> tuple[set[int], set[int]]:
    """No route is in force, and no lane stands."""
    return set(), set()


def test_a_lane_that_is_asked_for_while_it_is_dropped_stays() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        book = a_book(journal)
        number, _ = book.lane(ROUTE, "a")
        await book.committer.written()
        tidy = Tidy(book, nothing)
        dropping = asyncio.ensure_future(tidy._drop_lanes())
        await asyncio.sleep(STEP / 2)

        assert book.lane(ROUTE, "a")[0] == number
        await dropping
        await book.committer.written()
        assert journal._store.lanes == {number: (ROUTE, "a")}
        assert book.lane(ROUTE, "a")[0] == number

    run(scenario())


def test_a_value_that_is_asked_for_while_it_is_dropped_stays() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        book = a_book(journal)
        book.lane(ROUTE, "a")
        frozen = book.freeze(ROUTE, 1, ("a",))
        await book.committer.written()
        book.register.resting[frozen.number] = 0.0
        tidy = Tidy(book, nothing)
        dropping = asyncio.ensure_future(tidy._drop_frozen(1.0))
        await asyncio.sleep(STEP / 2)

        assert book.freeze(ROUTE, 1, ("a",)) is frozen
        await dropping
        await book.committer.written()
        assert journal._store.frozen == {frozen.number: frozen}
        assert book.freeze(ROUTE, 1, ("a",)) is frozen

    run(scenario())


def test_a_value_that_is_asked_for_while_the_journal_is_looked_through_does_not_rest() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        book = a_book(journal)
        book.lane(ROUTE, "a")
        first, second = (book.freeze(ROUTE, generation, ("a",)) for generation in (1, 2))
        await book.committer.written()
        tidy = Tidy(book, nothing)
        await tidy._put_to_rest()
        assert book.register.resting == {}, "an event may still be coming in for it"
        looking = asyncio.ensure_future(tidy._put_to_rest())
        await asyncio.sleep(STEP + PAUSE / 2)
        book.freeze(ROUTE, 1, ("a",))
        await looking

        assert book.register.resting.keys() == {second.number}
        assert journal._store.resting == book.register.resting
        await tidy._put_to_rest()
        assert book.register.resting.keys() == {first.number, second.number}

    run(scenario())


def test_a_value_at_rest_that_is_asked_for_rests_no_longer_in_the_journal_either() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        book = a_book(journal)
        book.lane(ROUTE, "a")
        frozen = book.freeze(ROUTE, 1, ("a",))
        tidy = Tidy(book, nothing)
        await book.committer.written()
        await tidy._put_to_rest()
        await tidy._put_to_rest()
        assert journal._store.resting.keys() == {frozen.number}

        book.freeze(ROUTE, 1, ("a",))
        await book.committer.written()
        assert (journal._store.resting, book.register.resting) == ({}, {})

    run(scenario())


def test_a_lane_of_which_nobody_knows_whether_it_was_dropped_is_written_again() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        book = a_book(journal)
        number, _ = book.lane(ROUTE, "a")
        await book.committer.written()
        tidy = Tidy(book, nothing)
        dropping = asyncio.ensure_future(tidy._drop_lanes())
        await asyncio.sleep(2 * STEP)
        dropping.cancel()  # the journal has done it, and nobody heard of it

        assert journal._store.lanes == {}
        assert book.lane(ROUTE, "a")[0] == number
        await book.committer.written()
        assert journal._store.lanes == {number: (ROUTE, "a")}

    run(scenario())


def test_numbers_of_lanes_are_given_out_again_and_those_of_values_are_not() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        book = a_book(journal)
        for target in "abc":
            book.lane(ROUTE, target)
        gone = book.freeze(ROUTE, 1, ("b",))
        book.freeze(ROUTE, 1, ("a", "c"))
        await book.committer.written()
        book.register.resting[gone.number] = 0.0
        tidy = Tidy(book, nothing)
        await tidy._drop_frozen(1.0)
        await tidy._drop_lanes()

        assert [book.lane(ROUTE, target)[0] for target in "acde"] == [1, 3, 2, 4]
        assert book.freeze(ROUTE, 2, ("d",)).number == 3
        await book.committer.written()
        journal.close()
        again = a_book(journal)
        assert [again.lane(ROUTE, target)[0] for target in "adcef"] == [1, 2, 3, 4, 5]

    run(scenario())


def test_gaps_that_a_start_finds_are_filled_first() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        journal._store.lanes = {2: (ROUTE, "b"), 5: (ROUTE, "e")}
        book = a_book(journal)

        assert [book.lane(ROUTE, target)[0] for target in "axyzu"] == [1, 3, 4, 6, 7]

    run(scenario())
