"""What lanes share must not let one of them harm another, nor one route with many of them harm the others."""

import asyncio
import typing

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.works import ALONE_AFTER, QUANTUM, Works
from fanout_dispatcher.telemetry.seam import Silent
from tests.sim.loop import run


class Bench:
    """Works, and the pumps of its lanes: which one, and how many deliveries it started."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.said: list[dict[str, typing.Any]] = []
        loop.set_exception_handler(lambda _, context: self.said.append(context))
        self.works = Works(Clock(loop, base=0.0, wall=loop.time), seam=Silent(), seed=1, changed=lambda route: None)
        self.pumps: list[tuple[str, int]] = []

    async def pump(self, *lanes: "Pumped") -> list[tuple[str, int]]:
        """What is pumped until all of *lanes*, which ask in that order, have started what they owe."""
        for lane in lanes:
            self.works.soon(lane)
        await asyncio.sleep(0.01)
        return self.pumps

    async def contended(self) -> None:
        """Another route has just wanted a turn beside that of the lanes."""
        await self.pump(Pumped(self, "one"), Pumped(self, "another", route="shop/another"))
        self.pumps.clear()


class Pumped:
    """A lane that *owes* so many deliveries, and starts as many as it may, or breaks."""

    def __init__(self, bench: Bench, name: str, owes: int = 1, *, route: str = "shop/a", breaks: bool = False) -> None:
        self.bench = bench
        self.name = name
        self.owes = owes
        self.route = route
        self.dirty = False
        self.breaks = breaks
        self.meanwhile: Pumped | None = None  # asks while this one is pumped

    def __repr__(self) -> str:
        return f"<Pumped {self.name}>"

    def pump(self, most: int) -> int:
        started = min(most, self.owes)
        self.bench.pumps.append((self.name, started))
        if self.breaks:
            raise RuntimeError("a fault of ours")
        self.owes -= started
        if started == most:
            self.bench.works.soon(self)
        if self.meanwhile is not None:
            self.bench.works.soon(self.meanwhile)
        return started


def test_a_lane_that_breaks_is_told_of_and_stops_no_other() -> None:
    async def scenario() -> None:
        bench = Bench()
        lanes = [Pumped(bench, "a"), Pumped(bench, "b", breaks=True), Pumped(bench, "c"), Pumped(bench, "d", route="b")]

        for _ in range(2):
            await bench.pump(*lanes)

        assert [name for name, _ in bench.pumps] == ["a", "b", "c", "d"] * 2
        assert [str(one["message"]) for one in bench.said] == ["pumping <Pumped b>"] * 2

    run(scenario())


def test_a_route_has_one_quantum_a_turn_however_many_lanes_it_has() -> None:
    async def scenario() -> None:
        bench = Bench()
        flood = [Pumped(bench, f"flood {number}", QUANTUM, route="shop/flood") for number in range(3)]
        small = Pumped(bench, "small", QUANTUM + 1, route="shop/small")

        pumps = await bench.pump(*flood, small)

        whole = [name for name, started in pumps if started]
        assert whole == ["flood 0", "small", "flood 1", "small", "flood 2"]

    run(scenario())


def test_what_one_lane_leaves_of_the_quantum_is_for_the_next() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.contended()

        pumps = await bench.pump(Pumped(bench, "a", QUANTUM - 4), Pumped(bench, "b", 10))

        assert pumps == [("a", QUANTUM - 4), ("b", 4), ("b", 6)]

    run(scenario())


def test_those_that_the_quantum_did_not_suffice_for_go_before_those_that_asked_meanwhile() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.contended()
        first, second, third = Pumped(bench, "first", QUANTUM + 2), Pumped(bench, "second"), Pumped(bench, "third")
        first.meanwhile = Pumped(bench, "asked meanwhile")

        pumps = await bench.pump(first, second, third)

        assert pumps[:5] == [("first", QUANTUM), ("second", 1), ("third", 1), ("first", 2), ("asked meanwhile", 1)]

    run(scenario())


def test_a_lane_that_waits_for_the_next_turn_is_on_the_list_once() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.contended()
        first, second = Pumped(bench, "first", QUANTUM), Pumped(bench, "second")
        first.meanwhile = second

        pumps = await bench.pump(first, second)

        assert [name for name, started in pumps if started] == ["first", "second"]
        assert second.owes == 0

    run(scenario())


def test_a_route_that_is_alone_has_a_quantum_for_each_of_its_lanes() -> None:
    async def scenario() -> None:
        bench = Bench()

        pumps = await bench.pump(Pumped(bench, "a", QUANTUM + 1), Pumped(bench, "b", QUANTUM))

        assert pumps == [("a", QUANTUM), ("b", QUANTUM), ("a", 1), ("b", 0)]

    run(scenario())


def test_a_route_is_alone_again_a_while_after_another_wanted_the_same_turn() -> None:
    async def scenario() -> None:
        bench = Bench()
        await bench.contended()
        await asyncio.sleep(ALONE_AFTER)

        pumps = await bench.pump(Pumped(bench, "a", QUANTUM), Pumped(bench, "b", 1))

        assert pumps[:2] == [("a", QUANTUM), ("b", 1)]

    run(scenario())
