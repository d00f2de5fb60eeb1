"""A target that takes batches: many deliveries in one request, and each of them as safe as by itself."""

import asyncio

import pytest

from fanout_crds.plan import Batch, RateLimit, Target
from fanout_dispatcher.transport.memory import Reply, fault, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Fault
from tests.sim.checkers import judge
from tests.sim.history import Sent
from tests.sim.senders import members
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, a_target

OFF = {"enabled": False}
BACKOFF = {"type": "Constant", "base_delay": 1.0, "max_delay": 1.0, "jitter": "None"}


def batching(*, events: int = 4, size: int = 1 << 20, wait: float = 0.5, **policy: object) -> Target:
    """Target a, which takes batches."""
    batch = Batch(max_events=events, max_bytes=size, max_wait=wait)
    said = {"batch": batch, "circuit_breaker": OFF, "retry": {"backoff": BACKOFF}}
    return a_target("a", policy={**said, **policy})


def a_world(target: Target, behave: Behave | None = None, **plan: object) -> World:
    return World(a_plan(target, **plan), behave or (lambda name, flight, now: status(200, 0.01)))


def requests(world: World) -> list[list[str]]:
    """The events of each request that the target got, in order."""
    sent = world.history.sent
    return [[one.event for one in sent[lead.n : lead.n + lead.shared]] for lead in sent if lead.leads]


def leads(world: World) -> list[Sent]:
    return [one for one in world.history.sent if one.leads]


def rejecting(*poison: str, code: int = 422) -> Behave:
    """It rejects a batch for any of these events."""

    def behave(name: str, flight: Flight, now: float) -> Reply:
        spoilt = any(event.head.id in poison for event, _ in members(flight))
        return status(code if spoilt else 200, 0.01)

    return behave


async def posted(life: Life, number: int, *, first: int = 0) -> None:
    await asyncio.gather(*(life.post(f"e{one}") for one in range(first, first + number)))


async def seen_through(life: Life) -> None:
    await life.settle()
    await life.look()


def test_events_that_come_together_go_in_one_request_and_the_last_ones_wait_for_others() -> None:
    world = a_world(batching())

    async def story(life: Life) -> None:
        await posted(life, 6)
        await asyncio.sleep(0.2)
        await life.post("e6")
        await seen_through(life)

    world.live(story)

    assert requests(world) == [["e0", "e1", "e2", "e3"], ["e4", "e5", "e6"]]
    first, second = leads(world)
    assert first.at < 0.05
    assert 0.5 <= second.at < 0.55, "half a second after e4 came in"
    assert set(world.history.states["e6"].values()) == {"Delivered"}
    assert judge(world.history) == []


def test_without_a_wait_a_batch_takes_along_what_is_there() -> None:
    world = a_world(batching(wait=0.0, bulkhead={"max_concurrent": 1}))

    async def story(life: Life) -> None:
        await life.post("e0")
        await posted(life, 3, first=1)
        await seen_through(life)

    world.live(story)

    assert requests(world) == [["e0"], ["e1", "e2", "e3"]]


def test_a_backlog_leaves_in_full_batches() -> None:
    world = a_world(batching(events=100, wait=0.05, size=1 << 20), suspend=True)

    async def story(life: Life) -> None:
        await posted(life, 1000)
        life.adopt(a_plan(batching(events=100, wait=0.05), revision="2", generation=2))
        await seen_through(life)

    world.live(story)

    assert [len(one) for one in requests(world)] == [100] * 10
    assert judge(world.history) == []


@pytest.mark.parametrize("events", [1, 300, 1000])
def test_a_batch_may_be_of_any_size_that_the_manifest_says(events: int) -> None:
    world = a_world(batching(events=events, wait=0.0), suspend=True)

    async def story(life: Life) -> None:
        await posted(life, 1000)
        life.adopt(a_plan(batching(events=events, wait=0.2), revision="2", generation=2))
        await seen_through(life)

    world.live(story)

    assert max(len(one) for one in requests(world)) == events
    assert judge(world.history) == []


def test_what_waits_for_company_survives_a_crash_and_a_restart() -> None:
    world = a_world(batching(events=100, wait=5.0))

    async def crashed(life: Life) -> None:
        await posted(life, 5)
        await asyncio.sleep(1.0)

    async def stopped(life: Life) -> None:
        await posted(life, 2, first=5)
        await life.drain(5.0)

    world.live(crashed)
    world.live(stopped)
    world.live(seen_through)

    assert [sorted(one) for one in requests(world)] == [[f"e{number}" for number in range(7)]]
    assert judge(world.history) == []


def test_one_poisoned_event_is_all_that_dies() -> None:
    world = a_world(batching(events=16), rejecting("e5"))

    async def story(life: Life) -> None:
        await posted(life, 16)
        await seen_through(life)
        assert await life.reasons("a") == ["TargetRejected"]

    world.live(story)

    dead = [event for event, states in world.history.states.items() if states["a"] == "Dead"]
    assert dead == ["e5"]
    assert sorted(len(one) for one in requests(world)) == [1, 1, 2, 2, 4, 4, 8, 8, 16]
    assert judge(world.history) == []


def test_a_rejection_of_many_spends_no_attempt_of_any() -> None:
    world = a_world(batching(retry={"max_attempts": 1, "backoff": BACKOFF}), rejecting("e1"))

    async def story(life: Life) -> None:
        await posted(life, 4)
        await seen_through(life)
        assert await life.reasons("a") == ["TargetRejected"]

    world.live(story)

    assert {one.number for one in world.history.sent} == {1}


def test_a_target_that_rejects_everything_is_asked_less_than_twice_as_often_as_one_by_one() -> None:
    world = a_world(batching(events=8), lambda name, flight, now: status(404, 0.01))

    async def story(life: Life) -> None:
        await posted(life, 8)
        await seen_through(life)
        assert len(await life.reasons("a")) == 8

    world.live(story)

    assert len(requests(world)) == 15


def test_what_failed_together_is_tried_again_at_one_time_in_smaller_batches() -> None:
    world = a_world(batching(events=8), lambda name, flight, now: status(503 if now < 0.3 else 200, 0.01))

    async def story(life: Life) -> None:
        await posted(life, 8)
        await seen_through(life)

    world.live(story)

    assert [len(one) for one in requests(world)] == [8, 4, 4]
    assert {one.number for one in leads(world)[1:]} == {2}
    assert judge(world.history) == []


def test_an_event_that_makes_every_request_fail_is_alone_after_a_few_attempts() -> None:
    five = {"max_attempts": 5, "backoff": BACKOFF}
    world = a_world(batching(events=8, retry=five), rejecting("e3", code=500))

    async def story(life: Life) -> None:
        await posted(life, 8)
        await seen_through(life)
        assert await life.reasons("a") == ["AttemptsExhausted"]

    world.live(story)

    dead = [event for event, states in world.history.states.items() if states["a"] == "Dead"]
    assert dead == ["e3"]
    assert judge(world.history) == []


def test_to_the_circuit_a_batch_is_one_call() -> None:
    breaker = {"enabled": True, "consecutive_failures": 3, "open_duration": 30.0}
    one = {"max_concurrent": 1}
    world = a_world(
        batching(circuit_breaker=breaker, bulkhead=one), lambda name, flight, now: fault(Fault.CONNECT_FAILURE, 0.001)
    )

    async def story(life: Life) -> None:
        await posted(life, 8)
        await asyncio.sleep(0.5)
        assert life.target("a").circuit == "Closed", "two calls failed, and eight deliveries"
        await asyncio.sleep(5.0)
        assert life.target("a").circuit == "Open"

    world.live(story)

    assert [len(one) for one in requests(world)] == [4, 4, 2], "the third failure in a row opened it"


def test_to_the_rate_limit_and_the_bulkhead_a_batch_is_one_request() -> None:
    limit, one = RateLimit(requests=1, per=3.0, burst=2), {"max_concurrent": 1}
    world = a_world(batching(rate_limit=limit, bulkhead=one), lambda name, flight, now: status(200, 1.0))

    async def story(life: Life) -> None:
        await posted(life, 12)
        await seen_through(life)

    world.live(story)

    assert [round(one.at) for one in leads(world)] == [0, 1, 3]
    assert judge(world.history) == []


def test_what_expires_while_it_waits_dies_and_the_others_go() -> None:
    world = a_world(batching(wait=0.0, timeouts={"attempt": 10.0, "total": 60.0}), suspend=True)

    async def story(life: Life) -> None:
        await life.post("e0")
        await asyncio.sleep(58.0)
        await posted(life, 2, first=1)
        await asyncio.sleep(1.5)
        life.adopt(a_plan(batching(wait=1.0, timeouts={"attempt": 10.0, "total": 60.0}), revision="2", generation=2))
        await seen_through(life)
        assert await life.reasons("a") == ["Expired"]

    world.live(story)

    assert requests(world) == [["e1", "e2"]]


def test_a_manifest_that_takes_batches_back_sends_one_by_one_what_was_rejected_together() -> None:
    world = a_world(batching(events=8), rejecting("e3"))

    async def story(life: Life) -> None:
        await posted(life, 8)
        await asyncio.sleep(0.005)
        life.adopt(a_plan(a_target("a", policy={"circuit_breaker": OFF}), revision="2", generation=2))
        await seen_through(life)
        assert await life.reasons("a") == ["TargetRejected"]

    world.live(story)

    assert [len(one) for one in requests(world)] == [8] + [1] * 8
    assert judge(world.history) == []


def test_what_is_rejected_together_while_its_target_ends_is_given_up_as_such() -> None:
    world = a_world(batching(events=8), lambda name, flight, now: status(422, 60.0))

    async def story(life: Life) -> None:
        await posted(life, 8)
        life.adopt(a_plan("b", revision="2", generation=2))
        await asyncio.sleep(120)
        await life.look()
        assert set(await life.reasons("a")) <= {"TargetRemoved", "TargetRejected"}
        assert len(await life.reasons("a")) == 8

    world.live(story)


def test_large_events_fill_a_batch_by_their_bytes() -> None:
    world = a_world(batching(events=100, size=4000))

    async def story(life: Life) -> None:
        await asyncio.gather(*(life.post(f"e{number}", b'"' + b"x" * 1500 + b'"') for number in range(6)))
        await seen_through(life)

    world.live(story)

    assert [len(one) for one in requests(world)] == [2, 2, 2]
    assert all(one.size <= 4000 for one in leads(world))
