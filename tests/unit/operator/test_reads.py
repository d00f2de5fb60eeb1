"""Reads that routes share: what is known is not asked for, and what is kept never outlives what a watch tells."""

from collections.abc import AsyncIterator

import pytest

from fanout_operator import reads
from fanout_operator.kube import CONFIG_MAPS, SECRETS, SERVICES, Document, Page, Scope, Unavailable
from fanout_operator.reads import KEPT, SMALL, Reads
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import secret, service

PLANS = Scope(kind=CONFIG_MAPS, namespace="fanout", labels="test=plan")


class Scene:
    """Reads, and what watches would tell them."""

    def __init__(self) -> None:
        self.cluster = Cluster()
        self.services: dict[str, bytes] = {}
        self.secrets: dict[str, str] = {}
        self.reads = Reads(self.cluster, self.services, self.secrets)

    def told(self, secret: Document) -> None:
        self.secrets[f"shop/{secret['metadata']['name']}"] = secret["metadata"]["resourceVersion"]

    def plan(self, name: str, **data: str) -> None:
        metadata = {"name": name, "namespace": "fanout", "labels": {"test": "plan"}}
        self.cluster.put(CONFIG_MAPS, {"metadata": metadata, "data": data})

    async def data(self, name: str) -> object:
        found = await self.reads.ours(CONFIG_MAPS, "fanout", name)
        return found and found["data"]


async def test_a_service_that_its_watch_tells_of_is_not_asked_for() -> None:
    scene = Scene()
    scene.services["shop/payment"] = reads.reduced(service(scene.cluster, selector={"app": "payment"}))
    found = await scene.reads.referent(SERVICES, "shop", "payment")

    assert found
    assert found["spec"] == {"ports": [{"name": "http", "port": 8080}]}
    assert scene.cluster.calls == []


async def test_a_service_that_no_watch_has_told_of_yet_is_asked_for() -> None:
    scene = Scene()
    service(scene.cluster)

    assert await scene.reads.referent(SERVICES, "shop", "payment")
    assert await scene.reads.referent(SERVICES, "shop", "absent") is None
    assert scene.cluster.calls == ["GET services shop/payment", "GET services shop/absent"]


async def test_a_secret_is_read_once_for_all_routes_and_again_when_it_is_another() -> None:
    scene = Scene()
    scene.told(secret(scene.cluster, "mail", token="Zmlyc3Q="))
    first = [await scene.reads.referent(SECRETS, "shop", "mail") for _ in range(3)]
    scene.told(secret(scene.cluster, "mail", token="c2Vjb25k"))
    second = [await scene.reads.referent(SECRETS, "shop", "mail") for _ in range(3)]

    assert [one and one["data"] for one in first] == [{"token": "Zmlyc3Q="}] * 3
    assert [one and one["data"] for one in second] == [{"token": "c2Vjb25k"}] * 3
    assert scene.cluster.calls == ["GET secrets shop/mail"] * 2


async def test_a_secret_whose_known_version_the_cluster_never_reaches_is_read_as_it_is() -> None:
    """As after a restore of etcd, until the watch has a new list."""
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    scene.secrets["shop/mail"] = "1000000"

    found = await scene.reads.referent(SECRETS, "shop", "mail")

    assert found
    assert found["data"] == {"token": "Zmlyc3Q="}


async def test_a_secret_without_a_watch_or_removed_is_asked_for_each_time() -> None:
    scene = Scene()
    secret(scene.cluster, "mail", token="Zmlyc3Q=")
    await scene.reads.referent(SECRETS, "shop", "mail")
    await scene.reads.referent(SECRETS, "shop", "mail")
    scene.cluster.remove(SECRETS, "shop", "mail")

    assert await scene.reads.referent(SECRETS, "shop", "mail") is None
    assert len(scene.cluster.calls) == 3


@pytest.mark.parametrize("size", [SMALL, 10])
async def test_no_more_of_secrets_is_kept_than_fits(size: int) -> None:
    scene = Scene()
    for number in range(KEPT + 3 if size < SMALL else 3):
        scene.told(secret(scene.cluster, f"s{number}", token="x" * size))
        await scene.reads.referent(SECRETS, "shop", f"s{number}")

    assert len(scene.reads._kept) == (KEPT if size < SMALL else 0)


async def test_plans_that_were_listed_are_handed_out_once_and_asked_for_afterwards() -> None:
    scene = Scene()
    scene.plan("a", plan="1")
    await scene.reads.list_ours([PLANS])
    listed = await scene.data("a")
    scene.plan("a", plan="2")

    assert (listed, await scene.data("a")) == ({"plan": "1"}, {"plan": "2"})
    assert scene.cluster.calls == ["LIST configmaps", "GET configmaps fanout/a"]


async def test_a_plan_that_changed_after_it_was_listed_is_asked_for() -> None:
    scene = Scene()
    scene.plan("a", plan="1")
    await scene.reads.list_ours([PLANS])
    scene.plan("a", plan="2")
    scene.reads.changed(CONFIG_MAPS, "fanout/a")

    assert await scene.data("a") == {"plan": "2"}


async def test_a_change_that_is_told_while_the_list_is_on_its_way_is_not_lost() -> None:
    scene = Scene()
    scene.plan("a", plan="1")
    scene.plan("b", plan="1")

    class Slow(Cluster):
        async def pages(self, scope: Scope) -> AsyncIterator[Page]:
            async for old in super().pages(scope):  # all pages are of one time
                scene.plan("a", plan="2")
                scene.reads.changed(CONFIG_MAPS, "fanout/a")
                yield old

    slow = Slow()
    slow.objects = scene.cluster.objects
    scene.reads._kube = slow
    await scene.reads.list_ours([PLANS])
    scene.reads._kube = scene.cluster

    assert (await scene.data("a"), await scene.data("b")) == ({"plan": "2"}, {"plan": "1"})
    assert scene.cluster.calls == ["GET configmaps fanout/a"]


async def test_without_the_list_and_after_the_start_each_plan_is_asked_for() -> None:
    scene = Scene()
    scene.plan("a", plan="1")
    scene.cluster.fail = lambda call: Unavailable("away") if call.startswith("LIST") else None
    await scene.reads.list_ours([PLANS])
    without = await scene.data("a")
    scene.cluster.fail = lambda _call: None
    await scene.reads.list_ours([PLANS])
    scene.reads.started()

    assert without == await scene.data("a") == {"plan": "1"}
    assert [call for call in scene.cluster.calls if call.startswith("GET")] == ["GET configmaps fanout/a"] * 2
