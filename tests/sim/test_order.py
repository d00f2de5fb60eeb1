"""A target that keeps order: one delivery of a key at a time, and no other key the worse for it."""

import asyncio
import typing

import pytest

from fanout_crds.plan import Ordering, Target
from fanout_crds.policy import AfterDeath
from fanout_dispatcher.engine.routes import DRAIN
from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import AnsweredAll
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.views import DeadLetterFilter, DeliveryView
from tests.sim.checkers import judge
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target

ALL = DeadLetterFilter(limit=1000)
BACKOFF = {"type": "Constant", "base_delay": 1.0, "max_delay": 1.0, "jitter": "None"}
OFF = {"enabled": False}


def ordered(after_death: AfterDeath = "Block", **policy: object) -> Target:
    """Target a, which keeps order by partitionkey; a failure is tried again every second."""
    ordering = Ordering(key_attribute="partitionkey", after_death=after_death)
    return a_target("a", policy={"ordering": ordering, "circuit_breaker": OFF, "retry": {"backoff": BACKOFF}, **policy})


def events(world: World, target: str = "a") -> list[str]:
    """What the target was asked for, in order."""
    return [one.event for one in world.history.sent if one.target == target]


def a_head(ident: str) -> Head:
    """An event of key k."""
    attributes = b"ce-partitionkey: k\r\n"
    return Head(id=ident, source="/sim", type="sim", identity=ident.encode(), attributes=attributes)


async def delivery(life: Life, event: str) -> DeliveryView:
    """What the desk shows of the first delivery of an event."""
    view = await life.desk.event(life.history.accepted[event])
    assert view is not None
    return view.deliveries[0]


def poison(*events: str, code: int = 422) -> typing.Callable[[str, Flight, float], Reply]:
    """Some events are answered with *code*."""
    return lambda target, flight, now: status(code if flight.event.head.id in events else 200, 0.01)


def test_deliveries_of_a_key_wait_for_a_retry_of_the_first_and_other_keys_do_not() -> None:
    plan = a_plan(ordered())
    world = World(plan, lambda target, flight, now: status(503 if flight.event.head.id == "e0" and now < 10 else 200))

    async def story(life: Life) -> None:
        for number in range(5):
            await life.post(f"e{number}", partition="k")
        await life.post("other", partition="o")
        await life.post("keyless")
        await life.settle()
        await life.look()

    world.live(story)

    first = [event for event in events(world) if event != "e0"]
    assert first == ["other", "keyless", "e1", "e2", "e3", "e4"]
    assert judge(world.history) == []


def test_one_poisoned_key_in_a_thousand_costs_the_others_nothing() -> None:
    def finished(*poisoned: str) -> float:
        world = World(a_plan(ordered()), poison(*poisoned, code=503))

        async def story(life: Life) -> None:
            for number in range(3000):
                life.post(f"e{number}", partition=f"k{number % 1000}")
                if number % 100 == 0:
                    await asyncio.sleep(0.01)
            while life.pending() > 3 * len(poisoned):  # noqa: ASYNC110  it is seen from outside
                await asyncio.sleep(0.01)

        world.live(story)
        healthy = [one.ended or 0.0 for one in world.history.sent if one.event not in poisoned]
        return max(healthy)

    assert finished("e7") <= finished() * 1.1 + 0.1


def test_what_waits_for_its_key_says_so() -> None:
    world = World(a_plan(ordered()), poison("e0", code=503))

    async def story(life: Life) -> None:
        await life.post("e0", partition="k")
        await life.post("e1", partition="k")
        await asyncio.sleep(0.5)

        first, second = await delivery(life, "e0"), await delivery(life, "e1")
        assert (first.held, second.held) == (None, "EarlierOfKey")
        assert first.due is not None
        assert second.due is None

    world.live(story)


@pytest.mark.parametrize("act", ["remove", "replay"])
def test_a_dead_letter_holds_its_key_until_it_is_gone(act: str) -> None:
    sick = ["e0"]
    world = World(a_plan(ordered()), lambda target, flight, now: status(422 if flight.event.head.id in sick else 200))

    async def story(life: Life) -> None:
        for number in range(3):
            await life.post(f"e{number}", partition="k")
        await asyncio.sleep(100)
        assert events(world) == ["e0"]
        [letter] = await life.desk.dead_letters(ALL)
        assert letter.holds

        sick.clear()
        await (life.desk.remove(ALL) if act == "remove" else life.replay(ALL))
        await life.settle()
        await life.look()

    world.live(story)

    again = ["e0"] if act == "replay" else []
    assert events(world) == ["e0", *again, "e1", "e2"]
    [meter] = world.history.meters
    assert meter.passed == ({} if act == "replay" else {"Removed": 1})


def test_a_dead_letter_that_was_kept_long_enough_lets_go_of_its_key_and_is_counted() -> None:
    world = World(a_plan(ordered(dead_letter={"keep": 600.0})), poison("e0"))

    async def story(life: Life) -> None:
        await life.post("e0", partition="k")
        await life.post("e1", partition="k")
        await asyncio.sleep(300)
        assert events(world) == ["e0"]
        await life.settle()
        await life.look()

    world.live(story)

    assert events(world) == ["e0", "e1"]
    assert world.history.meters[0].passed == {"Keep": 1}


def test_passing_over_a_dead_letter_gives_up_its_place() -> None:
    world = World(a_plan(ordered("PassOver")), poison("e0"))

    async def story(life: Life) -> None:
        await life.post("e0", partition="k")
        await life.post("e1", partition="k")
        await life.settle()
        [letter] = await life.desk.dead_letters(ALL)
        assert not letter.holds

    world.live(story)

    assert events(world) == ["e0", "e1"]


def test_what_expires_while_it_waits_is_a_dead_letter_with_its_place_and_its_replay_comes_in_order() -> None:
    sick = ["e0"]
    plan = a_plan(ordered(timeouts={"total": 20.0}))
    world = World(plan, lambda target, flight, now: status(422 if flight.event.head.id in sick else 200))

    async def story(life: Life) -> None:
        for number in range(4):
            await life.post(f"e{number}", partition="k")
        await life.settle()
        assert await life.reasons("a") == ["TargetRejected", "Expired", "Expired", "Expired"]
        sick.clear()
        await life.replay(ALL)
        await life.settle()
        await life.look()

    world.live(story)

    assert events(world) == ["e0", "e0", "e1", "e2", "e3"]
    assert judge(world.history) == []


def test_a_crash_forgets_neither_who_waits_nor_for_whom() -> None:
    world = World(a_plan(ordered()), lambda target, flight, now: status(503 if now < 30 else 200))

    async def crashed(life: Life) -> None:
        for number in range(6):
            await life.post(f"e{number}", partition=f"k{number % 2}")
        await asyncio.sleep(3)

    async def story(life: Life) -> None:
        await life.settle()
        await life.look()

    world.live(crashed)
    world.live(story)

    assert [event for event in events(world)[-6:] if event in {"e0", "e2", "e4"}] == ["e0", "e2", "e4"]
    assert judge(world.history) == []


def test_an_event_whose_key_cannot_be_read_is_a_dead_letter_and_its_siblings_go_on() -> None:
    ordering = Ordering(key_attribute=None, key_expression="data.order", after_death="Block")
    world = World(a_plan(a_target("a", policy={"ordering": ordering}), "b"), poison())

    async def story(life: Life) -> None:
        await life.post("e0", b'{"order": "k"}')
        await life.post("e1", b'{"total": 7}')
        await life.post("e2", b'{"order": "k"}')
        await life.settle()
        assert await life.reasons("a") == ["ExpressionFailed"]
        [letter] = await life.desk.dead_letters(ALL)
        assert letter.detail.startswith("policy.ordering.keyExpression: there is no")

    world.live(story)

    assert (events(world), events(world, "b")) == (["e0", "e2"], ["e0", "e1", "e2"])


def test_the_events_of_a_batch_keep_their_order() -> None:
    world = World(a_plan(ordered()), lambda target, flight, now: status(503 if now < 5 else 200))

    async def story(life: Life) -> None:
        answer: asyncio.Future[AnsweredAll] = life.loop.create_future()
        batch = [(a_head(f"e{number}"), b"{}") for number in range(4)]
        route = life.engine.route_at(world.plan.path)
        assert route is not None
        life.engine.accept_all(route, batch, answer.set_result)
        await answer
        await life.settle()

    world.live(story)

    assert list(dict.fromkeys(events(world))) == ["e0", "e1", "e2", "e3"]


def test_what_waits_for_its_key_ends_with_its_route() -> None:
    world = World(a_plan(ordered()), poison("e0"))

    async def story(life: Life) -> None:
        for number in range(300):
            await life.post(f"e{number}", partition="k")
        life.retire(world.plan.key)
        await life.settle(patience=DRAIN + 60)

        reasons = [one.reason for one in await life.desk.dead_letters(ALL)]
        assert reasons == ["TargetRejected", *["RouteDeleted"] * 299]

    world.live(story)

    assert events(world) == ["e0"]


def test_a_route_that_comes_back_in_time_finds_its_order() -> None:
    world = World(a_plan(ordered()), lambda target, flight, now: status(503 if now < 60 else 200))

    async def story(life: Life) -> None:
        for number in range(20):
            await life.post(f"e{number}", partition="k")
        life.retire(world.plan.key)
        await asyncio.sleep(DRAIN - 1)
        life.adopt(world.plan)
        await life.settle()

    world.live(story)

    assert list(dict.fromkeys(events(world))) == [f"e{number}" for number in range(20)]


def test_a_target_that_keeps_order_no_more_still_carries_out_what_has_a_place() -> None:
    world = World(a_plan(ordered()), lambda target, flight, now: status(503 if now < 5 else 200))

    async def story(life: Life) -> None:
        for number in range(4):
            await life.post(f"e{number}", partition="k")
        life.adopt(a_plan(a_target("a", policy={"circuit_breaker": OFF, "retry": {"backoff": BACKOFF}}), revision="2"))
        await life.settle()

    world.live(story)

    assert list(dict.fromkeys(events(world))) == ["e0", "e1", "e2", "e3"]


def test_memory_is_bounded_however_many_keys_wait() -> None:
    """A target that is held, and ten thousand keys with something for it: all of that is in the journal."""
    plan = a_plan(ordered(), suspend=True)
    world = World(plan, lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        for number in range(10_000):
            life.post(f"e{number}", partition=f"k{number}")
            if number % 500 == 0:
                await asyncio.sleep(0.05)
        await asyncio.sleep(10)

        assert life.pending() == 10_000
        assert len(life.engine.durable.live) == 0

    world.live(story)


def test_a_sibling_that_keeps_no_order_is_not_held_up() -> None:
    world = World(
        a_plan(ordered(), "b"), lambda target, flight, now: status(503 if target == "a" and now < 20 else 200)
    )

    async def story(life: Life) -> None:
        for number in range(3):
            await life.post(f"e{number}", partition="k")
        await asyncio.sleep(1)
        assert events(world, "b") == ["e0", "e1", "e2"]
        await life.settle()

    world.live(story)

    assert list(dict.fromkeys(events(world))) == ["e0", "e1", "e2"]
