"""The board answers a plan source at once and tells every worker in one go."""

import asyncio

import pytest

from fanout_crds import plan as plans
from fanout_dispatcher.telemetry.seam import Recorder, RouteRefused
from fanout_dispatcher.values.sink import PlanRefused
from fanout_dispatcher.workers.board import Board
from fanout_dispatcher.workers.messages import Adopt, Plans, Retire
from fanout_dispatcher.workers.owners import Owners
from fanout_dispatcher.workers.shares import Share
from tests.support.plans import a_plan, a_target


class Told:
    """A board of two workers, what it posted, and what it told of."""

    def __init__(self) -> None:
        self.posted: list[Plans] = []
        self.seam = Recorder()
        self.board = Board(Share(0, 2), Owners(2), seam=self.seam, post=self.posted.append)
        self.changed: list[str] = []
        self.board.watchers.append(self.changed.append)

    async def words(self) -> list[str]:
        """What was posted since the last time, after the loop has turned."""
        await asyncio.sleep(0)
        words = [repr(one) for message in self.posted for one in message.changes]
        self.posted.clear()
        return words


async def test_what_changes_in_one_turn_is_one_message_in_order() -> None:
    told = Told()
    told.board.adopt(a_plan(name="a", path="/x"), {})
    await told.words()

    told.board.retire("shop/a")  # its path is free before the loop turns, for the other one
    told.board.adopt(a_plan(name="b", path="/x"), {"crm.bearer": b"secret"})
    told.board.adopt(a_plan(name="a", path="/y"), {})
    told.board.synced()
    await asyncio.sleep(0)

    (message,) = told.posted
    assert [type(one) for one in message.changes] == [Retire, Adopt, Adopt]
    assert message.known
    assert set(told.board.routes()) == {"shop/a", "shop/b"}


async def test_the_same_revision_again_changes_nothing_but_its_credentials_do() -> None:
    told = Told()
    told.board.adopt(a_plan(), {})
    first = await told.words()

    told.board.adopt(a_plan(), {})
    again = await told.words()
    told.board.adopt(a_plan(), {"crm.bearer": b"secret"})

    assert (len(first), again, len(await told.words())) == (1, [], 1)


@pytest.mark.parametrize(("path", "same"), [("/x", "/x"), ("/x/{id}", "/x/{name}")])
async def test_a_contested_path_is_refused_at_once_and_the_incumbent_stays(path: str, same: str) -> None:
    told = Told()
    told.board.adopt(a_plan(name="a", path=path), {})
    await told.words()

    with pytest.raises(PlanRefused, match=rf"^spec\.listen\.path: {same} belongs to the route shop/a"):
        told.board.adopt(a_plan(name="b", path=same), {})

    assert await told.words() == []
    assert told.seam.changes == [], "whoever asked knows where it came from, and says that too"


async def test_a_limit_that_does_not_go_round_is_refused_and_the_last_good_plan_stays() -> None:
    told = Told()
    told.board.adopt(a_plan(), {})
    small = a_plan(a_target(policy={"bulkhead": {"max_concurrent": 1}}), revision="f" * 16)

    with pytest.raises(PlanRefused, match="maxConcurrent: 1 cannot be divided among the 2 workers"):
        told.board.adopt(small, {})

    (kept,) = told.board.everything().changes
    assert isinstance(kept, Adopt)
    assert kept.plan == a_plan()


async def test_a_good_plan_or_a_retirement_ends_a_refusal() -> None:
    told = Told()
    for route in ("shop/order-placed", "shop/other"):
        told.board.refuse(route, "line 3: no")
        told.board.refuse(route, "line 3: no")  # told once

    told.board.adopt(a_plan(), {})
    told.board.retire("shop/other")

    assert told.board.refused == {}
    assert [type(one) for one in told.seam.changes] == [RouteRefused, RouteRefused]
    assert told.changed == ["shop/order-placed", "shop/other"] * 2


async def test_what_journals_kept_is_in_force_until_the_source_speaks_the_first_one_wins() -> None:
    told = Told()
    older = a_plan(revision="0" * 16)

    told.board.recover({"shop/order-placed": plans.encode(a_plan())})
    told.board.recover({"shop/order-placed": plans.encode(older), "shop/torn": b"{"})

    everything = told.board.everything()
    assert [one.plan for one in everything.changes if isinstance(one, Adopt)] == [a_plan()]
    assert everything.known, "a restart needs nobody else to go on"
    assert list(told.board.refused) == ["shop/torn"]


async def test_a_route_that_was_deleted_before_the_restart_is_left_to_its_end() -> None:
    told = Told()
    heir = a_plan(name="heir")

    told.board.recover({"shop/order-placed": plans.encode(a_plan(path="")), heir.key: plans.encode(heir)})

    assert list(told.board.routes()) == [heir.key]
    assert told.board.refused == {}


async def test_a_plan_that_worked_with_fewer_workers_stays_and_is_said_and_so_do_newer_ones_until_one_goes_round() -> (
    None
):
    told = Told()
    small, newer = (
        a_plan(a_target(policy={"bulkhead": {"max_concurrent": 1}}), revision=revision * 16) for revision in "ab"
    )
    told.board.recover({small.key: plans.encode(small)})
    kept = told.board.everything()
    why = told.board.refused[small.key]
    await told.words()

    told.board.adopt(newer, {"crm.bearer": b"secret"})
    adopted, still = await told.words(), dict(told.board.refused)
    told.board.adopt(a_plan(), {})

    assert [one.plan for one in kept.changes if isinstance(one, Adopt)] == [small]
    assert "maxConcurrent: 1 cannot be divided among the 2 workers" in why
    assert (adopted, still) == ([f"Adopt({small.key}, {'b' * 16})"], {small.key: why})
    assert told.board.refused == {}


async def test_a_worker_that_was_away_first_retires_what_was_deleted_and_leaves_paths_that_are_others_by_now() -> None:
    told = Told()
    moved, gone, same = (a_plan(name=name, path=f"/{name}") for name in ("moved", "gone", "same"))
    kept = {plan.key: plans.encode(plan) for plan in (moved, gone, same)} | {"shop/torn": b"{"}
    told.board.recover({"shop/moved": kept["shop/moved"], "shop/same": kept["shop/same"]})
    told.board.refuse("shop/torn", "line 1: no")
    told.board.adopt(a_plan(name="moved", path="/elsewhere", revision="1" * 16), {})
    told.board.adopt(a_plan(name="new", path="/moved"), {})

    changes = told.board.everything(kept).changes

    assert [one.route for one in changes if isinstance(one, Retire)] == ["shop/moved", "shop/gone"]
    assert [type(one) for one in changes[:3]] == [Retire, Retire, Adopt]
    assert {one.plan.key for one in changes if isinstance(one, Adopt)} == {"shop/moved", "shop/same", "shop/new"}


async def test_a_plan_that_is_kept_and_refused_is_left_to_its_worker() -> None:
    told = Told()
    told.board.refuse("shop/order-placed", "its path is another's")

    assert told.board.everything({"shop/order-placed": plans.encode(a_plan())}).changes == ()


async def test_a_board_without_a_source_and_without_plans_does_not_claim_to_know() -> None:
    told = Told()
    told.board.recover({})

    assert told.board.everything() == Plans(changes=(), known=False)


def test_what_holds_secrets_does_not_show_them() -> None:
    adopt = Adopt(plan=a_plan(), credentials={"crm.bearer": b"s3cret"})

    assert "s3cret" not in repr(adopt) + repr(Plans(changes=(adopt,), known=True))


async def test_a_keyed_plan_is_told_with_its_owner_who_has_limits_whole_that_would_not_go_round() -> None:
    told = Told()
    one = a_target(policy={"bulkhead": {"max_concurrent": 1}})

    told.board.adopt(a_plan(one, idempotency=plans.Idempotency(ttl=1.0, max_keys=1)), {})
    told.board.adopt(a_plan(name="other", path="/other"), {})
    await asyncio.sleep(0)

    (message,) = told.posted
    assert [change.owner for change in message.changes if isinstance(change, Adopt)] == [1, None]
    assert told.board.refused == {}


async def test_the_longest_attempt_may_be_one_of_what_stands_behind_a_target() -> None:
    told = Told()
    slow = a_target("undo", policy={"timeouts": {"attempt": 90.0}})
    told.board.adopt(a_plan("a", behind=(plans.Behind(role="Compensation", of="a", target=slow),)), {})

    assert told.board.longest_attempt() == 90.0
