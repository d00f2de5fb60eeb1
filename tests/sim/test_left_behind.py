"""What the journal has of targets that no lane stands for: counted as what is there, and found by the next lane."""

import asyncio
import typing

import msgspec
import pytest

from fanout_crds.plan import Plan
from fanout_dispatcher.values.answers import Accepted
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.graphs import NO, WELL
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target

WEEK: typing.Final = 7 * 24 * 3600.0


def a_world(**dead_letter: object) -> World:
    """Its only target does not want the event "no"."""
    plan = a_plan(a_target("a", policy={"timeouts": {"total": 0.0}, "dead_letter": dead_letter}))
    return World(plan, lambda target, flight, now: NO if flight.event.head.id == "no" else WELL)


def edited(plan: Plan, number: int, **changes: object) -> Plan:
    return msgspec.structs.replace(plan, generation=number, revision=f"{number}", **changes)


def test_a_plan_that_comes_late_finds_what_its_targets_owe_and_their_dead_letters(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    world = a_world(keep=4 * WEEK)

    async def before(life: Life) -> None:
        await life.post("no")
        await asyncio.sleep(1)
        life.adopt(edited(world.plan, 2, suspend=True))
        assert isinstance(await life.post("yes"), Accepted)
        await asyncio.sleep(1)

    world.live(before)
    world.began += 2 * WEEK
    world.paused += 2 * WEEK
    world.has_source = False

    def unreadable(text: str) -> Plan:
        raise ValueError(f"a format of the future: {text[:10]}")

    async def after(life: Life) -> None:
        await asyncio.sleep(200)  # plans come late
        life.adopt(edited(world.plan, 4))
        assert life.target("a").dead_letters == 1
        await asyncio.sleep(10)
        await life.look()

    monkeypatch.setattr("fanout_crds.plan.decode", unreadable)
    world.live(after)

    assert world.history.states == {"no": {"a": "Dead"}, "yes": {"a": "Delivered"}}


def test_dead_letters_that_are_removed_after_their_target_is_gone_are_not_there_when_it_is_back() -> None:
    world = a_world(max_bytes=1)
    a, b = world.plan.targets[0], a_target("b")

    async def story(life: Life) -> None:
        await life.post("no")
        await asyncio.sleep(1)
        life.adopt(edited(world.plan, 2, targets=(b,)))
        await asyncio.sleep(40)  # nothing stands for it any more
        assert await life.desk.remove(DeadLetterFilter()) == 1
        life.adopt(edited(world.plan, 3, targets=(a, b)))
        assert life.target("a").dead_letters == 0
        assert isinstance(await life.post("yes"), Accepted)
        await life.settle()

    world.live(story)
