"""Routes that change and routes that come and go for days: journal and memory keep only what something refers to."""

import asyncio
import contextlib
import random
import typing

import pytest

from fanout_crds.plan import Plan
from fanout_dispatcher.engine.book import PRUNE, PRUNE_PAUSE
from fanout_dispatcher.engine.engine import HISTORY_KEPT, TIDY
from fanout_dispatcher.engine.tidy import FORGET
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.memory.store import Store
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted
from fanout_dispatcher.values.views import DeadLetterFilter, EventView
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target
from tests.unit.dispatcher.engine.scripted import HEAD

HOUR = 3600.0
LONG = HISTORY_KEPT + 1.5 * HOUR  # history is forgotten, and what it referred to


def answers(code: int = 200) -> typing.Callable[[str, Flight, float], Reply]:
    return lambda target, flight, now: status(code)


async def changes(life: Life, first: int, hours: float, every: float = 600.0) -> int:
    """A new generation every ten minutes, which takes an event; the number of the next generation."""
    generation = first
    for generation in range(first, first + int(hours * HOUR / every)):
        life.engine.adopt(a_plan("a", "b", generation=generation, revision=f"{generation}"), {})
        life.post(f"e{generation}")
        await asyncio.sleep(every)
    return generation + 1


def stored(world: World) -> Store:
    """What the journal in memory holds."""
    journal = world.storage.journal()
    assert isinstance(journal, MemoryJournal)
    return journal._store


def kept(life: Life) -> tuple[int, int]:
    """Frozen values in the journal and in memory."""
    return len(stored(life.world).frozen), len(life.engine.durable.register.frozen)


async def seen(life: Life, ident: str) -> EventView | None:
    return await life.desk.event(life.world.history.accepted[ident])


def test_a_route_that_changes_all_the_time_leaves_a_day_of_its_generations_behind() -> None:
    world = World(a_plan("a", "b"), answers())

    async def story(life: Life) -> None:
        after_a_day = await changes(life, 2, 30)
        first = kept(life)
        await changes(life, after_a_day, 40)

        assert first[0] == first[1] < 6 * 28
        assert max(kept(life)) <= first[0] + 3
        assert stored(life.world).resting == life.engine.durable.register.resting

    world.live(story)


def test_history_can_be_looked_at_for_as_long_as_it_is_kept() -> None:
    world = World(a_plan("a", "b"), answers())

    async def story(life: Life) -> None:
        life.post("first")
        await asyncio.sleep(10)
        await changes(life, 2, 23.9)
        view = await seen(life, "first")
        assert view is not None
        assert [one.state for one in view.deliveries] == ["Delivered", "Delivered"]
        await changes(life, 1000, 3)
        assert await seen(life, "first") is None

    world.live(story)


def test_what_is_pending_keeps_its_generation_and_is_delivered_by_it() -> None:
    endless = {"timeouts": {"total": 0.0}}
    targets = (a_target("a", policy=endless),)
    world = World(a_plan(*targets, suspend=True), answers())

    async def story(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(1)
        life.engine.adopt(a_plan(*targets, suspend=True, generation=2, revision="2"), {})
        await asyncio.sleep(LONG)
        assert kept(life) == (2, 2)
        life.engine.adopt(a_plan(*targets, generation=3, revision="3"), {})
        await life.settle()
        view = await seen(life, "e1")
        assert view is not None
        assert (view.generation, view.deliveries[0].state) == (1, "Delivered")
        await asyncio.sleep(LONG)
        assert kept(life) == (1, 1)

    world.live(story)


def test_a_dead_letter_keeps_its_generation_and_can_be_replayed() -> None:
    code = [422]
    world = World(a_plan("a"), lambda target, flight, now: status(code[0]))

    async def story(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(1)
        life.engine.adopt(a_plan("a", generation=2, revision="2"), {})
        await asyncio.sleep(LONG)
        assert kept(life) == (2, 2)
        code[0] = 200
        [receipt] = await life.desk.replay(DeadLetterFilter())
        await life.settle()
        view = await life.desk.event(receipt)
        assert view is not None
        assert view.deliveries[0].state == "Delivered"
        await asyncio.sleep(LONG)
        assert kept(life) == (1, 1)

    world.live(story)


def test_a_generation_that_comes_back_stays() -> None:
    world = World(a_plan("a"), answers())

    async def story(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(1)
        life.engine.adopt(a_plan("a", generation=2, revision="2"), {})
        await asyncio.sleep(HISTORY_KEPT - HOUR)
        assert len(life.engine.durable.register.resting) == 1
        life.engine.adopt(a_plan("a", revision="3"), {})
        life.post("e2")
        await asyncio.sleep(2 * HOUR)

        assert await seen(life, "e1") is None
        view = await seen(life, "e2")
        assert view is not None
        assert view.generation == 1
        await asyncio.sleep(LONG)
        assert [one.generation for one in stored(life.world).frozen.values()] == [1]

    world.live(story)


def test_restarts_do_not_begin_to_count_anew() -> None:
    world = World(a_plan("a", "b"), answers())

    async def busy(life: Life) -> None:
        await changes(life, 2, 2)

    async def short(life: Life) -> None:
        await asyncio.sleep(2 * HOUR)
        await life.post("e")

    world.live(busy)
    for _ in range(14):
        world.live(short)

    assert [one.generation for one in stored(world).frozen.values()] == [1]


def test_routes_that_come_and_go_give_their_lanes_back() -> None:
    world = World(a_plan("a"), answers())

    async def story(life: Life) -> None:
        for number in range(200):
            name = f"r{number}"
            life.engine.adopt(a_plan("a", "b", name=name, path=f"/{name}"), {})
            route = life.engine.route_at(f"/{name}")
            assert route is not None
            life.world.plan = route.plan
            life.post(name)
            await asyncio.sleep(600)
            life.engine.retire(f"shop/{name}")
            await asyncio.sleep(600)
        book, store = life.engine.durable, stored(life.world)
        lanes = {f"{route}/{target}" for route, target in book.register.lanes}

        assert len(lanes) == len(store.lanes) < 2 * 3 * 28
        assert max(store.lanes) <= 2 * 3 * 28, "numbers are given out again"
        assert len(book.found) <= len(store.lanes)
        assert len(life.engine.table.lanes) <= 3
        assert all(isinstance(answer, str) for answer in life.world.history.accepted.values())

    world.live(story)


def test_routes_that_fetch_and_go_leave_nothing_behind_but_what_may_be_fetched_again() -> None:
    world = World(a_plan("a"), answers())

    async def story(life: Life) -> None:
        for number in range(20):
            plan = a_plan("a", name=f"r{number}", path=f"/r{number}")
            life.adopt(plan)
            route = life.engine.route_at(plan.path)
            assert route is not None
            life.engine.fetch(route, "row", HEAD, b"{}", lambda answered: None)
            await asyncio.sleep(1)
            assert life.engine.remembered(plan.key) == {"row"}
            if number:  # the database of the first one is away
                life.engine.forget(plan.key, ["row"])
            assert life.engine.remembered(plan.key) == (set() if number else {"row"})
            life.retire(plan.key)
        await asyncio.sleep(60)

        assert life.engine.durable.fetched == {"shop/r0": {"row"}}

    world.live(story)


def test_a_route_that_comes_back_has_its_lanes_again() -> None:
    world = World(a_plan("a"), answers())

    async def story(life: Life) -> None:
        for _ in range(2):
            life.engine.adopt(a_plan("a"), {})
            assert isinstance(await life.post("e"), Accepted)
            await life.settle()
            life.engine.retire("shop/order-placed")
            await asyncio.sleep(LONG)
            assert (kept(life), stored(life.world).lanes) == ((0, 0), {})

    world.live(story)


def test_history_is_forgotten_however_much_there_is() -> None:
    world = World(a_plan("a"), answers())

    async def story(life: Life) -> None:
        for number in range(3 * FORGET):
            life.post(f"e{number}")
        await life.settle()
        assert len(stored(life.world).done) == 3 * FORGET
        await asyncio.sleep(HISTORY_KEPT + 2 * TIDY + 900)

        assert stored(life.world).done == {}

    world.live(story)


def test_tidying_ends_with_the_engine() -> None:
    world = World(a_plan("a"), lambda target, flight, now: NEVER)

    async def story(life: Life) -> None:
        for tidy in life.engine.tidies:
            tidy.begin(0.0)
        await asyncio.sleep(0)
        await life.engine.drain(1.0)
        await asyncio.sleep(0)

        assert all(tidy.task is not None and tidy.task.done() for tidy in life.engine.tidies)

    world.live(story)


@pytest.mark.parametrize("seed", range(6))
def test_whatever_happens_meanwhile_nothing_loses_what_it_refers_to(seed: int) -> None:
    """Generations and routes come, go and come back, with replays, crashes and failing commits; tidied all along."""
    chance = random.Random(f"tidy/{seed}")
    world = World(a_plan("a"), lambda target, flight, now: status(chance.choice([200, 200, 422])), seed=seed)
    world.storage.trouble(0.02, chance)

    async def story(life: Life) -> None:
        for step in range(80):
            match chance.randrange(6):
                case 0:
                    life.engine.retire(f"shop/r{chance.randrange(3)}")
                case 1:
                    with contextlib.suppress(JournalFault):
                        await life.desk.replay(DeadLetterFilter(limit=2))
                case 2:
                    for tidy in life.engine.tidies:
                        tidy.begin(life.clock.now() - 1800)
                case _:
                    plan = some_plan(chance)
                    life.engine.adopt(plan, {})
                    world.plans = {plan.key: plan}
                    life.post(f"{world.lives}/{step}")
            await asyncio.sleep(chance.choice([0.0, 0.004, 0.051, 40.0, 700.0]))

    for _ in range(4):
        world.live(story)
        consistent(world)


def some_plan(chance: random.Random) -> Plan:
    """One of three routes in one of four generations, with one target or two, suspended at times."""
    name, generation = f"r{chance.randrange(3)}", chance.randrange(4)
    targets = ("a", "b")[: 1 + generation % 2]
    suspend = chance.random() < 0.2
    return a_plan(*targets, name=name, path=f"/{name}", generation=generation, revision="x", suspend=suspend)


def consistent(world: World) -> None:
    """Everything in the journal finds what it refers to, and under its name."""
    store = stored(world)
    for event in [*store.events.values(), *(letter.event for letter in store.letters.after(0))]:
        assert store.frozen[event.frozen.number] == event.frozen
    for _, past in store.done.values():
        assert past.frozen in store.frozen
    for frozen in store.frozen.values():
        assert [store.lanes[lane] for lane in frozen.lanes] == [(frozen.route, name) for name in frozen.targets]
    assert len(set(store.lanes.values())) == len(store.lanes)


@pytest.mark.parametrize("removed", [False, True])
def test_old_dead_letters_go_however_many_there_are(removed: bool) -> None:
    """Of a target in force, and of one that is gone with its route."""
    world = World(a_plan("a"), answers(422))

    async def story(life: Life) -> None:
        for number in range(4 * PRUNE + 1):
            life.post(f"e{number}")
        await life.settle()
        if removed:
            life.engine.retire("shop/order-placed")
            await asyncio.sleep(60)
        letters = stored(life.world).letters
        assert len(letters) == 4 * PRUNE + 1
        for lane in life.engine.table.lanes.values():
            policy = lane.target.policy.dead_letter
            lane.dead.prune(policy, life.clock.now() + policy.keep)
        life.engine.durable.prune(life.clock.now())
        await asyncio.sleep(6 * PRUNE_PAUSE)

        assert len(letters) == 0

    world.live(story)
