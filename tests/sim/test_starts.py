"""What can be undone is noted as started when it has its slot, and not before: what that is good for."""

import asyncio
from collections.abc import Mapping

import msgspec
import pytest

from fanout_crds import plan
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Settled
from fanout_dispatcher.values.event import State
from tests.sim.checkers import judge
from tests.sim.graphs import NO, QUICK, WELL, asked, behaving, one_event, states, step, to_the_end, undo
from tests.sim.senders import Lost
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, a_target, a_wait

NARROW = {**QUICK, "bulkhead": {"max_concurrent": 1}}
FOUR = ("e1", "e2", "e3", "e4")
SLOW_DISK = (0.2, 0.2)  # a commit is on disk after half of it, and known to be after the whole


def route(policy: Mapping[str, object], **changes: object) -> plan.Plan:
    """Two targets beside each other, the first of which can be undone."""
    return a_plan(a_target("slow", policy=policy), step("bad"), behind=(undo("slow"),), **changes)


async def together(life: Life, *names: str) -> None:
    """Several events at once, and everything to its end."""
    await asyncio.gather(*(life.post(name) for name in names))
    await to_the_end(life)


def sent(world: World, target: str) -> list[tuple[str, float]]:
    """Which events a target was asked for, and when."""
    return [(one.event, round(one.at, 1)) for one in world.history.sent if one.target == target]


def events(world: World, target: str) -> list[str]:
    """Which events a target was asked for."""
    return [event for event, _ in sent(world, target)]


def noted(life: Life) -> int:
    """Positions that are noted as started."""
    return sum(bool(state & State.STARTED) for one in life.engine.durable.live.values() for state in one.states)


def test_what_waits_for_a_slot_as_its_saga_fails_is_not_sent_and_not_undone() -> None:
    world = World(route(NARROW), behaving(slow=status(200, 5.0), bad=status(422, 0.05)))

    async def story(life: Life) -> None:
        await asyncio.gather(*map(life.post, FOUR))
        await asyncio.sleep(1.0)
        assert life.pending() == 1, "e1 is in flight"
        await to_the_end(life)

    world.live(story)

    assert sent(world, "slow") == [("e1", 0.0)]
    assert sent(world, "slow.compensate") == [("e1", 5.0)]
    assert judge(world.history) == []


def test_the_undoing_does_not_wait_for_a_circuit_that_is_open() -> None:
    """The first is undone at once too: its 503 may have begun something."""
    broken = {
        **NARROW,
        "circuit_breaker": {"consecutive_failures": 1, "open_duration": 60.0, "max_open_duration": 60.0},
    }
    world = World(route(broken), behaving(slow=status(503, 0.01), bad=status(422, 1.0)))

    world.live(lambda life: together(life, *FOUR))

    assert sent(world, "slow") == [("e1", 0.0)]
    assert sent(world, "slow.compensate") == [("e1", 1.0)]


@pytest.mark.parametrize("slots", [1, 2, 64])
def test_those_that_wait_for_a_slot_keep_their_places(slots: int) -> None:
    world = World(route({**QUICK, "bulkhead": {"max_concurrent": slots}}), behaving(slow=status(200, 0.5)))
    many = [f"e{number}" for number in range(1, 100)]

    world.live(lambda life: together(life, *many))

    assert events(world, "slow") == many


def test_no_more_are_noted_than_have_a_slot_and_a_crash_undoes_none_that_was_never_asked() -> None:
    narrow = {**QUICK, "bulkhead": {"max_concurrent": 3}, "timeouts": {"total": 30.0}}
    world = World(route(narrow), behaving(slow=NEVER))

    async def crashing(life: Life) -> None:
        posted = [life.post(f"e{number}") for number in range(40)]
        for _ in range(100):
            await asyncio.sleep(0.01)
            assert noted(life) <= 3
        assert all(one.done() for one in posted)
        assert noted(life) == 3

    world.live(crashing)
    world.live(to_the_end)

    undone = set(events(world, "slow.compensate"))
    assert len(undone) >= 3
    assert undone <= set(events(world, "slow"))
    assert judge(world.history) == []


def test_a_saga_that_fails_while_a_start_is_being_noted_calls_it_off_and_its_slot_is_free() -> None:
    no = {"e1"}

    def behave(target: str, flight: Flight, now: float) -> Reply:
        return NO if target == "bad" and flight.event.head.id in no else WELL

    world = World(route(NARROW), behave)
    world.disk = SLOW_DISK

    world.live(lambda life: together(life, "e1"))
    world.live(lambda life: together(life, "e2"))

    assert events(world, "slow") == ["e2"]
    assert events(world, "slow.compensate") == []
    assert states(world) == {"slow": "Skipped", "bad": "Dead", "slow.compensate": "Skipped"}
    assert judge(world.history) == []


def test_what_is_held_while_its_start_is_being_noted_stays_in_its_place_and_goes_later() -> None:
    wide = {**QUICK, "bulkhead": {"max_concurrent": 2}}
    world = World(route(wide), behaving())
    world.disk = SLOW_DISK
    suspended = route(wide, suspend=True, revision="suspended")

    async def story(life: Life) -> None:
        await asyncio.gather(*map(life.post, FOUR))
        await asyncio.sleep(0.02)
        assert noted(life) == 2
        life.adopt(suspended)
        await asyncio.sleep(3.0)
        assert (noted(life), asked(world)) == (0, ["bad"] * 4)
        life.adopt(msgspec.structs.replace(suspended, suspend=False, revision="resumed"))
        await to_the_end(life)

    world.live(story)

    assert events(world, "slow") == list(FOUR)
    assert judge(world.history) == []


def test_what_is_being_noted_as_the_circuit_opens_waits_for_it_in_its_place() -> None:
    opening = {
        **QUICK,
        "bulkhead": {"max_concurrent": 3},
        "circuit_breaker": {"consecutive_failures": 1, "open_duration": 5.0},
    }
    world = World(route(opening), circuit_of("e0"))
    world.disk = SLOW_DISK

    async def story(life: Life) -> None:
        await life.post("e0")
        await asyncio.sleep(0.15)  # e0 is noted; the next commit begins
        await asyncio.gather(*map(life.post, FOUR))
        await to_the_end(life)

    world.live(story)

    assert [event for event in events(world, "slow") if event != "e0"] == list(FOUR)
    assert judge(world.history) == []


def circuit_of(event: str) -> Behave:
    """The first attempt for that event fails, late; all others are well."""

    def behave(target: str, flight: Flight, now: float) -> Reply:
        first = target == "slow" and flight.event.head.id == event and flight.number == 1 and now < 2
        return status(503, 0.35) if first else WELL

    return behave


def test_a_rate_limit_counts_what_was_noted_when_it_is_sent() -> None:
    limited = {**QUICK, "rate_limit": plan.RateLimit(requests=10, per=1.0, burst=2)}
    world = World(route(limited), behaving())
    world.disk = (0.001, 0.3)
    many = [f"e{number}" for number in range(1, 20)]

    world.live(lambda life: together(life, *many))

    assert events(world, "slow") == many
    assert judge(world.history) == []


def test_what_a_crash_found_in_flight_is_not_sent_again_once_its_saga_has_failed_and_is_undone() -> None:
    world = World(route(QUICK), behaving(slow=Lost(NEVER), bad=NO))

    async def crashing(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(1.0)

    world.live(crashing)
    world.live(to_the_end)

    assert sorted(asked(world)) == ["bad", "slow", "slow.compensate"]
    assert states(world) == {"slow": "Skipped", "bad": "Dead", "slow.compensate": "Delivered"}


def test_a_start_that_was_noted_before_a_crash_is_taken_for_one_that_was_made() -> None:
    """Between the commit and the sending nobody can tell: the one case in which what was never asked is undone."""
    world = World(route({**QUICK, "timeouts": {"total": 3.0}}), behaving())
    world.disk = SLOW_DISK

    async def until_it_is_noted(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(0.15)
        assert (life.disk.phase, noted(life)) == ("done", 1)

    world.live(until_it_is_noted)
    world.disk = (0.0, 0.0)
    world.plan = msgspec.structs.replace(world.plan, suspend=True, revision="suspended")

    async def expired(life: Life) -> None:
        await asyncio.sleep(5.0)
        life.adopt(msgspec.structs.replace(world.plan, suspend=False, revision="resumed"))
        await to_the_end(life)

    world.live(expired)

    assert events(world, "slow") == []
    assert states(world)["slow.compensate"] == "Delivered"
    assert judge(world.history) == []


def test_one_event_costs_one_commit_more_for_what_can_be_undone() -> None:
    commits: list[int] = []
    for behind in ((), (undo("slow"),)):
        world = World(a_plan(step("slow"), step("b", "slow"), behind=behind), behaving())
        world.live(one_event)
        commits.append(sum(1 for one in world.history.log if type(one).__name__ == "Committed"))

    assert commits[1] - commits[0] in (1, 2)


def test_who_waits_for_a_target_that_is_called_off_after_an_attempt_hears_so() -> None:
    both = a_plan(step("slow", capture=64), step("bad"), behind=(undo("slow"),), respond=a_wait("slow", timeout=30.0))
    world = World(both, behaving(slow=status(503, 0.1), bad=status(422, 0.05)))

    async def story(life: Life) -> None:
        told = await life.ask("e1")
        assert isinstance(told, Settled)
        assert [(one.state, one.reason) for one in told.heard] == [(State.SKIPPED, "CalledOff")]
        assert life.now() < 1.0
        await to_the_end(life)

    world.live(story)
