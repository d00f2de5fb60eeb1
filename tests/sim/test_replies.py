"""Replies that fail, in virtual time: what was accepted is delivered all the same, and nobody else waits for it."""

import asyncio

import pytest

from fanout_crds.plan import Idempotency
from fanout_dispatcher.values.answers import Accepted, Answered, Repeated, Told
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.keyed import Keyed, door
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.graphs import NO, WELL, asked, behaving, final
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait


def fails(answered: object) -> None:
    raise RuntimeError(f"whoever waits for {type(answered).__name__} has a fault")


def head(ident: str = "e1") -> Head:
    return Head(id=ident, source="/sim", type="sim", identity=ident.encode(), attributes=b"")


@pytest.mark.parametrize("graph", [False, True])
def test_an_event_is_delivered_even_if_its_producer_cannot_be_told(*, graph: bool) -> None:
    world = World(a_plan("a", "b", behind=(final("z"),) if graph else ()), behaving())
    world.judged = True

    async def story(life: Life) -> None:
        route = life.engine.route_at(world.plan.path)
        assert route is not None
        life.engine.accept(route, head(), b"{}", fails)
        await asyncio.sleep(10)
        assert life.pending() == 0

    world.live(story)

    assert sorted(asked(world)) == ["a", "b", *(["finally.z"] if graph else [])]
    assert [str(fault) for fault in world.history.faults] == ["whoever waits for Accepted has a fault"]


def test_of_requests_with_one_key_each_is_answered_and_the_key_is_free_again() -> None:
    world = World(a_plan("a", idempotency=Idempotency(ttl=60.0, max_keys=9)), behaving())
    world.judged = True
    heard: list[Answered] = []

    async def story(life: Life) -> None:
        route = life.engine.route_at(world.plan.path)
        assert route is not None
        keyed = Keyed(door(route.plan.key), b"key", b"same", head(), b"{}")
        for reply in (fails, heard.append):
            life.engine.accept_once(route, keyed, reply)
        await asyncio.sleep(10)
        life.engine.accept_once(route, keyed, heard.append)
        await asyncio.sleep(1)

    world.live(story)

    assert [type(one) for one in heard] == [Accepted, Accepted]
    assert asked(world) == ["a"]


def test_an_answer_that_cannot_be_told_is_kept_and_its_key_is_free_again() -> None:
    rule = Idempotency(ttl=60.0, max_keys=9)
    world = World(a_plan(a_target("a", capture=64), respond=a_wait("a"), idempotency=rule), behaving())
    world.judged = True
    heard: list[Told | Repeated] = []

    async def story(life: Life) -> None:
        route = life.engine.route_at(world.plan.path)
        assert route is not None
        life.wait("e1", b"{}", route, key="same", hear=fails)
        await asyncio.sleep(10)
        for hear in (fails, heard.append):
            life.wait("e1", b"{}", route, key="same", hear=hear)
            await asyncio.sleep(1)

    world.live(story)

    assert [type(one) for one in heard] == [Repeated]
    assert asked(world) == ["a"]


def test_a_replay_goes_out_and_is_counted_even_if_whoever_asked_for_it_has_gone() -> None:
    mended: list[bool] = []
    world = World(a_plan("a"), lambda target, flight, now: WELL if mended else NO)

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(1)
        mended.append(True)
        (lane,) = life.engine.table.lanes.values()
        life.disk.latency = (1.0, 1.0)  # to find it, to read it, to write its replay
        replay = asyncio.ensure_future(life.desk.replay(DeadLetterFilter()))
        await asyncio.sleep(2.5)
        assert lane.fresh.promised == 1
        replay.cancel()
        await asyncio.sleep(10)
        shown = life.target("a")
        assert (shown.pending, shown.dead_letters, lane.fresh.promised) == (0, 0, 0)
        assert lane.tally.meter.replayed == 1

    world.live(story)

    assert asked(world) == ["a", "a"]
