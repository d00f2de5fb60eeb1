"""``accept.idempotency``: an event is accepted once for its key, and whoever brings the key again gets that answer."""

import asyncio
import typing

import msgspec
import pytest

from fanout_crds.plan import Idempotency, Plan
from fanout_dispatcher.engine.engine import HOUSEKEEPING
from fanout_dispatcher.engine.once import STEP, Once
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.transport.memory import status
from fanout_dispatcher.values.answers import Accepted, Answered, Turned
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.keyed import Keyed, door
from tests.sim.world import Life, World, Writer
from tests.support.plans import a_plan, a_target, a_wait

HEAD: typing.Final = Head(id="1", source="/shop", type="t", identity=b"", attributes=b"")


def a_world(plan: Plan | None = None, **rule: float) -> World:
    made = Idempotency(**{"ttl": 3600.0, "max_keys": 1000} | rule)  # type: ignore[arg-type]
    return World(plan or a_plan("a", idempotency=made), lambda target, flight, now: status(200))


def bring(life: Life, key: str, fingerprint: str = "", body: bytes = b"{}") -> "asyncio.Future[Answered]":
    """An event under *key*; the answer."""
    answer: asyncio.Future[Answered] = life.loop.create_future()
    route = route_of(life)
    keyed = Keyed(door(route.plan.key), key.encode(), fingerprint.encode(), HEAD, body)
    life.engine.accept_once(route, keyed, answer.set_result)
    return answer


def route_of(life: Life) -> Route:
    route = life.engine.route_at(life.world.plan.path)
    assert route is not None
    return route


def once_of(life: Life) -> Once:
    return life.engine.once[route_of(life).book]


def test_the_second_gets_the_first_answer_and_nothing_is_sent_twice() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        first = await bring(life, "k")
        second = await bring(life, "k")
        other = await bring(life, "another")
        await life.settle()

        assert isinstance(first, Accepted)
        assert second == first != other
        assert (route_of(life).meter.accepted, route_of(life).meter.repeated) == (2, 1)

    world.live(story)
    assert len(world.history.sent) == 2


def test_who_comes_while_the_first_is_on_its_way_is_answered_with_it() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        answers = await asyncio.gather(*(bring(life, "k") for _ in range(5)))
        await life.settle()

        assert len(set(map(str, answers))) == 1
        assert (route_of(life).meter.accepted, route_of(life).meter.repeated) == (1, 4)
        assert once_of(life).tickets == {}

    world.live(story)
    assert len(world.history.sent) == 1


def test_another_event_under_the_key_is_refused_before_and_after_the_commit() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        first, second = bring(life, "k", "one"), bring(life, "k", "two")
        await first
        answers = [await second, await bring(life, "k", "three")]

        assert [one.status for one in answers if isinstance(one, Turned)] == [422, 422]
        assert route_of(life).meter.turned == {"IdempotencyKeyReused": 2}

    world.live(story)


def test_a_key_is_known_after_a_crash() -> None:
    world = a_world()
    given: list[Answered] = []

    async def story(life: Life) -> None:
        given.append(await bring(life, "k"))
        await life.settle()

    world.live(story)
    world.live(story)

    assert given[0] == given[1]
    assert len(world.history.sent) == 1


def test_a_crash_before_the_commit_leaves_nothing_in_the_way() -> None:
    world = a_world()
    given: list[Answered] = []

    async def crash(life: Life) -> None:
        life.disk.latency = (10.0, 10.0)
        bring(life, "k")
        await asyncio.sleep(0.1)

    async def story(life: Life) -> None:
        given.append(await bring(life, "k"))
        await life.settle()

    world.live(crash)
    world.live(story)

    assert isinstance(given[0], Accepted)
    assert len(world.history.sent) == 1


def test_past_its_time_a_key_is_as_good_as_new() -> None:
    world = a_world(ttl=60.0)

    async def story(life: Life) -> None:
        first = await bring(life, "k", "one")
        await asyncio.sleep(59.0)
        assert await bring(life, "k", "one") == first
        await asyncio.sleep(1.5)
        second = await bring(life, "k", "two")

        assert isinstance(second, Accepted)
        assert second != first
        assert sum(once_of(life).kept.values()) == 1

    world.live(story)


def test_keys_past_their_time_are_forgotten_also_after_a_restart() -> None:
    world = a_world(ttl=60.0)

    async def story(life: Life) -> None:
        for number in range(3):
            await bring(life, f"k{number}")
        assert sum(once_of(life).kept.values()) == 3

    async def later(life: Life) -> None:
        assert sum(once_of(life).kept.values()) == 3, "counted when the journal was opened"
        await bring(life, "new")
        await asyncio.sleep(60.0 + 2 * HOUSEKEEPING)
        assert once_of(life).kept == {}

    world.live(story)
    world.live(later)


def test_of_routes_that_come_and_go_nothing_is_known_once_their_keys_are_past_their_time() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        for number in range(20):
            rule = Idempotency(ttl=60.0, max_keys=9)
            life.adopt(a_plan("a", name=f"r{number}", path=f"/shop/r{number}", idempotency=rule))
            route = life.engine.route_at(f"/shop/r{number}")
            assert route is not None
            keyed = Keyed(door(route.plan.key), b"k%d" % number, b"", HEAD, b"{}")
            life.engine.accept_once(route, keyed, lambda answered: None)
            await asyncio.sleep(1.0)
            life.retire(route.plan.key)
        once = life.engine.once[life.engine.durable]
        assert len(once.rules) == 20
        await asyncio.sleep(60.0 + 2 * HOUSEKEEPING)

        assert (once.kept, once.rules) == ({}, {})

    world.live(story)


def test_a_key_that_was_forgotten_while_it_was_renewed_is_forgotten_again_in_its_time() -> None:
    """Its row was found too old, and deleted by the housekeeping before the new one was written."""
    world = a_world(ttl=60.0)

    async def story(life: Life) -> None:
        once = once_of(life)
        await bring(life, "k")
        await asyncio.sleep(61.0)
        renewed = bring(life, "k")
        await asyncio.sleep(0)
        once.keep_house(life.clock.now())
        assert isinstance(await renewed, Accepted)
        await asyncio.sleep(60.0 + 2 * HOUSEKEEPING)

        assert (once.kept, once.rules) == ({}, {})
        assert await life.engine.durable.ask(lambda journal: journal.keys([b"k"])) == []

    world.live(story)


def test_beyond_the_bound_the_oldest_keys_go() -> None:
    world = a_world(max_keys=10)

    async def story(life: Life) -> None:
        first = [await bring(life, f"k{number}") for number in range(1300)]
        await asyncio.sleep(5.0)

        assert sum(once_of(life).kept.values()) == 10
        assert await bring(life, "k1299") == first[1299]
        assert await bring(life, "k1289") != first[1289]

    world.live(story)


def test_more_keys_past_their_time_than_one_deletion_takes_are_forgotten_at_one_look() -> None:
    world = a_world(ttl=HOUSEKEEPING, max_keys=10_000)

    async def story(life: Life) -> None:
        await asyncio.gather(*(bring(life, f"k{number}") for number in range(2 * STEP + 1)))
        await asyncio.sleep(2 * HOUSEKEEPING + 1.0)

        assert once_of(life).kept == {}

    world.live(story)


def test_when_the_commit_fails_all_who_wait_are_refused_and_the_key_is_free() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        world.storage.trouble(1.0, world.chance)
        refused = await asyncio.gather(*(bring(life, "k") for _ in range(3)))
        while life.engine.readiness():
            world.storage.trouble(0.0, world.chance)
            barred = await bring(life, "k")
            assert isinstance(barred, Turned) or not life.engine.readiness()
            await asyncio.sleep(0.5)
        again = await bring(life, "k")
        await life.settle()

        assert {one.status for one in refused if isinstance(one, Turned)} == {503}
        assert len([one for one in refused if isinstance(one, Turned)]) == 3
        assert sum(route_of(life).meter.turned.values()) >= 3
        assert isinstance(again, Accepted)

    world.live(story)
    assert len(world.history.sent) == 1


def test_a_repetition_is_answered_though_the_queue_is_full() -> None:
    target = a_target("a", policy={"queue": {"max_bytes": 1}, "timeouts": {"total": 0.0}})
    plan = a_plan(target, suspend=True, idempotency=Idempotency(ttl=60.0, max_keys=9))
    world = a_world(plan)

    async def story(life: Life) -> None:
        first = await bring(life, "k")
        full = await bring(life, "another")

        assert isinstance(full, Turned)
        assert full.reason == "QueueFull"
        assert await bring(life, "k") == first

    world.live(story)


def test_with_durability_memory_keys_hold_for_as_long_as_the_process_does() -> None:
    rule = Idempotency(ttl=60.0, max_keys=9)
    world = a_world(a_plan("a", durability="Memory", idempotency=rule))

    async def story(life: Life) -> None:
        first = await bring(life, "k")
        assert await bring(life, "k") == first
        await life.settle()

    world.live(story)
    world.live(story)

    assert len(world.history.sent) == 2


def test_a_process_that_is_stopping_refuses_repetitions_too() -> None:
    world = a_world()

    async def story(life: Life) -> None:
        await bring(life, "k")
        life.engine.close_door()
        answer = await bring(life, "k")

        assert isinstance(answer, Turned)
        assert answer.reason == "ShuttingDown"
        assert "tickets=0" in repr(once_of(life))

    world.live(story)


@pytest.mark.parametrize("waits", [False, True])
@pytest.mark.parametrize("graph", [False, True])
def test_an_event_whose_key_is_looked_up_while_its_route_changes_is_refused_and_comes_again(
    *, graph: bool, waits: bool
) -> None:
    rule = Idempotency(ttl=60.0, max_keys=9)
    b = a_target("b", depends_on=("a",) if graph else ())
    world = a_world(a_plan("a", b, idempotency=rule, respond=a_wait("a") if waits else None))
    memory = msgspec.structs.replace(world.plan, durability="Memory", generation=2, revision="2")

    async def story(life: Life) -> None:
        route = route_of(life)
        life.disk.latency = (5.0, 5.0)
        told: asyncio.Future[object] = life.loop.create_future()
        keyed = Keyed(door(route.plan.key), b"k", b"", HEAD, b"{}")
        if waits:
            life.engine.accept_waiting_once(route, keyed, Writer(told.set_result))
        else:
            life.engine.accept_once(route, keyed, told.set_result)
        await asyncio.sleep(0.1)
        life.adopt(memory)
        await asyncio.sleep(10)
        refused = await told
        assert isinstance(refused, Turned)
        assert (refused.status, refused.reason) == (503, "RouteChanged")

        assert isinstance(await bring(life, "k"), Accepted)
        await life.settle(60)

    world.live(story)
    assert sorted(one.target for one in world.history.sent) == ["a", "b"]


def test_a_key_of_a_route_whose_targets_depend_on_each_other_holds_through_a_crash() -> None:
    rule = Idempotency(ttl=60.0, max_keys=9)
    world = a_world(a_plan("a", a_target("b", depends_on=("a",)), idempotency=rule))
    given: list[Answered] = []

    async def story(life: Life) -> None:
        given.append(await bring(life, "k"))
        await life.settle()

    world.live(story)
    world.live(story)

    assert given[0] == given[1]
    assert sorted(one.target for one in world.history.sent) == ["a", "b"]
