"""An engine that is one of several runs its share of a plan, and its journal keeps the plan whole."""

import asyncio

from fanout_crds import plan as plans
from fanout_dispatcher.transport.memory import status
from fanout_dispatcher.values.sink import PlanRefused
from tests.sim.world import Life, World
from tests.support.plans import a_plan, a_target, changed


class Halved:
    """Half of the first target's bulkhead."""

    def __call__(self, plan: plans.Plan) -> plans.Plan:
        whole = plan.targets[0].policy.bulkhead.max_concurrent
        if whole == 1:
            raise PlanRefused("no half of 1")
        half = changed(plan.targets[0], {"policy": {"bulkhead": {"max_concurrent": whole // 2}}})
        return changed(plan, {"targets": (half,)})

    def owner(self, _plan: plans.Plan) -> int | None:
        return 1


def concurrent(number: int, revision: str) -> plans.Plan:
    return a_plan(a_target("a", policy={"bulkhead": {"max_concurrent": number}}), revision=revision)


def test_lanes_get_the_share_and_the_journal_the_whole() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(200))
    limits: list[int] = []

    async def story(life: Life) -> None:
        life.engine.table.share = Halved()
        life.engine.adopt(concurrent(10, "f" * 16), {})
        limits.extend(lane.gates.bulkhead.limit for lane in life.engine.table.lanes.values())
        await asyncio.sleep(1)

    world.live(story)

    assert limits == [5]
    assert world.storage.journal().open().plans == {"shop/order-placed": plans.encode(concurrent(10, "f" * 16))}


def test_a_plan_without_a_share_is_refused_and_the_last_good_one_stays() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(200))
    said = []

    async def story(life: Life) -> None:
        life.engine.table.share = Halved()
        try:
            life.engine.adopt(concurrent(1, "f" * 16), {})
        except PlanRefused as why:
            said.append(str(why))
        said.extend(route.revision for route in life.desk.routes())

    world.live(story)

    assert said == ["no half of 1", a_plan().revision]


def test_a_route_that_another_engine_owns_says_so_and_has_no_limit_of_its_own_for_what_comes_in() -> None:
    world = World(a_plan("a"), lambda target, flight, now: status(200))
    seen = []

    async def story(life: Life) -> None:
        limited = changed(
            concurrent(10, "f" * 16), {"rate": plans.AcceptRate(requests=1, per=1.0, burst=1, key="Route")}
        )
        life.engine.adopt(limited, {})
        seen.append(life.engine.table.by_key[limited.key])
        life.engine.table.share = Halved()
        life.engine.adopt(changed(limited, {"revision": "e" * 16}), {})
        seen.append(life.engine.table.by_key[limited.key])

    world.live(story)
    mine, anothers = seen

    assert (mine.owner, mine.turnstile is None) == (None, False)
    assert (anothers.owner, anothers.turnstile) == (1, None)
