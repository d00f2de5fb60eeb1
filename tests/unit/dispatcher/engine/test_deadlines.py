"""The deadlines of callers, in virtual time: never early, and late by a tick at most."""

import asyncio
import random
import typing

from fanout_dispatcher.engine.deadlines import TICK, Deadlines
from tests.sim.loop import run


class Waiting:
    """Writes down when it is late."""

    def __init__(self) -> None:
        self.tick = 0
        self.came: list[float] = []

    def late(self) -> None:
        self.came.append(asyncio.get_running_loop().time())


def test_each_is_late_once_and_within_a_tick_whatever_the_order_in_which_they_were_added() -> None:
    chance = random.Random("deadlines")

    async def scenario() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        due = [(chance.uniform(0.0, 3.0), Waiting()) for _ in range(500)]
        for at, waiting in due:
            deadlines.add(waiting, at)
        await asyncio.sleep(4.0)

        for at, waiting in due:
            (came,) = waiting.came
            assert at <= came <= at + TICK + 1e-6
        assert deadlines.ticks == {}

    run(scenario())


def test_who_was_dropped_is_never_late_and_nothing_of_it_is_kept() -> None:
    async def scenario() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        dropped, kept = [Waiting() for _ in range(100)], Waiting()
        for number, waiting in enumerate(dropped):
            deadlines.add(waiting, 0.5 + number * 0.01)
        deadlines.add(kept, 2.0)
        for waiting in dropped:
            deadlines.drop(waiting)
            deadlines.drop(waiting)
        await asyncio.sleep(3.0)

        assert [waiting.came for waiting in dropped] == [[]] * 100
        assert len(kept.came) == 1
        deadlines.drop(kept)
        assert deadlines.ticks == {}
        assert deadlines.timer is None

    run(scenario())


def test_one_that_is_late_may_add_the_next() -> None:
    async def scenario() -> None:
        deadlines = Deadlines(asyncio.get_running_loop())
        second = Waiting()

        class First(Waiting):
            def late(self) -> None:
                deadlines.add(second, 1.0)

        deadlines.add(First(), 0.5)
        await asyncio.sleep(2.0)

        (came,) = second.came
        assert 1.0 <= came <= 1.0 + TICK + 1e-6

    run(scenario())


def test_one_that_breaks_is_told_of_and_costs_no_other_its_deadline() -> None:
    async def scenario() -> None:
        loop = asyncio.get_running_loop()
        said: list[dict[str, typing.Any]] = []
        loop.set_exception_handler(lambda _, context: said.append(context))
        deadlines = Deadlines(loop)

        class Breaks(Waiting):
            def late(self) -> None:
                raise RuntimeError("a fault of ours")

        beside, later = Waiting(), Waiting()
        for waiting, at in [(Breaks(), 0.5), (beside, 0.5), (later, 1.0)]:
            deadlines.add(waiting, at)
        await asyncio.sleep(2.0)

        assert [len(waiting.came) for waiting in (beside, later)] == [1, 1]
        assert [repr(one["exception"]) for one in said] == ["RuntimeError('a fault of ours')"]

    run(scenario())
