"""What a person sets a circuit to, in the whole engine: forced open holds, a dry run only shows.

And where a new plan asks for fewer good probes, those that there were may be enough.
"""

import asyncio

from fanout_crds.plan import Target
from fanout_dispatcher.telemetry.seam import CircuitChanged
from fanout_dispatcher.transport.memory import status
from fanout_dispatcher.values.outcome import Reason
from tests.sim.checkers import judge
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target


def test_deliveries_are_held_while_a_circuit_is_forced_open_and_go_when_it_no_longer_is() -> None:
    forced = a_target("a", policy={"circuit_breaker": {"mode": "ForcedOpen"}})
    world = World(a_plan(forced), lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        for number in range(20):
            life.post(f"e{number}")
        await asyncio.sleep(3600)
        shown = life.target("a")
        assert (shown.circuit, shown.held, shown.held_until, shown.pending) == ("Open", "CircuitOpen", None, 20)
        life.engine.adopt(a_plan("a", revision="2"), {})
        await life.settle(patience=5)

    world.live(story)

    assert len(world.history.sent) == 20


def test_what_is_held_too_long_expires_although_nothing_is_ever_sent() -> None:
    policy = {"circuit_breaker": {"mode": "ForcedOpen"}, "timeouts": {"total": 60.0}}
    world = World(a_plan(a_target("a", policy=policy)), lambda target, flight, now: status(200))

    async def story(life: Life) -> None:
        life.post("e1")
        await life.settle(patience=70)
        assert await life.reasons("a") == [Reason.EXPIRED]

    world.live(story)

    assert world.history.sent == []


def test_why_a_circuit_opened_is_said_when_it_opens_and_not_when_it_closes() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(503))

    async def story(life: Life) -> None:
        for number in range(20):
            life.post(f"e{number}")
        await asyncio.sleep(5)
        world.behave = lambda target, flight, now: status(200)
        life.engine.adopt(a_plan(a_target("a", url="http://127.0.0.1:1/new"), revision="2"), {})
        await life.settle(patience=60)

    world.live(story)

    told = [(one.after, one.why) for one in world.seam.changes if isinstance(one, CircuitChanged)]
    assert (told[0], told[-1]) == (("Open", "503"), ("Closed", ""))


def test_a_dry_run_shows_an_open_circuit_and_holds_nothing() -> None:
    policy = {"circuit_breaker": {"mode": "DryRun"}, "retry": {"max_attempts": 3}}
    world = World(a_plan(a_target("a", policy=policy)), lambda target, flight, now: status(503))

    async def story(life: Life) -> None:
        for number in range(20):
            life.post(f"e{number}")
        await asyncio.sleep(5)
        shown = life.target("a")
        assert (shown.circuit, shown.held, shown.held_until, shown.pending) == ("Open", None, None, 0)
        assert shown.dry_run
        assert await life.reasons("a") == [Reason.ATTEMPTS_EXHAUSTED] * 20

    world.live(story)

    assert len(world.history.sent) == 60


def test_a_circuit_whose_probes_are_enough_by_a_new_plan_lets_everything_pass_at_once() -> None:
    def probed(threshold: int) -> Target:
        breaker = {"open_duration": 1.0, "half_open": {"max_calls": 3, "success_threshold": threshold}}
        return a_target("a", policy={"circuit_breaker": breaker, "retry": {"max_attempts": 1}})

    world = World(a_plan(probed(3)), lambda target, flight, now: status(503))

    async def story(life: Life) -> None:
        for number in range(5):
            life.post(f"bad{number}")
        await asyncio.sleep(2.0)
        world.behave = lambda target, flight, now: status(200)
        for number in range(2):
            life.post(f"good{number}")
        await asyncio.sleep(1.0)
        assert (life.target("a").circuit, life.target("a").pending) == ("HalfOpen", 0)
        life.adopt(a_plan(probed(2), revision="2"))
        for number in range(20):
            life.post(f"more{number}")
        await life.settle(patience=2)
        await life.look()

    world.live(story)

    assert judge(world.history) == []
