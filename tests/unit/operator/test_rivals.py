"""Two installations of one class: whose a status is, when that is settled, and when it is over."""

import asyncio
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from fanout_operator.conditions import Finding, InForce
from fanout_operator.kube import ROUTES, Document
from fanout_operator.rivals import AGAIN, ENDS, LATELY, OVER, STANDS, Rivals, Turn
from tests.sim import loop as virtual
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import route
from tests.unit.operator.test_writer import Scene

KEY, US, THEM = "shop/orders", "a/fanout-report", "b/fanout-report"


def rivals() -> tuple[Rivals, list[str]]:
    told: list[str] = []
    return Rivals(US, lambda _key, rival: told.append(rival)), told


@pytest.mark.parametrize("named", ["", US])
def test_a_status_of_nobodys_or_ours_is_written(named: str) -> None:
    ours, _ = rivals()

    assert ours.turn(KEY, named, answered=True, now=0) == (Turn.WRITE, 0)


def test_a_status_that_answers_is_claimed_by_name_alone_and_written_when_the_claim_stands() -> None:
    ours, told = rivals()
    claim, _ = ours.turn(KEY, THEM, answered=True, now=0)
    ours.wrote(KEY, THEM, 0, whole=False)

    assert claim is Turn.CLAIM
    assert ours.turn(KEY, US, answered=True, now=4) == (Turn.LEAVE, STANDS - 4)
    assert ours.turn(KEY, US, answered=True, now=STANDS) == (Turn.WRITE, 0)
    assert told == []


def test_a_spec_that_nobody_has_answered_is_answered_in_whole_and_at_once() -> None:
    ours, _ = rivals()
    first = ours.turn(KEY, THEM, answered=False, now=0)
    ours.wrote(KEY, THEM, 0, whole=True)

    assert first == (Turn.WRITE, 0)
    assert ours.turn(KEY, US, answered=True, now=0.1) == (Turn.WRITE, 0)


def test_the_incumbent_claims_it_back_and_the_one_that_came_leaves_it_and_asks_again_much_later() -> None:
    incumbent, told = rivals()
    incumbent.turn(KEY, US, answered=True, now=0)
    back, _ = incumbent.turn(KEY, THEM, answered=True, now=1)
    came, told_too = rivals()
    came.wrote(KEY, THEM, 0, whole=False)
    left = came.turn(KEY, THEM, answered=True, now=1)

    assert back is Turn.CLAIM
    assert left == (Turn.LEAVE, AGAIN)
    assert came.turn(KEY, THEM, answered=False, now=LATELY - 1) == (Turn.LEAVE, AGAIN)
    assert came.turn(KEY, THEM, answered=True, now=AGAIN)[0] is Turn.CLAIM
    assert told == told_too == [THEM]


def test_a_rival_is_news_once_and_over_when_it_has_written_nothing_for_long() -> None:
    ours, told = rivals()
    for at in (0.0, AGAIN):
        ours.wrote(KEY, "", at, whole=True)
        ours.turn(KEY, THEM, answered=True, now=at)
    during = ours.contested(AGAIN + OVER - 1)

    assert (during, ours.contested(AGAIN + OVER), ours.of(KEY, AGAIN + OVER)) == (1, 0, None)
    assert told == [THEM]


def test_a_route_that_left_may_come_back() -> None:
    ours, told = rivals()
    ours.wrote(KEY, THEM, 0, whole=True)
    ours.forget(KEY)

    assert ours.turn(KEY, THEM, answered=False, now=1) == (Turn.WRITE, 0)
    assert told == []


# --- the status writers of two installations, in virtual time ---------------------------------------------------------


class Two:
    """Two installations that serve one route, each with dispatchers of its own: only the first one's run it."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.sides = [Scene(cluster=self.cluster, us=us) for us in (US, THEM)]
        document = self.cluster.put(ROUTES, route())
        self.finding = Finding(
            uid=document["metadata"]["uid"], generation=1, objection=None, targets=("crm",), in_force=InForce("r", 1)
        )

    @property
    def status(self) -> Document:
        found: Document = self.cluster.objects["fanoutroutes", "shop", "orders"].get("status", {})
        return found

    def reason(self, kind: str) -> str:
        return next(str(one["reason"]) for one in self.status["conditions"] if one["type"] == kind)

    async def serve(self, side: Scene) -> None:
        """Run one installation's writer, and tell it of every change as its watch would."""
        writer, seen = asyncio.create_task(side.writer.run()), ""
        side.findings[KEY] = self.finding
        try:
            while True:
                found = self.cluster.objects["fanoutroutes", "shop", "orders"]
                if found["metadata"]["resourceVersion"] != seen:
                    seen = found["metadata"]["resourceVersion"]
                    side.routes.note(found)
                    side.writer.wake(KEY)
                await asyncio.sleep(0.1)
        finally:
            writer.cancel()
            with suppress(asyncio.CancelledError):
                await writer

    async def patches(self, seconds: float) -> int:
        before = len(self.cluster.calls)
        await asyncio.sleep(seconds)
        return sum(call.startswith("PATCH") for call in self.cluster.calls[before:])


async def _after(*tasks: asyncio.Task[None]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _play(story: Coroutine[Any, Any, None]) -> None:
    virtual.run(story)


def test_two_that_serve_one_route_do_not_fight_and_the_one_that_had_it_says_so() -> None:
    async def story() -> None:
        two = Two()
        first, second = two.sides
        first.report("orders")
        one = asyncio.create_task(two.serve(first))
        await asyncio.sleep(1)
        other = asyncio.create_task(two.serve(second))
        settling, quiet = await two.patches(STANDS + 5), await two.patches(AGAIN / 2)

        assert (settling, quiet) == (3, 0), "a claim, a claim back, and the word of it; then nothing"
        assert (two.status["installation"], two.reason("Ready")) == (US, "Ready")
        assert two.reason("Healthy") == "ClassContested"
        assert [side.told for side in two.sides] == [[(KEY, THEM)], [(KEY, US)]]
        await _after(one, other)

    _play(story())


def test_when_one_of_the_two_is_gone_the_other_has_the_status_and_nothing_is_said_of_it_any_more() -> None:
    async def story() -> None:
        two = Two()
        first, second = two.sides
        first.report("orders")
        one = asyncio.create_task(two.serve(first))
        await asyncio.sleep(1)
        other = asyncio.create_task(two.serve(second))
        await asyncio.sleep(STANDS + 5)
        await _after(one)
        await asyncio.sleep(AGAIN + STANDS)
        taken, reason = two.status["installation"], two.reason("Ready")
        await asyncio.sleep(OVER)

        assert (taken, reason) == (THEM, "Waiting")
        assert two.reason("Healthy") == "Healthy"
        await _after(other)

    _play(story())


def test_once_the_other_one_is_being_removed_its_statuses_are_claimed_when_it_has_had_time_to_end() -> None:
    ours, told = rivals()
    ours.wrote(KEY, THEM, 0, whole=False)
    ours.turn(KEY, THEM, answered=True, now=1)
    nobodys, routes = ours.removed("shop/payment", 2), ours.removed(THEM, 2)

    assert (nobodys, routes, ours.contested(2)) == ((), (KEY,), 0)
    assert ours.turn(KEY, THEM, answered=True, now=3) == (Turn.LEAVE, ENDS - 1)
    assert ours.turn(KEY, THEM, answered=True, now=2 + ENDS) == (Turn.CLAIM, 0)
    assert told == [THEM]


def test_one_that_goes_on_though_its_service_was_deleted_is_a_rival_again_and_nobody_fights() -> None:
    ours, told = rivals()
    ours.wrote(KEY, THEM, 0, whole=False)
    ours.turn(KEY, THEM, answered=True, now=1)
    ours.removed(THEM, 2)
    ours.wrote(KEY, THEM, 2 + ENDS, whole=False)

    assert ours.turn(KEY, THEM, answered=True, now=3 + ENDS) == (Turn.LEAVE, AGAIN)
    assert (told, ours.contested(3 + ENDS)) == ([THEM, THEM], 1)


@pytest.mark.parametrize("goes", [0, 1], ids=["who has the status", "who left it"])
def test_when_one_of_the_two_is_removed_the_other_has_the_status_within_seconds_and_says_nothing_of_it(
    goes: int,
) -> None:
    async def story() -> None:
        two = Two()
        for side in two.sides:
            side.report("orders")
        tasks = [asyncio.create_task(two.serve(two.sides[0]))]
        await asyncio.sleep(1)
        tasks.append(asyncio.create_task(two.serve(two.sides[1])))
        await asyncio.sleep(STANDS + 5)
        contested = two.reason("Healthy")
        two.sides[1 - goes].writer.removed((US, THEM)[goes])
        await asyncio.sleep(ENDS / 2)
        await _after(tasks[goes])
        await asyncio.sleep(ENDS + STANDS)

        assert contested == "ClassContested"
        assert (two.status["installation"], two.reason("Ready")) == ((US, THEM)[1 - goes], "Ready")
        assert two.reason("Healthy") == "Healthy"
        await _after(tasks[1 - goes])

    _play(story())


async def test_a_status_over_a_newer_spec_than_the_one_we_judged_is_left_until_we_have() -> None:
    scene = Scene(us=US)
    scene.add("orders")
    await scene.look("orders")
    before = scene.cluster.objects["fanoutroutes", "shop", "orders"]["status"]
    moved = route(className="another")
    scene.routes.note(scene.cluster.put(ROUTES, {**moved, "status": {**before, "installation": THEM}}))

    assert await scene.look("orders") == 0
    assert scene.told == []
    scene.findings[KEY] = msgspec.structs.replace(scene.findings[KEY], generation=2)
    assert await scene.look("orders") == 1
