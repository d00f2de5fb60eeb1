"""Events under way while their route changes: another durability, steps and targets that are gone.

What an event owes was frozen when it came in. Its later steps are nobody's delivery until their turn comes, and by then
the plan may be another.
"""

import asyncio

import msgspec
import pytest

from fanout_crds.plan import Behind, Plan
from fanout_dispatcher.telemetry.seam import CircuitChanged
from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Settled, Told
from fanout_dispatcher.values.event import State
from tests.sim.drawing import STATIC
from tests.sim.graphs import NO, WELL, asked, behaving, final, states, step, undo
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, a_target, a_wait

PATIENT = {"retry": {"max_attempts": None}, "timeouts": {"total": 3600.0}, "circuit_breaker": {"enabled": False}}
LONG = 60.0  # seconds: a target that was taken out of its route is gone by then


def until(heal: float, **later: Reply) -> Behave:
    """Target a fails until world time *heal*; then all answer well, or what they *later* do."""

    def behave(target: str, flight: Flight, now: float) -> Reply:
        if target == "a" and now < heal:
            return status(503)
        return later.get(target, WELL)

    return behave


def edited(plan: Plan, **changes: object) -> Plan:
    return msgspec.structs.replace(plan, revision="2", generation=2, **changes)


async def to_the_end(life: Life) -> None:
    await asyncio.sleep(LONG)
    await life.settle(1000)
    await life.look()


def live(world: World, plan: Plan, *, restarted: bool = False, after: float = 40.0) -> None:
    """An event, and soon after it *plan* in place of its own; *restarted* some seconds *after* that."""

    async def under_way(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(2)
        world.plans = {plan.key: plan}
        life.adopt(plan)
        await asyncio.sleep(after)
        if not restarted:
            await to_the_end(life)

    world.live(under_way)
    if restarted:
        world.live(to_the_end)


# --- another durability -----------------------------------------------------------------------------------------------


def a_saga() -> Plan:
    return a_plan(a_target("a", policy=PATIENT), step("b", "a"), behind=(undo("a"), final("z")))


@pytest.mark.parametrize("restarted", [False, True])
@pytest.mark.parametrize("refuses", [False, True])
def test_a_saga_goes_on_as_it_began_when_its_route_keeps_events_in_memory(*, restarted: bool, refuses: bool) -> None:
    world = World(a_saga(), until(50.0, **({"b": NO} if refuses else {})))

    live(world, edited(a_saga(), durability="Memory"), restarted=restarted)

    assert states(world) == {
        "a": "Delivered",
        "b": "Dead" if refuses else "Delivered",
        "a.compensate": "Delivered" if refuses else "Skipped",
        "finally.z": "Delivered",
    }
    assert asked(world)[-1] == "finally.z"


def test_lanes_of_the_other_durability_go_with_the_last_that_owes_something() -> None:
    world = World(a_saga(), until(30.0))

    async def story(life: Life) -> None:
        await life.post("e1")
        life.adopt(edited(a_saga(), durability="Memory"))
        await asyncio.sleep(20)
        assert len(life.engine.table.lanes) == 8
        assert life.target("a").pending == 1
        await to_the_end(life)
        await asyncio.sleep(2)
        assert {book for book, _, _ in life.engine.table.lanes} == {life.engine.memory}

    world.live(story)


def test_dead_letters_of_the_other_durability_are_counted_when_nothing_else_is_left_there() -> None:
    world = World(a_plan(step("a")), behaving(a=NO))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(2)
        life.adopt(edited(world.plan, durability="Memory"))
        await life.post("e2")
        await asyncio.sleep(5)
        assert {book for book, _, _ in life.engine.table.lanes} == {life.engine.memory}
        assert life.target("a").dead_letters == 2
        assert [meter.dead_letters for meter in life.desk.lane_meters()] == [2]

    world.live(story)


# --- targets that are gone --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
def test_a_step_that_is_gone_and_whose_condition_has_no_value_stops_nobody_else(*, restarted: bool) -> None:
    a, c = a_target("a", policy=PATIENT, keep=64), step("c", "a")
    world = World(a_plan(a, step("b", "a", when="targets.a.body.total > 3"), c), until(50.0))

    live(world, edited(world.plan, targets=(a, c)), restarted=restarted)

    assert states(world) == {"a": "Delivered", "b": "Dead", "c": "Delivered"}


@pytest.mark.parametrize("restarted", [False, True])
def test_of_two_steps_that_are_gone_the_first_fails_the_saga_and_the_other_is_called_off(*, restarted: bool) -> None:
    a, behind = a_target("a", policy=PATIENT), (undo("a"), final("z"))
    world = World(a_plan(a, step("b", "a"), step("c", "a"), behind=behind), until(50.0))

    live(world, edited(world.plan, targets=(a,)), restarted=restarted)

    assert states(world) == {
        "a": "Delivered",
        "b": "Dead",
        "c": "Skipped",
        "a.compensate": "Delivered",
        "finally.z": "Delivered",
    }
    assert asked(world)[-2:] == ["a.compensate", "finally.z"]


@pytest.mark.parametrize("restarted", [False, True])
def test_a_step_that_is_gone_fails_the_saga_and_the_one_beside_it_is_called_off(*, restarted: bool) -> None:
    a, c, behind = a_target("a", policy=PATIENT), step("c", "a"), (undo("a"), final("z"))
    world = World(a_plan(a, step("b", "a"), c, behind=behind), until(50.0))

    live(world, edited(world.plan, targets=(a, c)), restarted=restarted)

    assert "c" not in asked(world)
    assert states(world)["c"] == "Skipped"
    assert asked(world)[-2:] == ["a.compensate", "finally.z"]


def test_what_stands_in_for_a_target_that_is_gone_is_not_the_answer_of_another_one() -> None:
    a = a_target("a", policy=PATIENT, keep=64)
    other, stands_in = step("b", static=STATIC), Behind(role="Fallback", of="a", target=a_target("a.fallback"))
    reads = step("c", "a", on_dead="Continue", when="targets.a.state == 'Delivered'")
    world = World(
        a_plan(other, msgspec.structs.replace(a, on_dead="Continue"), reads, behind=(stands_in,)), until(50.0)
    )

    live(
        world,
        edited(world.plan, targets=(other, msgspec.structs.replace(reads, depends_on=())), behind=()),
        restarted=True,
        after=5.0,
    )

    assert {name: state for name, state in states(world).items() if name != "b"} == {
        "a": "Dead",
        "a.fallback": "Dead",
        "c": "Skipped",
    }


# --- steps that are other ones ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("restarted", [False, True])
def test_a_static_answer_that_was_taken_away_stands_in_for_nobody(*, restarted: bool) -> None:
    """The event is a dead letter: else it would be gone, and nothing said in its place."""
    policy = {
        "retry": {"max_attempts": 3, "backoff": {"type": "Constant", "base_delay": 30.0, "jitter": "None"}},
        "circuit_breaker": {"enabled": False},
    }
    a, reader = a_target("a", policy=policy, keep=64), step("b", "a", when="targets.a.state == 'Dead'")
    world = World(a_plan(msgspec.structs.replace(a, static=STATIC), reader), behaving(a=status(503)))

    async def found(life: Life) -> None:
        await to_the_end(life)
        assert await life.reasons("a") == ["AttemptsExhausted"]

    async def under_way(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(2)
        world.plan = edited(world.plan, targets=(a, reader))
        life.adopt(world.plan)
        await asyncio.sleep(20)
        if not restarted:
            await found(life)

    world.live(under_way)
    if restarted:
        world.live(found)

    view = world.history.events[world.history.accepted["e1"]]
    assert view is not None
    assert [(one.target, one.state, one.reason) for one in view.deliveries] == [
        ("a", "Dead", "AttemptsExhausted"),
        ("b", "Delivered", None),
    ]


# --- callers of the other durability ----------------------------------------------------------------------------------


@pytest.mark.parametrize("static", [False, True])
def test_a_caller_hears_nothing_of_the_circuit_before_events_that_came_in_under_the_other_durability(
    *, static: bool
) -> None:
    policy = {
        "retry": {"backoff": {"type": "Constant", "base_delay": 1.0, "jitter": "None"}, "max_attempts": None},
        "circuit_breaker": {"consecutive_failures": 4},
    }
    a = a_target("a", policy=policy, capture=64, static=STATIC if static else None)
    behind = () if static else (Behind(role="Fallback", of="a", target=a_target("a.fallback", capture=64)),)
    plan = a_plan(a, behind=behind, respond=a_wait("a"))
    world = World(plan, until(3.3))
    heard: list[Told] = []

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(2.5)
        life.adopt(edited(plan, durability="Memory"))
        heard.append(await life.ask("e2"))  # tried at once and a second later; meanwhile the other circuit opens
        await to_the_end(life)

    world.live(story)

    assert any(isinstance(one, CircuitChanged) and one.after == "Open" for one in world.seam.changes)
    assert isinstance(heard[0], Settled)
    assert [(one.target, State.NAMES[one.state], one.fallback) for one in heard[0].heard] == [("a", "Delivered", False)]
    assert states(world)["a"] == "Delivered"


@pytest.mark.parametrize("stood_in", [False, True])
def test_a_caller_hears_at_once_that_the_target_of_a_step_is_gone(*, stood_in: bool) -> None:
    """What would have stood in for it has gone with it."""
    slow = {"timeouts": {"attempt": 100.0, "total": 1000.0}}
    a, other = (
        a_target("a", capture=64, policy=slow),
        Behind(role="Fallback", of="b", target=a_target("b.fallback", capture=64)),
    )
    behind = (other,) if stood_in else ()
    plan = a_plan(a, step("b", "a", capture=64), behind=behind, respond=a_wait("a", "b", timeout=300.0))
    world = World(plan, behaving(a=status(200, 45.0)))
    heard: list[tuple[float, Told]] = []

    async def story(life: Life) -> None:
        answer = life.ask("e1")
        answer.add_done_callback(lambda done: heard.append((life.now(), done.result())))
        await asyncio.sleep(1)
        life.adopt(edited(plan, targets=(a,), behind=(), respond=a_wait("a", timeout=300.0)))
        await to_the_end(life)

    world.live(story)

    ((at, told),) = heard
    assert isinstance(told, Settled)
    assert [(State.NAMES[one.state], one.reason) for one in told.heard] == [
        ("Delivered", ""),
        ("Dead", "TargetRemoved"),
    ]
    assert 45.0 < at < 46.0
