"""A target's ``delay``: not before so long after acceptance, whatever happens meanwhile."""

from fanout_dispatcher.transport.memory import status
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target

HOUR = 3600.0


def asked(world: World, target: str) -> list[float]:
    """When the target was asked, in engine time."""
    return [one.at for one in world.history.sent if one.target == target]


def test_a_delayed_target_is_asked_at_its_time_and_its_siblings_at_once() -> None:
    world = World(a_plan("a", a_target("b", delay=HOUR)), lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        await life.post("e1")
        await life.settle()

    world.live(story)

    assert asked(world, "a")[0] < 1.0
    assert HOUR <= asked(world, "b")[0] < HOUR + 1.0


def test_a_delay_runs_on_through_a_crash() -> None:
    world = World(a_plan(a_target("b", delay=HOUR)), lambda target, flight, now: status(200))

    async def crashed(life: Life) -> None:
        await life.post("e1")

    async def story(life: Life) -> None:
        await life.settle()

    world.live(crashed)
    world.live(story)

    assert len(asked(world, "b")) == 1
    assert HOUR <= asked(world, "b")[0] < HOUR + 1.0


def test_a_delay_within_a_graph_is_there_from_acceptance_on() -> None:
    """The crash comes with the answer, before anything else is written."""
    world = World(a_plan(a_target("b", delay=HOUR), a_target("c", depends_on=("b",))), lambda *_: status(200))

    async def crashed(life: Life) -> None:
        await life.post("e1")

    async def story(life: Life) -> None:
        await life.settle()

    world.live(crashed)
    world.live(story)

    assert HOUR <= asked(world, "b")[0] < HOUR + 1.0


def test_a_replay_is_not_delayed_again() -> None:
    world = World(a_plan(a_target("b", delay=HOUR)), lambda target, flight, now: status(422 if now < HOUR + 5 else 200))

    async def story(life: Life) -> None:
        await life.post("e1")
        await life.settle()
        assert await life.desk.replay(DeadLetterFilter(target="b"))
        await life.settle(patience=60)

    world.live(story)

    assert len(asked(world, "b")) == 2


def test_what_waits_for_its_delay_does_not_hold_up_what_came_later() -> None:
    """The delay is shortened while an event waits: the next one is not kept behind it."""
    world = World(a_plan(a_target("b", delay=HOUR)), lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        await life.post("e1")
        life.engine.adopt(a_plan(a_target("b"), revision="2"), {})
        await life.post("e2")
        await life.settle()

    world.live(story)

    assert [one.event for one in world.history.sent] == ["e2", "e1"]
