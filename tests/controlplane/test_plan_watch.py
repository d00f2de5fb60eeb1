"""The dispatcher's side of the control plane, against the real API server: following plans, checking tokens."""

import asyncio
import contextlib
import json
import random
import typing

import msgspec

from fanout_crds import cluster_plan
from fanout_crds import plan as plans
from fanout_dispatcher.admin.review import TokenReviewer
from fanout_dispatcher.cluster import connect
from fanout_dispatcher.plans.kubernetes import KubernetesSource
from fanout_dispatcher.plans.pairing import Object
from fanout_dispatcher.telemetry.seam import PlansFaulty, Recorder, Seam
from tests.harness.apiserver import ApiServer
from tests.unit.dispatcher.admin.fakes import log
from tests.unit.dispatcher.plans import test_pairing as pairing
from tests.unit.dispatcher.plans.fakes import Bell, FakeSink

READER: Object = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "reader"}}
WATCHER: list[Object] = [
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "Role",
        "metadata": {"name": "watcher"},
        "rules": [{"apiGroups": [""], "resources": ["configmaps", "secrets"], "verbs": ["get", "list", "watch"]}],
    },
    {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "dispatcher"}},
    {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": {"name": "watcher"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "watcher"},
        "subjects": [{"kind": "ServiceAccount", "name": "dispatcher"}],
    },
]


class Operator:
    """Writes plans as the operator does, by kubectl."""

    def __init__(self, apiserver: ApiServer, namespace: str) -> None:
        self._apiserver = apiserver
        self._namespace = namespace

    async def write(self, *objects: Object) -> None:
        listed = json.dumps({"apiVersion": "v1", "kind": "List", "items": list(objects)})
        await self.kubectl("apply", "--server-side", "-f", "-", text=listed)

    async def kubectl(self, *args: str, text: str = "") -> None:
        await asyncio.to_thread(self._apiserver.kubectl, f"--namespace={self._namespace}", *args, input=text)


def config_map(name: str, revision: str, *, class_name: str = "fanout", bearer: bool = False) -> Object:
    plan = pairing.plan(revision=revision, bearer=bearer)
    plan = msgspec.structs.replace(plan, name=name, path=f"/shop/{name}")
    data = {cluster_plan.FILE: plans.encode(plan).decode()}
    return _marked("ConfigMap", name, revision, class_name) | {"data": data}


def secret(name: str, revision: str, value: str) -> Object:
    return _marked("Secret", name, revision, "fanout") | {"stringData": {"t.bearer": value}}


def _marked(kind: str, name: str, revision: str, class_name: str) -> Object:
    metadata = {
        "name": cluster_plan.name_of(name),
        "labels": cluster_plan.labels(class_name, name),
        "annotations": {cluster_plan.ROUTE: f"shop/{name}", cluster_plan.REVISION: revision},
    }
    return {"apiVersion": "v1", "kind": kind, "metadata": metadata}


@contextlib.asynccontextmanager
async def following(
    apiserver: ApiServer, namespace: str, seam: Seam | None = None, in_force: tuple[str, ...] = ()
) -> typing.AsyncIterator[tuple[FakeSink, Operator]]:
    """A source that follows *namespace* with the rights of a dispatcher, and an operator that writes there.

    Routes *in_force* were there before, by a journal.
    """
    operator, sink = Operator(apiserver, namespace), FakeSink(*in_force)
    await operator.write(*WATCHER)
    kubeconfig = await asyncio.to_thread(apiserver.kubeconfig_for, namespace, "dispatcher")
    cluster = connect(kubeconfig)
    source = KubernetesSource(
        cluster,
        namespace=cluster.namespace,
        class_name="fanout",
        sink=sink,
        seam=seam or Recorder(),
        rng=random.Random(1),
    )
    task = asyncio.create_task(source.run())
    try:
        await sink.until(lambda: sink.ready)
        yield sink, operator
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_plan_is_followed_from_its_first_revision_to_its_deletion(apiserver: ApiServer, namespace: str) -> None:
    async with following(apiserver, namespace) as (sink, operator):
        await operator.write(config_map("a", "r1"))
        await sink.until(lambda: sink.adopted == ["r1"])
        await operator.write(config_map("a", "r2"), config_map("b", "r3"))
        await sink.until(lambda: sink.adopted == ["r1", "r2", "r3"])
        await operator.kubectl("delete", "configmap", cluster_plan.name_of("a"))
        await sink.until(lambda: sink.retired == ["shop/a"])

        assert list(sink.plans) == ["shop/b"]


async def test_a_rotated_credential_arrives_with_the_plan_that_names_it(apiserver: ApiServer, namespace: str) -> None:
    async with following(apiserver, namespace) as (sink, operator):
        await operator.write(secret("a", "r1", "one"), config_map("a", "r1", bearer=True))
        await sink.until(lambda: sink.adopted == ["r1"])
        first = dict(sink.credentials["shop/a"])
        await operator.write(secret("a", "r2", "two"))
        await operator.write(config_map("a", "r2", bearer=True))
        await sink.until(lambda: sink.adopted == ["r1", "r2"])

        assert (first, sink.credentials["shop/a"]) == ({"t.bearer": b"one"}, {"t.bearer": b"two"})


async def test_plans_of_other_installations_and_other_config_maps_are_not_ours(
    apiserver: ApiServer, namespace: str
) -> None:
    async with following(apiserver, namespace) as (sink, operator):
        bystander = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "bystander"}, "data": {"a": "b"}}
        await operator.write(bystander, config_map("theirs", "r1", class_name="other"), config_map("ours", "r2"))
        await sink.until(lambda: sink.adopted)

        assert list(sink.plans) == ["shop/ours"]


async def test_an_api_server_that_goes_and_comes_back_takes_nothing_away_and_is_followed_again(
    apiserver: ApiServer, namespace: str
) -> None:
    seam = Bell()
    async with following(apiserver, namespace, seam) as (sink, operator):
        await operator.write(config_map("a", "r1"), config_map("b", "r1"))
        await sink.until(lambda: len(sink.plans) == 2)
        apiserver.stop()
        try:
            await seam.until(lambda: any(isinstance(one, PlansFaulty) for one in seam.changes))
            during = list(sink.plans)
        finally:
            apiserver.start()  # on this thread: the server dies with the one that starts it
        await operator.write(config_map("c", "r2"))
        await sink.until(lambda: len(sink.plans) == 3)

        assert during == ["shop/a", "shop/b"]
        assert sink.retired == []


async def test_a_dispatcher_that_lost_its_rights_keeps_what_it_has(apiserver: ApiServer, namespace: str) -> None:
    seam = Bell()
    async with following(apiserver, namespace) as (sink, operator):
        await operator.write(config_map("a", "r1"))
        await sink.until(lambda: sink.plans)
        await operator.kubectl("delete", "rolebinding", "watcher")
        kubeconfig = await asyncio.to_thread(apiserver.kubeconfig_for, namespace, "dispatcher")
        cluster = connect(kubeconfig)
        again = KubernetesSource(
            cluster, namespace=namespace, class_name="fanout", sink=sink, seam=seam, rng=random.Random(1)
        )
        task = asyncio.create_task(again.run())
        await seam.until(lambda: len(seam.changes) == 2)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

        assert all("403" in one.why for one in seam.changes if isinstance(one, PlansFaulty))
        assert sink.retired == []


async def test_the_only_route_stays_while_its_plan_is_there_by_name_though_no_list_has_it(
    apiserver: ApiServer, namespace: str
) -> None:
    unlisted = config_map("a", "r1")
    del unlisted["metadata"]["labels"]
    await Operator(apiserver, namespace).write(unlisted)
    async with following(apiserver, namespace, in_force=("shop/a",)) as (sink, _):
        await sink.until(lambda: sink.adopted or sink.retired)

        assert (sink.adopted, sink.retired) == (["r1"], [])


async def test_the_only_route_goes_when_its_plan_is_not_there_by_name_either(
    apiserver: ApiServer, namespace: str
) -> None:
    async with following(apiserver, namespace, in_force=("shop/a",)) as (sink, _):
        await sink.until(lambda: sink.retired)

        assert sink.retired == ["shop/a"]


async def test_only_a_readers_token_for_the_report_audience_may_read_the_report(
    apiserver: ApiServer, namespace: str
) -> None:
    await Operator(apiserver, namespace).write(*WATCHER, READER)
    ours = await asyncio.to_thread(apiserver.token_for, namespace, "reader", "fanout-report")
    others = await asyncio.to_thread(apiserver.token_for, namespace, "reader")
    strangers = await asyncio.to_thread(apiserver.token_for, namespace, "dispatcher", "fanout-report")
    readers = [f"system:serviceaccount:{namespace}:reader"]
    allowed = TokenReviewer(connect(apiserver.kubeconfig), log(), readers=readers, now=lambda: 0.0)

    answers = [await allowed(token) for token in (ours, others, strangers, ours + "x", "forged")]

    assert answers == [True, False, False, False, False]
