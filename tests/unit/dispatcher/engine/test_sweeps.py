"""The sweep looks at lanes that owe something; ten thousand routes at rest cost it nothing."""

import asyncio
import typing

import msgspec

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.engine import PRUNED, Engine, Opened
from fanout_dispatcher.journal.disk import LoopDisk
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.telemetry.seam import Silent
from fanout_dispatcher.transport.memory import ScriptedSenders, always, status
from tests.sim.loop import run
from tests.support.plans import a_plan
from tests.unit.dispatcher.engine.scripted import HEAD

ROUTES = 100


def an_engine(code: int = 200) -> Engine:
    """An engine with many routes of three targets each, all of which answer with *code*."""
    loop = asyncio.get_running_loop()
    journals = [MemoryJournal(), MemoryJournal()]
    durable, memory = (Opened(disk=LoopDisk(one), recovered=one.open(), max_bytes=1 << 30) for one in journals)
    senders = ScriptedSenders(loop, lambda target: always(status(code)))
    clock = Clock(loop, base=0.0, wall=loop.time)
    engine = Engine(clock, durable=durable, memory=memory, senders=senders, seam=Silent())
    for number in range(ROUTES):
        engine.adopt(msgspec.structs.replace(a_plan("a", "b", "c"), name=f"r{number}", path=f"/shop/r{number}"), {})
    engine.start()
    return engine


def test_lanes_at_rest_are_not_looked_at() -> None:
    async def scenario() -> None:
        engine = an_engine()
        await asyncio.sleep(2.5)
        assert (len(engine.table.lanes), len(engine.works.awake)) == (3 * ROUTES, 0)
        route = engine.route_at("/shop/r7")
        assert route is not None

        engine.accept(route, HEAD, b"{}", lambda answered: None)
        await asyncio.sleep(0.1)
        assert set(engine.works.awake) == set(route.lanes)
        await asyncio.sleep(2.0)
        assert not engine.works.awake

    run(scenario())


def test_a_lane_that_breaks_costs_no_other_its_look() -> None:
    async def scenario() -> None:
        loop, told = asyncio.get_running_loop(), []
        loop.set_exception_handler(lambda _, context: told.append(context["exception"]))
        engine = an_engine()
        route = engine.route_at("/shop/r7")
        assert route is not None
        await asyncio.sleep(2.5)

        def breaks(now: float) -> None:
            raise RuntimeError(now)

        broken, *others = route.lanes
        broken.sweep = breaks  # type: ignore[method-assign]
        engine.accept(route, HEAD, b"{}", lambda answered: None)
        await asyncio.sleep(2.0)

        assert told
        assert set(engine.works.awake) == {broken}, f"{others} are at rest"

    run(scenario())


def test_what_is_pending_is_told_once_when_it_has_changed() -> None:
    async def scenario() -> None:
        engine = an_engine()
        route = engine.route_at("/shop/r7")
        assert route is not None
        await asyncio.sleep(2.5)
        told: list[str] = []
        engine.watch(told.append)
        for lane in route.lanes:
            lane.hold("Suspended")

        engine.accept(route, HEAD, b"{}", lambda answered: None)
        await asyncio.sleep(5.0)

        assert told == ["shop/r7"] * 3
        assert [lane.tally.reported for lane in route.lanes] == [1, 1, 1]

    run(scenario())


def test_housekeeping_takes_a_few_lanes_at_a_time() -> None:
    async def scenario() -> None:
        engine = an_engine(422)
        for number in range(ROUTES):
            route = engine.route_at(f"/shop/r{number}")
            assert route is not None
            engine.accept(route, HEAD, b"{}", lambda answered: None)
        await asyncio.sleep(5.0)
        engine._keep_house()
        assert len(engine.unpruned) == 3 * ROUTES > PRUNED

        engine._sweep()
        left = len(engine.unpruned)
        engine._sweep()

        assert (left, engine.unpruned) == (3 * ROUTES - PRUNED, [])

    run(scenario())


def test_a_look_that_breaks_once_is_told_of_and_does_not_end_looking() -> None:
    async def scenario() -> None:
        engine = an_engine()
        said: list[dict[str, typing.Any]] = []
        engine.clock.loop.set_exception_handler(lambda _, context: said.append(context))
        looks: list[float] = []

        def look(now: float) -> None:
            looks.append(now)
            if len(looks) == 2:
                raise RuntimeError("a fault of ours")

        engine.table.sweep = look  # type: ignore[method-assign]
        await asyncio.sleep(5.5)

        assert [round(at) for at in looks] == [1, 2, 3, 4, 5]
        assert [repr(one["exception"]) for one in said] == ["RuntimeError('a fault of ours')"]

    run(scenario())
