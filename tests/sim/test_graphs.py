"""Graphs of targets in virtual time: chains, sagas, and what is stuck of them."""

import asyncio

import msgspec
import pytest

from fanout_dispatcher.engine import conditions
from fanout_dispatcher.transport.memory import NEVER, Reply, fault, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.facts import Facts
from fanout_dispatcher.values.outcome import Fault, Reason, Refused
from fanout_dispatcher.values.views import DeadLetterFilter, SagaFilter, SagaView
from tests.sim.graphs import NO, QUICK, WELL, asked, behaving, one_event, saga, states, step, to_the_end, undo
from tests.sim.senders import Lost
from tests.sim.world import Behave, Life, World
from tests.support.plans import a_plan, a_target


def test_a_chain_goes_one_after_the_other() -> None:
    world = World(a_plan(step("c", "b"), step("b", "a"), step("a")), behaving())

    world.live(one_event)

    assert asked(world) == ["a", "b", "c"]


def test_a_retry_holds_up_what_depends_on_it_and_nothing_else() -> None:
    replies = iter([status(503), status(503), WELL])
    world = World(
        a_plan(step("a"), step("b"), step("c", "a")),
        lambda target, flight, now: next(replies) if target == "a" else WELL,
    )

    world.live(one_event)

    assert asked(world) == ["a", "b", "a", "a", "c"]


def test_what_depends_on_a_target_that_was_given_up_is_skipped() -> None:
    world = World(a_plan(step("a"), step("b", "a"), step("c", "b"), step("d")), behaving(a=NO))

    world.live(one_event)

    assert states(world) == {"a": "Dead", "b": "Skipped", "c": "Skipped", "d": "Delivered"}


def test_a_target_that_may_die_holds_up_nobody() -> None:
    world = World(a_plan(step("a", on_dead="Continue"), step("b", "a")), behaving(a=NO))

    world.live(one_event)

    assert states(world) == {"a": "Dead", "b": "Delivered"}


def test_what_depends_on_a_target_that_the_event_is_not_for_waits_for_its_turn_and_goes() -> None:
    world = World(a_plan(step("a"), step("b", "a", when="false"), step("c", "b")), behaving(a=status(200, 0.05)))

    world.live(one_event)

    assert asked(world) == ["a", "c"]
    assert states(world) == {"a": "Delivered", "b": "Skipped", "c": "Delivered"}


def test_a_condition_that_has_no_value_gives_the_delivery_up_with_the_reason() -> None:
    world = World(a_plan(step("a"), step("b", "a", when="data.total > 3"), step("c", "b")), behaving())

    async def story(life: Life) -> None:
        await one_event(life)
        (letter,) = await life.desk.dead_letters(DeadLetterFilter())
        assert (letter.target, letter.reason) == ("b", "ExpressionFailed")
        assert letter.detail.startswith("when: ")

    world.live(story)

    assert states(world) == {"a": "Delivered", "b": "Dead", "c": "Skipped"}


def test_what_the_door_found_out_about_an_event_is_not_asked_again_unless_a_crash_has_lost_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked_again: list[bytes] = []

    def counting(head: Head, body: bytes) -> Facts:
        asked_again.append(body)
        return Facts(head, body)

    monkeypatch.setattr(conditions, "Facts", counting)
    slow = a_plan(step("a", when="data.total > 3"), step("b", "a", when="data.total > 4"), step("c", "b"))
    world = World(slow, behaving(a=status(200, 1.0)))

    async def story(life: Life) -> None:
        await life.post("e1", b'{"total": 5}')
        await asyncio.sleep(0.5)

    world.live(story)
    assert asked_again == []
    world.live(to_the_end)

    assert asked_again == [b'{"total": 5}']  # of b: a's turn had come before
    assert states(world) == dict.fromkeys("abc", "Delivered")


def test_a_saga_that_goes_well_undoes_nothing() -> None:
    world = World(saga(), behaving())

    world.live(one_event)

    assert asked(world)[0] == "payment"
    assert sorted(asked(world)[1:3]) == ["courier", "stock"]
    assert asked(world)[3:] == ["shipping", "finally.audit"]
    assert {target: state for target, state in states(world).items() if state == "Skipped"} == {
        f"{name}.compensate": "Skipped" for name in ("payment", "stock", "courier")
    }


def test_a_saga_that_fails_is_undone_in_reverse() -> None:
    world = World(saga(), behaving(shipping=NO))

    world.live(one_event)

    order = asked(world)
    assert order[3] == "shipping"
    assert sorted(order[4:6]) == ["courier.compensate", "stock.compensate"]
    assert order[6:] == ["payment.compensate", "finally.audit"]


def test_what_went_beside_each_other_is_undone_beside_each_other() -> None:
    took = status(200, 0.5)
    world = World(saga(), behaving(shipping=NO, stock__compensate=took, courier__compensate=took))

    world.live(one_event)

    first, second, last = (one for one in world.history.sent if one.target.endswith(".compensate"))
    assert {first.target, second.target} == {"stock.compensate", "courier.compensate"}
    assert first.ended is not None
    assert second.ended is not None
    assert second.at < first.ended
    assert last.at >= max(first.ended, second.ended)


def test_what_was_refused_clearly_is_not_undone() -> None:
    world = World(saga(), behaving(stock=NO))

    world.live(one_event)

    assert "stock.compensate" not in asked(world)
    assert asked(world)[-2:] == ["payment.compensate", "finally.audit"]


def test_what_may_have_been_done_is_undone_although_no_answer_said_so() -> None:
    world = World(saga(), behaving(stock=Lost(fault(Fault.RESET, 0.01))))

    world.live(one_event)

    assert "stock.compensate" in asked(world)
    assert states(world)["stock"] == "Dead"


def test_what_waits_for_another_try_is_called_off_when_the_saga_fails() -> None:
    world = World(
        a_plan(step("slow"), step("bad"), behind=(undo("slow"),)),
        behaving(slow=status(503, 0.001), bad=status(422, 0.05)),
    )

    world.live(one_event)

    assert sorted(asked(world)[:2]) == ["bad", "slow"]
    assert states(world)["slow"] == "Skipped"
    assert asked(world)[2:] == ["slow.compensate"], "a 503 may have begun something"


def test_a_compensation_that_is_given_up_leaves_the_saga_waiting_for_people() -> None:
    world = World(saga(), behaving(shipping=NO, stock__compensate=NO))

    async def story(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(100)
        stuck = life.engine.table.lanes[life.engine.durable, "shop/order-placed", "stock.compensate"]
        assert stuck.tally.meter.stuck == 1

    world.live(story)

    assert "payment.compensate" not in asked(world)
    assert "finally.audit" not in asked(world)


# --- stuck ------------------------------------------------------------------------------------------------------------

EVERY = SagaFilter()


async def stuck(life: Life) -> list[SagaView]:
    """An event comes in, and its saga gets stuck."""
    await life.post("e1")
    await asyncio.sleep(100)
    return await life.desk.sagas(EVERY)


def gauge(life: Life) -> dict[str, int]:
    """How many compensations wait for people, by target."""
    return {meter.target: meter.stuck for meter in life.desk.lane_meters() if meter.stuck}


def until_mended(target: str, mended: dict[str, bool]) -> Behave:
    """Shipping says no; *target* does too, until it is mended."""

    def behave(asked: str, flight: Flight, now: float) -> Reply:
        return NO if asked == "shipping" or (asked == target and not mended) else WELL

    return behave


def test_a_stuck_saga_is_shown_with_what_was_given_up_of_it() -> None:
    world = World(saga(), behaving(shipping=NO, stock__compensate=NO))

    async def story(life: Life) -> None:
        (found,) = await stuck(life)
        (one,) = found.stuck
        view = life.desk.route("shop/order-placed")
        assert (found.receipt, found.event_id) == (life.history.accepted["e1"], "e1")
        assert (one.target, one.held, one.attempts, one.due) == ("stock.compensate", "SagaStuck", 1, None)
        assert [attempt.outcome for attempt in one.history] == ["422"]
        assert view is not None
        assert {one.name: one.stuck for one in view.targets if one.stuck} == {"stock.compensate": 1}
        assert await life.desk.sagas(SagaFilter(route="shop/other")) == []

    world.live(story)


def test_a_compensation_that_cannot_be_made_of_the_event_says_why_wherever_it_is_looked_at_and_after_a_crash() -> None:
    why = ("ExpressionFailed", 'request.pathExpression: there is no "body"')
    unmade = Reply(Refused(why[1], Reason.EXPRESSION_FAILED))
    world = World(saga(), behaving(shipping=NO, stock__compensate=unmade))

    async def story(life: Life) -> None:
        (found,) = await stuck(life)
        view = life.desk.route("shop/order-placed")
        assert view is not None
        assert [one.last_error for one in view.targets if one.stuck] == [": ".join(why)]
        seen(found)

    async def later(life: Life) -> None:
        (found,) = await life.desk.sagas(EVERY)
        seen(found)
        event = await life.desk.event(found.receipt)
        assert event is not None
        assert (event.saga, [(one.reason, one.detail) for one in event.deliveries if one.reason == why[0]]) == (
            "Stuck",
            [why],
        )
        assert await life.desk.resume(EVERY) == (found.receipt,)

    def seen(found: SagaView) -> None:
        (one,) = found.stuck
        assert (one.attempts, one.history, (one.reason, one.detail)) == (0, (), why)

    world.live(story)
    world.live(later)


def test_resumed_it_is_tried_from_the_first_attempt_and_the_rest_is_undone() -> None:
    mended: dict[str, bool] = {}
    world = World(saga(), until_mended("stock.compensate", mended))

    async def story(life: Life) -> None:
        (found,) = await stuck(life)
        mended["it is"] = True
        assert await life.desk.resume(EVERY) == (found.receipt,)
        await to_the_end(life)
        assert gauge(life) == {}

    world.live(story)

    assert asked(world)[-3:] == ["stock.compensate", "payment.compensate", "finally.audit"]
    assert [one.number for one in world.history.sent if one.target == "stock.compensate"] == [1, 1]
    assert states(world)["stock.compensate"] == "Delivered"


def test_resumed_in_vain_it_is_stuck_once_more_and_counted_once() -> None:
    world = World(saga(), behaving(shipping=NO, stock__compensate=NO))

    async def story(life: Life) -> None:
        await stuck(life)
        await life.desk.resume(EVERY)
        await asyncio.sleep(100)
        assert gauge(life) == {"stock.compensate": 1}
        assert len(await life.desk.sagas(EVERY)) == 1

    world.live(story)

    assert asked(world).count("stock.compensate") == 2


def test_abandoned_it_is_a_dead_letter_and_the_rest_is_undone() -> None:
    world = World(saga(), behaving(shipping=NO, stock__compensate=NO))

    async def story(life: Life) -> None:
        (found,) = await stuck(life)
        assert await life.desk.abandon(SagaFilter(receipts=(found.receipt,))) == (found.receipt,)
        await to_the_end(life)
        (letter,) = await life.desk.dead_letters(DeadLetterFilter(target="stock.compensate"))
        assert (letter.reason, letter.attempts, letter.undone) == ("SagaAbandoned", 1, False)
        (step_,) = await life.desk.dead_letters(DeadLetterFilter(target="shipping"))
        event = await life.desk.event(found.receipt)
        assert (step_.undone, event and event.saga) == (True, "Abandoned")
        assert gauge(life) == {}

    world.live(story)

    assert asked(world)[-2:] == ["payment.compensate", "finally.audit"]
    assert states(world)["stock.compensate"] == "Dead"


def test_a_replay_of_a_step_that_dies_again_says_so_too_and_points_back_to_the_first_event() -> None:
    world = World(saga(), behaving(shipping=NO))
    wanted = DeadLetterFilter(target="shipping")

    async def story(life: Life) -> None:
        await life.post("e1")
        await life.settle()
        (letter,) = await life.desk.dead_letters(wanted)
        first = letter.receipt
        assert (letter.undone, letter.replay_of) == (True, None)
        for _ in range(2):
            (again,) = await life.desk.replay(wanted)
            event = await life.desk.event(again)
            assert event is not None
            assert event.replay_of == first
            await life.settle()
            (letter,) = await life.desk.dead_letters(wanted)
            assert (letter.receipt, letter.undone, letter.replay_of) == (again, True, first)

    world.live(story)


@pytest.mark.parametrize("deed", ["resume", "abandon"])
def test_a_saga_that_only_the_journal_knows_is_counted_after_a_restart_and_acted_upon(deed: str) -> None:
    mended: dict[str, bool] = {}
    world = World(saga(), until_mended("stock.compensate", mended))

    async def before(life: Life) -> None:
        await stuck(life)

    async def after(life: Life) -> None:
        mended["it is"] = True
        await asyncio.sleep(10)
        assert gauge(life) == {"stock.compensate": 1}
        assert not life.engine.durable.live
        assert await getattr(life.desk, deed)(EVERY) == (world.history.accepted["e1"],)
        await to_the_end(life)

    world.live(before)
    world.live(after)

    assert states(world)["stock.compensate"] == {"resume": "Delivered", "abandon": "Dead"}[deed]
    assert states(world)["payment.compensate"] == "Delivered"


def test_two_that_are_stuck_at_once_are_resumed_together() -> None:
    mended: dict[str, bool] = {}
    world = World(
        saga(),
        lambda target, flight, now: (
            NO
            if target == "shipping" or (target in {"stock.compensate", "courier.compensate"} and not mended)
            else WELL
        ),
    )

    async def story(life: Life) -> None:
        (found,) = await stuck(life)
        assert [one.target for one in found.stuck] == ["stock.compensate", "courier.compensate"]
        mended["they are"] = True
        await life.desk.resume(EVERY)
        await to_the_end(life)

    world.live(story)

    assert asked(world)[-2:] == ["payment.compensate", "finally.audit"]


def test_a_page_of_stuck_sagas_goes_on_where_the_last_one_ended_and_some_are_named() -> None:
    world = World(saga(), behaving(shipping=NO, stock__compensate=NO))

    async def story(life: Life) -> None:
        for name in ("e1", "e2", "e3"):
            await life.post(name)
        await asyncio.sleep(100)
        first, second, third = (life.history.accepted[name] for name in ("e1", "e2", "e3"))
        page = await life.desk.sagas(SagaFilter(limit=2))
        assert [one.receipt for one in page] == [first, second]
        assert [one.receipt for one in await life.desk.sagas(SagaFilter(after=second))] == [third]
        assert await life.desk.abandon(SagaFilter(receipts=(third, first, "0-9-ff"))) == (first, third)
        assert [one.receipt for one in await life.desk.sagas(EVERY)] == [second]

    world.live(story)


def test_a_route_that_is_deleted_ends_what_is_stuck_in_it() -> None:
    world = World(saga(), behaving(shipping=NO, stock__compensate=NO))

    async def story(life: Life) -> None:
        await stuck(life)
        life.retire("shop/order-placed")
        await asyncio.sleep(100)
        (letter,) = await life.desk.dead_letters(DeadLetterFilter(target="stock.compensate"))
        assert letter.reason == "RouteDeleted"
        assert await life.desk.sagas(EVERY) == []

    world.live(story)


def test_a_compensation_that_is_a_dead_letter_can_be_replayed() -> None:
    mended: dict[str, bool] = {}
    world = World(saga(), until_mended("stock.compensate", mended))

    async def story(life: Life) -> None:
        await stuck(life)
        await life.desk.abandon(EVERY)
        mended["it is"] = True
        (receipt,) = await life.desk.replay(DeadLetterFilter(target="stock.compensate"))
        await asyncio.sleep(10)
        view = await life.desk.event(receipt)
        assert view is not None
        assert [(one.target, one.state) for one in view.deliveries] == [("stock.compensate", "Delivered")]

    world.live(story)


# --- called off -------------------------------------------------------------------------------------------------------


def test_what_was_called_off_while_it_waited_for_a_slot_leaves_nothing_in_the_index() -> None:
    """One that stands in a window for seconds gets a row, so that a restart finds it; not one that is settled."""
    narrow = {**QUICK, "bulkhead": {"max_concurrent": 1}}
    world = World(
        a_plan(a_target("slow", policy=narrow), step("bad"), behind=(undo("slow"),)),
        behaving(slow=NEVER, bad=status(422, 0.05)),
    )

    async def waiting(life: Life) -> None:
        await asyncio.gather(life.post("e1"), life.post("e2"))
        await asyncio.sleep(9)

    async def after(life: Life) -> None:
        assert life.target("slow").pending == 1, "e1 was in flight"
        await to_the_end(life)

    world.live(waiting)
    world.live(after)

    found = world.history.states["e2"]
    assert (found["slow"], found["bad"], found["slow.compensate"]) == ("Skipped", "Dead", "Skipped")
    assert [one.event for one in world.history.sent if one.target == "slow.compensate"] == ["e1"]


def test_what_was_under_way_at_a_crash_may_have_been_done_though_it_expires_before_it_is_asked_again() -> None:
    brief = {**QUICK, "timeouts": {"total": 3.0}}
    plan = a_plan(a_target("slow", policy=brief), behind=(undo("slow"),))
    world = World(plan, behaving(slow=Lost(NEVER)))

    async def asked_once(life: Life) -> None:
        await life.post("e1")
        await asyncio.sleep(1)

    async def expired_while_it_was_held(life: Life) -> None:
        await asyncio.sleep(5)
        life.adopt(msgspec.structs.replace(plan, revision="resumed"))
        await to_the_end(life)

    world.live(asked_once)
    world.plan = msgspec.structs.replace(plan, suspend=True, revision="suspended")
    world.live(expired_while_it_was_held)

    assert asked(world) == ["slow", "slow.compensate"]
    assert states(world) == {"slow": "Dead", "slow.compensate": "Delivered"}
