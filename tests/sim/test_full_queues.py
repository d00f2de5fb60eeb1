"""Bounds of queues on routes with a graph (``policy.queue``), in virtual time: who is given up for them, and who waits.

A step that is one too many is a dead letter before any lane has heard of it, at acceptance or when its turn comes. Its
graph goes on as it does after any other step that was given up.
"""

import asyncio
import typing

import pytest

from fanout_crds.plan import Behind, Plan, Target
from fanout_dispatcher.transport.memory import status
from fanout_dispatcher.values.answers import Accepted, Settled, Turned
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.views import DeadLetterFilter, EventView
from tests.sim.drawing import STATIC
from tests.sim.graphs import behaving, final, step, undo
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, a_wait, changed

TURNED = {"timeouts": {"total": 0.0}, "circuit_breaker": {"enabled": False}, "queue": {"max_bytes": 4000}}
BODY = b"x" * 1000
NARROW = {"bulkhead": {"max_concurrent": 1}, "queue": {"max_bytes": 4000, "on_full": "DeadLetter"}}  # two may wait
SLOW = status(200, 9.0)


def narrow(target: Target) -> Target:
    return changed(target, {"policy": NARROW})


async def seen(life: Life, event: str) -> EventView:
    view = await life.desk.event(life.history.accepted[event])
    assert view is not None
    return view


async def became(life: Life, event: str) -> dict[str, str]:
    view = await seen(life, event)
    return {one.target: one.reason or one.state for one in view.deliveries}


async def flood(life: Life, count: int = 10) -> None:
    for number in range(count):
        assert isinstance(await life.post(f"e{number}", BODY), Accepted)


@pytest.mark.parametrize("graph", [False, True])
def test_what_is_too_much_for_a_queue_that_turns_nothing_away_is_a_dead_letter_with_and_without_a_graph(
    *, graph: bool
) -> None:
    world = World(a_plan(narrow(a_target("a")), behind=(final("z"),) if graph else ()), behaving(a=SLOW))

    async def story(life: Life) -> None:
        await flood(life, 50)
        shown = life.target("a")
        assert (shown.pending, shown.dead_letters) == (2, 48)
        assert await life.reasons("a") == ["QueueFull"] * 48
        await life.settle(1000)
        assert (await seen(life, "e49")).settled

    world.live(story)


def test_a_saga_is_undone_and_what_may_die_is_passed_over_when_there_is_no_room_at_acceptance() -> None:
    saga = a_plan(narrow(a_target("a")), step("b"), step("c", "a"), behind=(undo("b"), final("z")))
    goes_on = a_plan(narrow(a_target("a", on_dead="Continue")), step("b"), step("c", "a"), behind=(final("z"),))
    for plan, expected in (
        (saga, {"a": "QueueFull", "b": "NotReached", "c": "NotReached", "b.compensate": "NotNeeded"}),
        (goes_on, {"a": "QueueFull", "b": "Delivered", "c": "Delivered"}),
    ):
        world = World(plan, behaving(a=SLOW))
        found: dict[str, str] = {}

        async def story(life: Life, found: dict[str, str] = found) -> None:
            await flood(life)
            await life.settle(1000)
            found |= await became(life, "e9")

        world.live(story)

        assert found == {**expected, "finally.z": "Delivered"}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_step_is_a_dead_letter_whose_fallback_is_passed_over_since_another_one_fails_the_saga(
    *, at_once: bool
) -> None:
    after = () if at_once else ("a",)
    other = Behind(role="Fallback", of="b", target=a_target("b.fallback"))
    b, c = narrow(step("b", *after)), narrow(step("c", *after))
    world = World(a_plan(step("a"), b, c, behind=(other, undo("a"))), behaving(b=SLOW, c=SLOW))

    async def story(life: Life) -> None:
        await flood(life, 8)
        await life.settle(1000)
        undone = "NotNeeded" if at_once else "Delivered"
        assert await became(life, "e7") == {
            "a": "NotReached" if at_once else "Delivered",
            "b": "QueueFull",
            "c": "QueueFull",
            "b.fallback": "NotReached",
            "a.compensate": undone,
        }
        assert await life.reasons("b") == await life.reasons("c") == ["QueueFull"] * 6

    world.live(story)


@pytest.mark.parametrize("restarted", [False, True])
def test_a_saga_is_undone_when_there_is_no_room_for_a_step_whose_turn_has_come(*, restarted: bool) -> None:
    world = World(a_plan(step("a"), narrow(step("b", "a")), behind=(undo("a"),)), behaving(b=SLOW))

    async def story(life: Life) -> None:
        await flood(life, 10)
        await asyncio.sleep(0.5)

    async def to_the_end(life: Life) -> None:
        await life.settle(1000)
        assert await became(life, "e0") == {"a": "Delivered", "b": "Delivered", "a.compensate": "NotNeeded"}
        assert await became(life, "e9") == {"a": "Delivered", "b": "QueueFull", "a.compensate": "Delivered"}

    async def both(life: Life) -> None:
        await story(life)
        await to_the_end(life)

    if restarted:
        world.live(story)
    world.live(to_the_end if restarted else both)


def test_a_later_step_reads_why_an_earlier_one_never_went() -> None:
    reads = "targets.a.reason == 'QueueFull'"
    reader = step("c", "b", when=reads)
    a = narrow(a_target("a", keep=64, on_dead="Continue"))
    world = World(a_plan(a, step("b"), reader), behaving(a=SLOW, b=SLOW))

    async def story(life: Life) -> None:
        await flood(life, 4)
        await asyncio.sleep(1)

    async def later(life: Life) -> None:
        await life.settle(1000)
        assert await became(life, "e3") == {"a": "QueueFull", "b": "Delivered", "c": "Delivered"}

    world.live(story)
    world.live(later)


def with_fallback(*, static: bool) -> Plan:
    a = narrow(a_target("a", capture=64, static=STATIC if static else None))
    other = Behind(role="Fallback", of="a", target=narrow(a_target("a.fallback", capture=64)))
    return a_plan(a, behind=() if static else (other,), respond=a_wait("a", timeout=100.0))


@pytest.mark.parametrize("static", [False, True])
def test_what_stands_in_for_a_target_does_so_when_there_is_no_room_and_its_caller_hears_it(*, static: bool) -> None:
    world = World(with_fallback(static=static), behaving(a=SLOW))

    async def story(life: Life) -> None:
        await flood(life, 2)
        told = await life.ask("e", BODY)
        assert isinstance(told, Settled)
        (heard,) = told.heard
        assert (State.NAMES[heard.state], heard.fallback) == ("Delivered", True)
        assert life.now() < 1
        await life.settle(1000)
        assert (await became(life, "e"))["a"] == "FellBack"
        assert await life.desk.dead_letters(DeadLetterFilter()) == []
        assert [one.fell_back for one in life.desk.lane_meters() if one.fell_back] == [{"QueueFull": 1}]

    world.live(story)


def test_compensations_fallbacks_and_callbacks_wait_however_many_there_are() -> None:
    compensation, callback = undo("a"), final("z")
    behind = tuple(Behind(role=one.role, of=one.of, target=narrow(one.target)) for one in (compensation, callback))
    world = World(
        a_plan(step("a"), step("b", "a"), behind=behind),
        behaving(b=status(422, 0.01), a__compensate=SLOW, finally__z=SLOW),
    )

    async def story(life: Life) -> None:
        await flood(life, 8)
        await life.settle(1000)
        assert await life.reasons("b") == ["TargetRejected"] * 8
        assert [await became(life, f"e{number}") for number in range(8)] == [
            {"a": "Delivered", "b": "TargetRejected", "a.compensate": "Delivered", "finally.z": "Delivered"}
        ] * 8

    world.live(story)


@pytest.mark.parametrize("role", ["Final", "Compensation", "Fallback"])
def test_the_route_turns_events_away_when_what_stands_behind_its_targets_has_no_room(
    role: typing.Literal["Fallback", "Compensation", "Final"],
) -> None:
    """By its name, and only events that may come to it."""
    of = "" if role == "Final" else "a"
    name = {"Final": "finally.z", "Compensation": "a.compensate", "Fallback": "a.fallback"}[role]
    behind = Behind(role=role, of=of, target=a_target(name, policy=TURNED))
    a = a_target("a", when="data.a", on_dead="Continue" if role == "Fallback" else "Fail")
    world = World(
        a_plan(a, step("b", "a"), behind=(behind,)),
        lambda target, flight, now: status({"a": 422 if role == "Fallback" else 200, "b": 422}.get(target, 503)),
    )

    async def story(life: Life) -> None:
        body = b'{"a": true, "x": "%s"}' % BODY
        for number in range(2):
            assert isinstance(await life.post(f"e{number}", body), Accepted)
            await asyncio.sleep(1)
        turned = await life.post("e2", body)
        assert isinstance(turned, Turned)
        assert (turned.status, turned.reason) == (503, "QueueFull")
        assert f"target {name} cannot take more" in turned.detail
        other = await life.post("e3", b'{"a": false, "x": "%s"}' % BODY)
        assert isinstance(other, Turned if role == "Final" else Accepted)

    world.live(story)


def test_the_route_turns_events_away_when_the_dead_letters_of_a_callback_have_no_room() -> None:
    callback = changed(final("z"), {"target": {"policy": {"dead_letter": {"max_bytes": 1500}}}})
    world = World(a_plan("a", behind=(callback,)), behaving(finally__z=status(422)))

    async def story(life: Life) -> None:
        await flood(life, 1)
        await asyncio.sleep(1)
        turned = await life.post("e1", BODY)
        assert isinstance(turned, Turned)
        assert (turned.reason, "target finally.z" in turned.detail) == ("DeadLettersFull", True)

    world.live(story)


def test_an_event_that_cannot_be_written_leaves_nothing_of_what_was_given_up() -> None:
    world = World(a_plan(narrow(a_target("a", keep=64, on_dead="Continue")), step("b", "a")), behaving(a=SLOW))

    async def story(life: Life) -> None:
        await flood(life, 2)
        world.storage.trouble(1.0, world.chance)
        assert isinstance(await life.post("refused", BODY), Turned)
        world.storage.trouble(0.0, world.chance)
        await asyncio.sleep(5)
        shown = life.target("a")
        assert (shown.pending, shown.dead_letters) == (2, 0)
        assert await life.reasons("a") == []

    world.live(story)


def test_a_caller_hears_why_a_step_never_went() -> None:
    world = World(
        a_plan(narrow(a_target("a", capture=64)), behind=(final("z"),), respond=a_wait("a")), behaving(a=SLOW)
    )

    async def story(life: Life) -> None:
        await flood(life, 2)
        told = await life.ask("e", BODY)
        assert isinstance(told, Settled)
        assert [(State.NAMES[one.state], one.reason) for one in told.heard] == [("Dead", "QueueFull")]
        assert life.now() < 1

    world.live(story)
