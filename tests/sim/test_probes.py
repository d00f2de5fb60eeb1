"""What becomes of a delivery whose probe failed: held while its circuit is open, an attempt like any other if not."""

import asyncio

import pytest

from fanout_crds.plan import Batch, Target
from fanout_dispatcher.transport.memory import NEVER, Reply, status
from fanout_dispatcher.transport.protocol import Flight
from tests.sim.checkers import judge
from tests.sim.history import Sent
from tests.sim.senders import members
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target

WAIT = 30.0  # seconds before a retry
BATCH = Batch(max_events=5, max_bytes=1 << 20, max_wait=0.0)


def a_probed_target(most: int = 2, *, probes: int = 1, batch: Batch | None = None) -> Target:
    """Open for a second after five failures; a probe may be out for five, and an attempt takes up to ten."""
    backoff = {"type": "Constant", "base_delay": WAIT, "max_delay": WAIT, "jitter": "None"}
    half_open = {"max_calls": probes, "success_threshold": probes, "max_wait": 5.0}
    said = {
        "circuit_breaker": {"open_duration": 1.0, "half_open": half_open},
        "retry": {"max_attempts": most, "backoff": backoff},
        "timeouts": {"attempt": 10.0},
        "batch": batch,
    }
    return a_target("a", policy=said)


def attempts(world: World, event: str) -> list[Sent]:
    return [one for one in world.history.sent if one.event == event]


@pytest.mark.parametrize("batch", [None, BATCH], ids=["alone", "in a batch"])
def test_a_probe_that_fails_when_others_have_closed_the_circuit_is_spent_and_waits(batch: Batch | None) -> None:
    """It hangs, and is given up by its circuit sooner than by its deadline."""

    def behave(target: str, flight: Flight, now: float) -> Reply:
        events = {event.head.id for event, _ in members(flight)} if batch else {flight.event.head.id}
        if "hangs" in events:
            return NEVER
        return status(200 if now > 1.0 else 503, 0.01)

    world = World(a_plan(a_probed_target(batch=batch)), behave)

    async def story(life: Life) -> None:
        for number in range(5):
            life.post(f"e{number}")
            await asyncio.sleep(0.1)
        await asyncio.sleep(1.5)
        life.post("hangs")
        await asyncio.sleep(1.0)
        life.post("another")
        await asyncio.sleep(6.5)
        assert (life.target("a").circuit, life.target("a").in_flight) == ("Closed", 1)
        await life.settle(patience=300)
        await life.look()
        assert await life.reasons("a") == ["AttemptsExhausted"]

    world.live(story)

    hung = attempts(world, "hangs")
    assert [one.number for one in hung] == [1, 2]
    assert hung[1].at - hung[0].at >= 10.0 + WAIT
    assert judge(world.history) == []


def test_probes_that_fail_one_after_the_other_are_all_unspent() -> None:
    """The first of them opens the circuit, and the others find it so."""
    probing = a_probed_target(1, probes=3)
    world = World(a_plan(probing), lambda target, flight, now: status(503 if now < 20.0 else 200, 0.01))

    async def story(life: Life) -> None:
        for number in range(5):
            life.post(f"e{number}")
        await asyncio.sleep(0.9)
        for number in range(3):
            life.post(f"held{number}")
        await life.settle(patience=60)
        await life.look()
        assert await life.reasons("a") == ["AttemptsExhausted"] * 5

    world.live(story)

    probes = [attempts(world, f"held{number}") for number in range(3)]
    assert min(len(one) for one in probes) > 1
    assert {one.number for several in probes for one in several} == {1}
    assert judge(world.history) == []
