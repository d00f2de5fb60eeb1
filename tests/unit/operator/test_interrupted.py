"""A reconcile that is cancelled at each of its requests to the API server, and done again: nobody can tell afterwards.

What is cancelled may have been carried out all the same, so each request is cancelled before that, and after it.
"""

import asyncio
import itertools
from collections.abc import Callable, Coroutine
from typing import TypeVar

import msgspec
import pytest

from fanout_crds import cluster_plan
from fanout_crds import plan as plans
from fanout_operator.kube import Document, Kind
from tests.unit.operator.cluster import Address, Cluster
from tests.unit.operator.made import CRM, DISPATCHERS, route, secret
from tests.unit.operator.test_reconcile import KEY, MAIL, Scene

T = TypeVar("T")
OF_THE_SERVER = ("uid", "resourceVersion", "creationTimestamp")


class Cutting(Cluster):
    """Has whoever makes its nth request cancelled at it."""

    def __init__(self, *, carried_out: bool) -> None:
        super().__init__()
        self.carried_out = carried_out
        self.cut_in = 0  # requests; 0: never
        self.cancel: Callable[[], object] = lambda: None

    async def get(self, kind: Kind, namespace: str | None, name: str, *, since: str = "") -> Document:
        return await self._or_cut(super().get(kind, namespace, name, since=since))

    async def apply(self, kind: Kind, document: Document) -> Document:
        return await self._or_cut(super().apply(kind, document))

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str | None = None, *, version: str | None = None
    ) -> None:
        await self._or_cut(super().delete(kind, namespace, name, uid, version=version))

    async def _or_cut(self, request: Coroutine[object, object, T]) -> T:
        self.cut_in -= 1
        if self.cut_in != 0:
            return await request
        if self.carried_out:
            await asyncio.gather(request, return_exceptions=True)
        request.close()
        self.cancel()
        await asyncio.Event().wait()  # for ever, but for the cancellation
        raise AssertionError


def created(scene: Scene) -> None:
    scene.put(route("orders", MAIL))


def changed(scene: Scene) -> None:
    scene.put(route("orders", MAIL, {"name": "crm", "url": "https://other.example.com/"}))


def without_credentials(scene: Scene) -> None:
    scene.put(route("orders", CRM))


def rotated(scene: Scene) -> None:
    secret(scene.cluster, "mail", token="c2Vjb25k")


def deleted(scene: Scene) -> None:
    scene.delete()


def made_again(scene: Scene) -> None:
    scene.delete()
    scene.put(route("orders", MAIL))


async def lived(step: Callable[[Scene], None], *, cut_in: int, carried_out: bool) -> tuple[bool, Cluster]:
    """Whether the reconcile that follows the step was cancelled, and the cluster once another one is through."""
    cluster = Cutting(carried_out=carried_out)
    scene = Scene(cluster=cluster)
    secret(cluster, "mail", token="Zmlyc3Q=")
    if step is not created:
        await scene.made(route("orders", MAIL))
    step(scene)
    task = asyncio.create_task(scene.reconcile(KEY))
    cluster.cut_in, cluster.cancel = cut_in, task.cancel
    await asyncio.wait([task])
    cluster.cut_in = 0
    if not task.cancelled():
        task.result()
    await scene.reconcile(KEY)
    return task.cancelled(), cluster


def dump(cluster: Cluster) -> dict[Address, Document]:
    """All that lies in the cluster, without what the server adds; revisions, which are random, by their order."""
    told: dict[str, str] = {}
    return {address: _plain(one, told) for address, one in sorted(cluster.objects.items())}


def _plain(document: Document, told: dict[str, str]) -> Document:
    metadata = {key: value for key, value in document["metadata"].items() if key not in OF_THE_SERVER}
    if revision := metadata.get("annotations", {}).get(cluster_plan.REVISION):
        named = told.setdefault(revision, f"revision {len(told)}")
        metadata["annotations"] = {**metadata["annotations"], cluster_plan.REVISION: named}
    data = dict(document.get("data", {}))
    if cluster_plan.FILE in data:
        plan = plans.decode(data[cluster_plan.FILE])
        data[cluster_plan.FILE] = msgspec.structs.replace(plan, revision=told.get(plan.revision, "another"))
    return {**document, "metadata": metadata, "data": data}


@pytest.mark.parametrize("carried_out", [False, True], ids=["before", "after"])
@pytest.mark.parametrize("step", [created, changed, without_credentials, rotated, deleted, made_again])
async def test_cancelled_at_any_request_and_done_again_it_leaves_what_it_does_undisturbed(
    step: Callable[[Scene], None], carried_out: bool
) -> None:
    _, undisturbed = await lived(step, cut_in=0, carried_out=carried_out)
    ends: list[dict[Address, Document]] = []
    for cut_in in itertools.count(1):
        cancelled, cluster = await lived(step, cut_in=cut_in, carried_out=carried_out)
        if not cancelled:
            break
        ends.append(dump(cluster))

    assert len(ends) > 1, "it made requests"
    assert bool(step is deleted) == (not [one for one in undisturbed.objects if one[1] == DISPATCHERS])
    assert ends == [dump(undisturbed)] * len(ends)
