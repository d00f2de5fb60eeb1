"""The whole engine in virtual time: what it promises holds whatever the targets, the disk and kill -9 do."""

import asyncio
import os
import random

import pytest

from fanout_crds.plan import Plan
from fanout_dispatcher.transport.memory import NEVER, Reply, fault, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted
from fanout_dispatcher.values.outcome import Fault
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, a_target

SEEDS = int(os.environ.get("SEEDS", "60"))
TARGETS = ("a", "b", "c")


def moody(seed: int) -> Behave:
    """Targets that answer, fail, reset, hang and reject as the seed likes, each with a temper of its own."""
    chance = random.Random(f"targets/{seed}")
    temper = {name: chance.choice([0.0, 0.1, 0.5, 0.9]) for name in TARGETS}

    def behave(target: str, flight: Flight, now: float) -> Reply:
        latency = chance.uniform(0.0, 0.2)
        if chance.random() >= temper[target] or now > 3600:  # all is well again after an hour
            return status(200, latency)
        return chance.choice(
            [
                status(503, latency),
                status(429, latency, retry_after="2"),
                fault(Fault.RESET, latency),
                NEVER,
                status(422),
            ]
        )

    return behave


def edited(chance: random.Random) -> Plan:
    """The plan after somebody's edit: suspended or not, other addresses, other bounds; the same targets."""
    targets = [
        a_target(name, url=f"http://127.0.0.1:9/{chance.random()}", policy={"bulkhead": {"max_concurrent": 2}})
        for name in TARGETS
    ]
    number = chance.randrange(1 << 30)
    return a_plan(*targets, suspend=chance.random() < 0.3, revision=f"{number}", generation=number)


@pytest.mark.parametrize("seed", range(SEEDS))
def test_every_accepted_event_is_settled_once_whatever_happens(seed: int) -> None:
    chance = random.Random(f"scenario/{seed}")
    plan = a_plan(*TARGETS)
    world = World(plan, moody(seed), seed=seed, mishaps=chance.choice([0.0, 0.02, 0.2]))
    posted = 0

    async def busy(life: Life) -> None:
        nonlocal posted
        crash = life.clock.now() + chance.uniform(0.0, 3.0)
        while life.clock.now() < crash:
            for _ in range(chance.randrange(1, 30)):
                posted += 1
                life.post(f"e{posted}")
            if chance.random() < 0.1:
                life.engine.adopt(edited(chance), {})
            pause = chance.choice([chance.uniform(0.0, 0.3), chance.uniform(0.0, 0.005)])
            await asyncio.sleep(min(pause, crash - life.clock.now()))  # the crash may come inside a commit

    async def at_last(life: Life) -> None:
        world.mishaps = 0.0
        await life.settle()
        await life.look()

    for _ in range(chance.randrange(1, 5)):
        world.live(busy)
    world.live(at_last)

    assert world.history.imbalance(TARGETS) == []
    assert world.history.unexplained() == []
    assert world.history.phantoms() == []


def test_the_same_seed_gives_the_same_run() -> None:
    def trace() -> int:
        world = World(a_plan(*TARGETS), moody(7), seed=7)

        async def some(life: Life) -> None:
            for number in range(200):
                life.post(f"e{number}")
                await asyncio.sleep(0.01)
            await life.settle()

        world.live(some)
        return world.history.trace()

    assert trace() == trace()


def test_a_dead_target_is_held_by_its_circuit_and_the_others_do_not_notice() -> None:
    plan = a_plan(*TARGETS)
    world = World(plan, lambda target, flight, now: status(503 if target == "c" and now < 600 else 200, 0.01))

    async def story(life: Life) -> None:
        answers = [life.post(f"e{number}") for number in range(500)]
        assert all(isinstance(one, Accepted) for one in await asyncio.gather(*answers))
        await asyncio.sleep(5)
        route = life.desk.route(plan.key)
        assert route is not None
        a, b, c = route.targets
        assert (a.pending, b.pending, c.pending) == (0, 0, 500)
        assert (c.circuit, c.held) == ("Open", "CircuitOpen")
        await life.settle()
        await life.look()

    world.live(story)

    asked = [one for one in world.history.sent if one.target == "c" and one.at < 600]
    assert world.history.imbalance(TARGETS) == []
    assert {state for states in world.history.states.values() for state in states.values()} == {"Delivered"}
    assert len(asked) < 120, "an open circuit asks with probes only"


def test_no_more_are_in_flight_than_the_bulkhead_allows() -> None:
    plan = a_plan(a_target("a", policy={"bulkhead": {"max_concurrent": 3}}))
    flying = peak = 0

    def behave(target: str, flight: Flight, now: float) -> Reply:
        nonlocal flying, peak
        flying += 1
        peak = max(peak, flying)
        asyncio.get_running_loop().call_later(0.5, land)
        return status(200, 0.5)

    def land() -> None:
        nonlocal flying
        flying -= 1

    world = World(plan, behave)

    async def story(life: Life) -> None:
        for number in range(50):
            life.post(f"e{number}")
        await life.settle()

    world.live(story)

    assert peak == 3


def test_a_target_at_a_new_address_is_asked_at_once_although_its_circuit_was_open() -> None:
    plan = a_plan(a_target("a", url="http://127.0.0.1:1/old"))
    world = World(plan, lambda target, flight, now: status(200 if moved else 503))
    moved = False

    async def story(life: Life) -> None:
        nonlocal moved
        for number in range(10):
            life.post(f"e{number}")
        await asyncio.sleep(2)
        route = life.desk.route(plan.key)
        assert route is not None
        assert route.targets[0].circuit == "Open"
        moved = True
        life.engine.adopt(a_plan(a_target("a", url="http://127.0.0.1:1/new"), revision="2"), {})
        await life.settle(patience=5)

    world.live(story)

    assert {one.event for one in world.history.sent if one.yes} == {f"e{number}" for number in range(10)}


@pytest.mark.parametrize("seed", range(20))
def test_retries_that_cross_each_other_are_never_forgotten(seed: int) -> None:
    """A few deliveries out of step, waits as short as a commit: reads of the index meet writes to it."""
    chance = random.Random(f"crossing/{seed}")
    retry = {"backoff": {"type": "Constant", "base_delay": 0.05, "jitter": "Full"}}
    policy = {"retry": retry, "circuit_breaker": {"enabled": False}}
    world = World(
        a_plan(a_target("a", policy=policy)),
        lambda target, flight, now: status(200 if chance.random() < 0.3 else 503, chance.uniform(0.0, 0.05)),
        seed=seed,
    )
    world.disk = (0.001, 0.03)

    async def story(life: Life) -> None:
        for number in range(40):
            for part in "abc":
                life.post(f"{number}{part}")
                await asyncio.sleep(chance.uniform(0.0, 0.05))
            await life.settle(patience=30)

    world.live(story)
