"""Plans of missing routes stay until it is sure that somebody deleted the routes."""

import asyncio
from typing import Any

import pytest

from fanout_crds.schema import NAME
from fanout_operator.holding import EVERY, LET_GO, Holding, lets_go
from fanout_operator.kept import Kept
from fanout_operator.kube import DEFINITIONS, Document, Unavailable
from tests.sim import loop as virtual
from tests.unit.operator.cluster import Cluster

OLD, PLAN, NEW = "2025-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00Z"
ESTABLISHED = [{"type": "Established", "status": "True"}]


def definition(created: str = OLD, *, conditions: Any = ESTABLISHED, **metadata: Any) -> Document:
    return {
        "metadata": {"name": NAME, "creationTimestamp": created, "uid": "u", **metadata},
        "status": {"conditions": conditions},
    }


def kept() -> Kept:
    return Kept(lambda _routes: None)


@pytest.mark.parametrize(
    ("found", "goes"),
    [
        (None, False),
        (definition(), True),
        (definition(deletionTimestamp=PLAN), False),
        (definition(conditions=None), False),
        (definition(NEW), False),
        (definition(NEW, annotations={LET_GO: "true"}), True),
        (definition(NEW, annotations={LET_GO: "false"}), False),
        (definition(NEW, annotations={LET_GO: "true"}, deletionTimestamp=NEW), False),
    ],
    ids=["gone", "whole", "going", "not yet", "made anew", "let go", "not let go", "let go and going"],
)
def test_what_the_definition_says_of_a_missing_route(found: Document | None, goes: bool) -> None:
    assert lets_go(found, PLAN, held=False) is goes
    assert lets_go(found, PLAN, held=True) is goes


async def test_a_definition_of_the_plans_own_second_came_first_unless_it_was_gone_before() -> None:
    cluster = Cluster()
    holding = Holding(cluster, kept(), lambda _key: None)

    while_it_is_gone = await holding.deleted("shop/held", [PLAN])
    cluster.put(DEFINITIONS, definition(PLAN))

    assert not while_it_is_gone
    assert not await holding.deleted("shop/held", [PLAN])
    assert await holding.deleted("shop/other", [PLAN])


async def test_a_route_without_a_plan_needs_no_definition() -> None:
    cluster = Cluster()

    assert await Holding(cluster, kept(), lambda _key: None).deleted("shop/orders", [])
    assert cluster.calls == []


def test_what_is_held_is_looked_at_again_when_the_definition_is_another_and_not_before() -> None:
    async def scenario() -> list[int]:
        cluster, woken, counts = Cluster(), list[str](), list[int]()
        holding = Holding(cluster, kept(), woken.append)
        assert not await holding.deleted("shop/orders", [PLAN])
        task = asyncio.create_task(holding.run())
        for change in (
            lambda: None,
            lambda: cluster.put(DEFINITIONS, definition(NEW)),
            lambda: setattr(cluster, "fail", lambda _call: Unavailable("503")),
            lambda: setattr(cluster, "fail", lambda _call: None),
            lambda: cluster.put(DEFINITIONS, definition(NEW, annotations={LET_GO: "true"})),
        ):
            change()
            await asyncio.sleep(3 * EVERY)
            counts.append(len(woken))
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return counts

    assert virtual.run(scenario()) == [1, 2, 2, 2, 3]


def test_nobody_asks_while_nothing_is_held() -> None:
    async def scenario() -> list[str]:
        cluster = Cluster()
        holding = Holding(cluster, kept(), lambda _key: None)
        task = asyncio.create_task(holding.run())
        await holding.deleted("shop/orders", [PLAN])
        holding.drop("shop/orders")
        await asyncio.sleep(3 * EVERY)
        cluster.calls.clear()
        await asyncio.sleep(100 * EVERY)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return cluster.calls

    assert virtual.run(scenario()) == []
