"""How long the oldest delivery that may be sent has waited: what a backlog is measured by, in virtual time."""

import asyncio
import typing

import pytest

from fanout_crds import plan
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.engine import Engine, Opened
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.window import SIZE
from fanout_dispatcher.journal.disk import LoopDisk
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.telemetry.seam import Silent
from fanout_dispatcher.transport.memory import Reply, ScriptedSenders, always, status
from tests.sim.loop import run
from tests.support.plans import a_plan, a_target
from tests.unit.dispatcher.engine.scripted import HEAD

ONE_AT_A_TIME: typing.Final = {"bulkhead": {"max_concurrent": 1}, "timeouts": {"attempt": 0.0}}


def an_engine(journal: MemoryJournal, reply: Reply, **changes: object) -> Engine:
    """An engine on *journal* with one route of one target, changed like that, which answers with *reply*."""
    loop = asyncio.get_running_loop()
    memory = MemoryJournal()
    opened = [Opened(disk=LoopDisk(one), recovered=one.open(), max_bytes=1 << 30) for one in (journal, memory)]
    senders = ScriptedSenders(loop, lambda target: always(reply))
    engine = Engine(
        Clock(loop, base=1_000.0 + loop.time(), wall=loop.time),
        durable=opened[0],
        memory=opened[1],
        senders=senders,
        seam=Silent(),
    )
    engine.adopt(a_plan(a_target("billing", **changes)), {})
    engine.start()
    return engine


def accept(engine: Engine, count: int = 1) -> None:
    route = engine.route_at("/shop/order-placed")
    assert route is not None
    for _ in range(count):
        engine.accept(route, HEAD, b"{}", lambda answered: None)


def lane_of(engine: Engine) -> Lane:
    (lane,) = engine.table.lanes.values()
    return lane


def age(engine: Engine) -> float:
    return lane_of(engine).tally.meter.backlog_age


def about(seconds: float) -> object:
    """The sweep, which notes it, comes by once a second."""
    return pytest.approx(seconds, abs=1.5)


def test_it_is_what_the_oldest_has_waited_and_goes_with_it() -> None:
    async def scenario() -> None:
        engine = an_engine(MemoryJournal(), status(200, latency=10.0), policy=ONE_AT_A_TIME)
        accept(engine, 3)
        ages = []
        for _ in range(4):
            await asyncio.sleep(9.5)
            ages.append(age(engine))

        assert ages == [about(9), about(19), 0, 0], (
            "the third one went after 20 seconds; what is in flight does not wait"
        )

    run(scenario())


def test_what_did_not_fit_into_memory_counts_from_its_acceptance() -> None:
    async def scenario() -> None:
        engine = an_engine(MemoryJournal(), status(200, latency=1.0), policy=ONE_AT_A_TIME)
        accept(engine, SIZE + 200)
        await asyncio.sleep(SIZE + 100)

        assert age(engine) == about(SIZE + 99)

        await asyncio.sleep(110)
        assert age(engine) == 0

    run(scenario())


def test_what_waits_for_the_time_of_its_retry_is_no_backlog_however_old_it_is() -> None:
    async def scenario() -> None:
        engine = an_engine(MemoryJournal(), status(503), policy={"circuit_breaker": {"enabled": False}})
        accept(engine)
        for _ in range(100):
            await asyncio.sleep(7.3)
            assert age(engine) == about(0)

        assert lane_of(engine).tally.meter.pending == 1

    run(scenario())


def test_what_is_held_waits_for_something_else_than_its_turn() -> None:
    async def scenario() -> None:
        engine = an_engine(MemoryJournal(), status(200), held="ServiceNotFound")
        accept(engine)
        await asyncio.sleep(60)

        meter = lane_of(engine).tally.meter
        assert (meter.pending, age(engine), meter.held) == (1, 0, "ServiceNotFound")

        engine.adopt(a_plan(a_target("billing")), {})
        assert not meter.held

    run(scenario())


def test_a_delay_that_was_ordered_is_no_backlog() -> None:
    async def scenario() -> None:
        engine = an_engine(MemoryJournal(), status(200, latency=60.0), policy=ONE_AT_A_TIME, delay=600.0)
        accept(engine, 2)
        await asyncio.sleep(599)
        before = age(engine)
        await asyncio.sleep(31)

        assert (before, age(engine)) == (0, about(29))

    run(scenario())


def test_what_gathers_into_a_batch_is_no_backlog_until_the_batch_should_have_gone() -> None:
    async def scenario() -> None:
        batch = plan.Batch(max_events=2, max_bytes=1 << 20, max_wait=300.0)
        engine = an_engine(MemoryJournal(), status(200, latency=600.0), policy=ONE_AT_A_TIME | {"batch": batch})
        accept(engine)
        await asyncio.sleep(290)
        gathering = age(engine)
        await asyncio.sleep(11)
        accept(engine)
        await asyncio.sleep(320)

        assert (gathering, age(engine)) == (0, about(20))

    run(scenario())


def test_a_restart_does_not_forget_since_when_it_is_due() -> None:
    async def scenario() -> None:
        journal = MemoryJournal()
        before = an_engine(journal, status(200), held="ServiceNotFound")
        accept(before, 2)
        await asyncio.sleep(60)
        await before.drain(1.0)
        journal.crash()

        after = an_engine(journal, status(200, latency=30.0), policy=ONE_AT_A_TIME)
        await asyncio.sleep(20)

        assert age(after) == about(80), "a minute before the restart, and these"

    run(scenario())
