"""`when`: which targets an event is for, in virtual time, over crashes and replays."""

import asyncio

import pytest

from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted
from fanout_dispatcher.values.sink import PlanRefused
from fanout_dispatcher.values.views import DeadLetterFilter, EventView
from tests.sim.checkers import judge
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target


def yes(target: str, flight: Flight, now: float) -> Reply:
    return status(200, 0.01)


def states(view: EventView | None) -> dict[str, str]:
    assert view is not None
    return {one.target: one.state for one in view.deliveries}


async def posted(life: Life, ident: str, body: bytes) -> str:
    answer = await life.post(ident, body)
    assert isinstance(answer, Accepted)
    return answer.receipt


def test_a_target_gets_the_events_that_its_filter_lets_through_and_the_others_are_skipped() -> None:
    world = World(
        a_plan(a_target("big", when="data.total > 100"), a_target("small", when="data.total <= 100"), "all"), yes
    )

    async def story(life: Life) -> None:
        large, little = await posted(life, "large", b'{"total": 500}'), await posted(life, "little", b'{"total": 5}')
        await life.settle()
        assert states(await life.desk.event(large)) == {"big": "Delivered", "small": "Skipped", "all": "Delivered"}
        assert states(await life.desk.event(little)) == {"big": "Skipped", "small": "Delivered", "all": "Delivered"}
        assert [(one.target, one.skipped) for one in life.desk.lane_meters()] == [("big", 1), ("small", 1), ("all", 0)]
        await life.look()

    world.live(story)

    assert {(one.event, one.target) for one in world.history.sent} == {
        ("large", "big"), ("large", "all"), ("little", "small"), ("little", "all"),
    }  # fmt: skip
    assert judge(world.history) == []


def test_an_event_for_nobody_is_accepted_and_settled_at_once() -> None:
    world = World(a_plan(a_target("a", when="false"), a_target("b", when="data.b")), yes)

    async def story(life: Life) -> None:
        receipt = await posted(life, "one", b'{"b": false}')
        view = await life.desk.event(receipt)
        assert view is not None
        assert (view.settled, states(view)) == (True, {"a": "Skipped", "b": "Skipped"})
        assert life.pending() == 0

    world.live(story)

    assert world.history.sent == []


def test_a_filter_that_fails_makes_a_dead_letter_with_the_sentence_and_its_siblings_go_on() -> None:
    world = World(a_plan(a_target("a", when="data.total > 1"), a_target("b", when="has(data.total)"), "c"), yes)

    async def story(life: Life) -> None:
        receipt = await posted(life, "one", b"{}")
        await life.settle()
        view = await life.desk.event(receipt)
        assert states(view) == {"a": "Dead", "b": "Skipped", "c": "Delivered"}
        (letter,) = await life.desk.dead_letters(DeadLetterFilter())
        assert (letter.reason, letter.attempts) == ("ExpressionFailed", 0)
        assert letter.detail == 'when: there is no "total" in data; has() asks whether there is'
        await life.look()

    world.live(story)

    assert judge(world.history) == []


def test_a_replay_of_what_a_filter_failed_for_is_sent_without_asking_it_again() -> None:
    """A person has said where it shall go."""
    world = World(a_plan(a_target("a", when="data.total > 1")), yes)

    async def story(life: Life) -> None:
        await posted(life, "one", b"{}")
        (receipt,) = await life.replay(DeadLetterFilter())
        await life.settle()
        assert states(await life.desk.event(receipt)) == {"a": "Delivered"}
        await life.look()

    world.live(story)

    assert [(one.event, one.target) for one in world.history.sent] == [("one", "a")]
    assert judge(world.history) == []


def test_what_was_skipped_stays_skipped_over_a_crash() -> None:
    down = True
    world = World(
        a_plan(a_target("a", when="data.a"), "b"), lambda target, flight, now: status(503 if down else 200, 0.01)
    )
    receipts: list[str] = []

    async def until_the_crash(life: Life) -> None:
        receipts.append(await posted(life, "one", b'{"a": false}'))
        await asyncio.sleep(1)

    async def after_it(life: Life) -> None:
        nonlocal down
        down = False
        await life.settle()
        assert states(await life.desk.event(receipts[0])) == {"a": "Skipped", "b": "Delivered"}
        await life.look()

    world.live(until_the_crash)
    world.live(after_it)

    assert {one.target for one in world.history.sent} == {"b"}
    assert judge(world.history) == []


def test_a_full_queue_turns_away_only_events_that_are_for_its_target() -> None:
    policy = {"queue": {"max_bytes": 20}}
    world = World(a_plan(a_target("a", when="data.a", policy=policy), "b", suspend=True), yes)

    async def story(life: Life) -> None:
        answers = [
            await life.post(f"e{place}", body) for place, body in enumerate([b'{"a": true }'] * 2 + [b'{"a": false}'])
        ]
        assert [type(one) is Accepted for one in answers] == [True, False, True]

    world.live(story)


def test_a_plan_whose_filter_does_not_compile_is_refused_and_the_last_good_one_stays() -> None:
    world = World(a_plan(a_target("a", when="data.a")), yes)

    async def story(life: Life) -> None:
        with pytest.raises(PlanRefused, match=r"^spec\.targets\[0\]\.when: at 1:1: unknown name dta; did you mean"):
            life.engine.adopt(a_plan(a_target("a", when="dta.a"), revision="2"), {})
        route = life.desk.route(world.plan.key)
        assert route is not None
        assert (route.revision, route.refused is not None) == (world.plan.revision, True)

    world.live(story)


def test_one_filter_that_reads_too_much_fails_alone() -> None:
    world = World(
        a_plan(a_target("a", when="size(data) > 1"), a_target("b", when="data.ok"), a_target("c", when="true")), yes
    )

    async def story(life: Life) -> None:
        body = b'{"ok": true, "l": [' + b"1," * 6000 + b"1]}"
        receipt = await posted(life, "one", body)
        await life.settle()
        assert states(await life.desk.event(receipt)) == {"a": "Dead", "b": "Delivered", "c": "Delivered"}

    world.live(story)
