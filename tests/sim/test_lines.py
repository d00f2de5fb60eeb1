"""Callers in line for a slot of a target's bulkhead, in virtual time: who may stand there, and who is told to go."""

import asyncio
import typing

import pytest

from fanout_crds.plan import Adaptive, Idempotency, Plan
from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Ending, Repeated, Settled, Told, Turned
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait, changed

Answer = asyncio.Future[Told]


def a_route(slots: int, queue: int | None, *, timeout: float = 60.0, **more: typing.Any) -> Plan:
    """A target *a* with so many slots and places in line, and a target *b* without a bound."""
    bulkhead = {"max_concurrent": slots, "max_queue": queue}
    a = a_target("a", policy={"bulkhead": bulkhead}, **more)
    return a_plan(a, a_target("b"), respond=a_wait("a", "b", timeout=timeout))


def slow(target: str, flight: Flight, now: float) -> Reply:
    """*a* takes a second."""
    return status(200, 1.0 if target == "a" else 0.0)


def play(plan: Plan, story: typing.Callable[[Life], typing.Coroutine[typing.Any, typing.Any, None]]) -> World:
    world = World(plan, slow)
    world.live(story)
    return world


def refused(answers: list[Answer]) -> list[str]:
    told = [one.result() for one in answers if one.done()]
    return [one.reason for one in told if isinstance(one, Turned)]


@pytest.mark.parametrize(("slots", "queue"), [(1, 0), (2, 0), (2, 3)])
def test_in_one_burst_as_many_are_taken_as_there_are_slots_and_places(slots: int, queue: int) -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        answers.extend(life.ask(f"e{number}") for number in range(10))
        await asyncio.sleep(30)

    world = play(a_route(slots, queue), story)

    assert refused(answers) == ["BulkheadFull"] * (10 - slots - queue)
    assert len(world.history.accepted) == slots + queue, "of the others nothing is kept"
    assert {one.event for one in world.history.sent} == {f"e{number}" for number in range(slots + queue)}


def test_without_the_field_any_number_may_wait() -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        answers.extend(life.ask(f"e{number}") for number in range(10))
        await asyncio.sleep(30)

    play(a_route(1, None), story)

    assert [type(one.result()) for one in answers] == [Settled] * 10


def test_who_is_refused_is_told_which_target_and_when_to_come_back() -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        answers.extend(life.ask(f"e{number}") for number in range(2))
        await asyncio.sleep(5)

    play(a_route(1, 0), story)
    said = answers[1].result()

    assert isinstance(said, Turned)
    assert (said.status, said.retry_after) == (503, 1)
    assert said.detail.startswith("target a has no slot free and as many callers in line as bulkhead.maxQueue lets, 0")


def test_a_place_is_free_again_when_somebody_comes_to_a_slot() -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        for number in range(6):
            answers.append(life.ask(f"e{number}"))
            await asyncio.sleep(0.5)
        await asyncio.sleep(30)

    play(a_route(1, 1), story)

    assert len(refused(answers)) == 2, "one a second is served, two a second come, and two places are there at first"
    assert sum(isinstance(one.result(), Settled) for one in answers) == 4


def test_who_has_an_answer_or_hangs_up_leaves_the_line() -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        answers.extend(life.ask(f"e{number}") for number in range(3))
        await asyncio.sleep(0.1)
        gone = life.callers["e1"]
        assert gone is not None
        gone.leave()
        answers.append(life.ask("in its place"))
        answers.append(life.ask("one too many"))
        await asyncio.sleep(0.5)
        answers.extend(life.ask(f"after the timeout {number}") for number in range(3))
        await asyncio.sleep(30)

    play(a_route(1, 2, timeout=0.4), story)

    assert isinstance(answers[3].result(), Settled)
    assert refused(answers[4:5]) == ["BulkheadFull"]
    assert refused(answers[5:]) == ["BulkheadFull"], "the slot is taken, and both places are free"
    ended = [one.result() for one in answers[:1]]
    assert [one.ending for one in ended if isinstance(one, Settled)] == [Ending.TIMEOUT]


def test_an_event_that_is_not_for_the_target_needs_no_place() -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        answers.append(life.ask("e0"))
        answers.extend(life.ask(f"x{number}") for number in range(3))
        await asyncio.sleep(10)

    play(a_route(1, 0, when="event.id.startsWith('e')"), story)

    assert refused(answers) == []


def test_deliveries_that_nobody_waits_for_take_slots_and_no_places() -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        for number in range(4):
            life.post(f"p{number}")
        await asyncio.sleep(0.1)
        answers.extend(life.ask(f"e{number}") for number in range(2))
        await asyncio.sleep(30)

    world = play(a_route(1, 1), story)

    assert refused(answers) == ["BulkheadFull"]
    assert len(world.history.accepted) == 5


def test_the_line_outlives_a_change_of_plan() -> None:
    answers: list[Answer] = []

    async def story(life: Life) -> None:
        answers.extend(life.ask(f"e{number}") for number in range(3))
        await asyncio.sleep(0.1)
        life.adopt(changed(life.world.plan, {"revision": "r2", "generation": 2}))
        answers.append(life.ask("after"))
        await asyncio.sleep(30)

    play(a_route(1, 2), story)

    assert refused(answers) == ["BulkheadFull"]


def test_an_adaptive_limit_is_what_counts_as_slots() -> None:
    answers: list[Answer] = []
    plan = a_route(8, 0)
    a = changed(plan.targets[0], {"policy": {"bulkhead": {"adaptive": Adaptive(min=2, initial=2, max=2)}}})
    plan = changed(plan, {"targets": (a, plan.targets[1])})

    async def story(life: Life) -> None:
        answers.extend(life.ask(f"e{number}") for number in range(5))
        await asyncio.sleep(30)

    play(plan, story)

    assert len(refused(answers)) == 3


def test_events_under_a_key_stand_in_the_same_line_and_a_refused_one_may_come_again() -> None:
    plan = changed(a_route(1, 0), {"idempotency": Idempotency(ttl=3600.0, max_keys=100)})
    heard: list[Told | Repeated] = []

    async def story(life: Life) -> None:
        route = life.engine.route_at(plan.path)
        assert route is not None
        for name, pause in (("one", 0.2), ("two", 5.0), ("two", 5.0)):
            life.wait(name, b"{}", route, key=name, hear=heard.append)
            await asyncio.sleep(pause)

    world = play(plan, story)

    assert [one.reason for one in heard if isinstance(one, Turned)] == ["BulkheadFull"]
    assert len(heard) == 3
    assert [one.event for one in world.history.sent if one.target == "a" and one.yes] == ["one", "two"]
