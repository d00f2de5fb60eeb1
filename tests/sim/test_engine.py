"""Stories of the whole engine in virtual time that are worth telling by themselves."""

import asyncio
import random
from collections.abc import Collection

import pytest

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.journal.memory.journal import MemoryJournal
from fanout_dispatcher.journal.protocol import Kind, Pulled
from fanout_dispatcher.telemetry.seam import DeliveriesReadable, DeliveriesUnreadable
from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted
from tests.sim import history as records
from tests.sim.checkers import judge
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target

TARGETS = ("a", "b", "c")


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
    assert judge(world.history) == []
    assert {state for states in world.history.states.values() for state in states.values()} == {"Delivered"}
    assert len(asked) < 120, "an open circuit asks with probes only"


def test_what_the_journal_cannot_read_is_told_and_goes_on_when_it_can(monkeypatch: pytest.MonkeyPatch) -> None:
    reads, broken = MemoryJournal.pull, False

    def pull(
        journal: MemoryJournal, kind: Kind, until: float, limit: int, skip: Collection[int]
    ) -> tuple[list[Pulled], float | None]:
        if broken:
            raise JournalFault("database disk image is malformed")
        return reads(journal, kind, until, limit, skip)

    monkeypatch.setattr(MemoryJournal, "pull", pull)
    world = World(a_plan("a"), lambda target, flight, now: status(200 if now > 5 else 503))

    async def story(life: Life) -> None:
        nonlocal broken
        broken = True
        life.post("e1")
        await asyncio.sleep(60)
        route = life.desk.route(world.plan.key)
        assert route is not None
        assert (route.targets[0].pending, route.targets[0].last_error) == (
            1,
            "the journal cannot be read: database disk image is malformed",
        )
        broken = False
        await life.settle()
        await asyncio.sleep(2)

    world.live(story)

    told = [one.change for one in world.history.of(records.Told)]
    assert [one.why for one in told if isinstance(one, DeliveriesUnreadable)] == ["database disk image is malformed"]
    assert sum(isinstance(one, DeliveriesReadable) for one in told) == 1


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
