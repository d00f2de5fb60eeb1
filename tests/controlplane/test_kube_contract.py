"""What the operator relies on of a Kubernetes API: the real one and its twin in a dict keep the same promises."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import aclosing

import msgspec
import pytest

from fanout_operator.access import find
from fanout_operator.kube import (
    CONFIG_MAPS,
    ROUTES,
    SECRETS,
    Conflict,
    Document,
    Kind,
    Kube,
    NotFound,
    Page,
    Refused,
    Scope,
    Unavailable,
)
from fanout_operator.rest import Rest
from tests.controlplane.installed import define
from tests.harness.apiserver import ApiServer
from tests.unit.operator.cluster import Cluster

ROUTE: Document = {"className": "test-contract", "targets": [{"name": "crm", "url": "https://crm.example.com/"}]}


@pytest.fixture(params=["twin", "real"])
async def kube(request: pytest.FixtureRequest) -> AsyncIterator[Kube]:
    if request.param == "twin":
        yield Cluster()
        return
    server: ApiServer = request.getfixturevalue("apiserver")
    define(server)
    access = find(server.kubeconfig, {}, asyncio.get_running_loop().time)
    async with access.session() as session:
        yield Rest(session, access.server)
    await asyncio.sleep(0.05)  # TLS connections of watches that were left need some turns of the loop to be closed


def config_map(namespace: str, name: str = "plan", **data: str) -> Document:
    metadata = {"name": name, "namespace": namespace, "labels": {"test": "contract"}}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data}


async def test_what_is_applied_is_there(kube: Kube, namespace: str) -> None:
    made = await kube.apply(CONFIG_MAPS, config_map(namespace, a="1"))
    found = await kube.get(CONFIG_MAPS, namespace, "plan")

    assert (found["data"], made.get("data")) == ({"a": "1"}, None), "its metadata is all that is answered"
    assert found["metadata"]["uid"] == made["metadata"]["uid"]


async def test_applying_the_same_again_changes_nothing(kube: Kube, namespace: str) -> None:
    first = await kube.apply(CONFIG_MAPS, config_map(namespace, a="1"))
    second = await kube.apply(CONFIG_MAPS, config_map(namespace, a="1"))

    assert second["metadata"]["resourceVersion"] == first["metadata"]["resourceVersion"]


async def test_what_is_not_applied_any_more_is_gone_from_the_object(kube: Kube, namespace: str) -> None:
    await kube.apply(CONFIG_MAPS, config_map(namespace, a="1", b="2"))
    await kube.apply(CONFIG_MAPS, config_map(namespace, b="3"))

    assert (await kube.get(CONFIG_MAPS, namespace, "plan"))["data"] == {"b": "3"}


async def test_what_somebody_edits_is_taken_from_its_applier_even_when_it_gets_its_value_back(
    kube: Kube, namespace: str
) -> None:
    await kube.apply(CONFIG_MAPS, config_map(namespace, a="1", b="2"))
    made = await kube.get(CONFIG_MAPS, namespace, "plan")
    edited = await kube.replace(CONFIG_MAPS, {**made, "data": {"a": "1", "b": "3"}})
    back = await kube.replace(CONFIG_MAPS, {**edited, "data": {"a": "1", "b": "2", "c": "4"}})
    again = await kube.apply(CONFIG_MAPS, config_map(namespace, a="1", b="2"))

    assert [applied(one) for one in (made, edited, back, again)] == [["f:a", "f:b"], ["f:a"], ["f:a"], ["f:a", "f:b"]]
    assert (await kube.get(CONFIG_MAPS, namespace, "plan"))["data"].keys() >= {"a", "b"}


def applied(document: Document) -> list[str]:
    """Whose data the API server has down as applied by us."""
    (ours,) = [one for one in document["metadata"]["managedFields"] if one["operation"] == "Apply"]
    return sorted(ours["fieldsV1"]["f:data"])


async def test_an_immutable_object_and_the_type_of_a_secret_can_only_be_made_anew(kube: Kube, namespace: str) -> None:
    metadata = {"name": "plan", "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "type": "Opaque", "data": {}}
    await kube.create(CONFIG_MAPS, {**config_map(namespace, a="1"), "immutable": True})
    await kube.create(SECRETS, {**secret, "type": "example.com/another"})

    for kind, document in ((CONFIG_MAPS, config_map(namespace, a="2")), (SECRETS, secret)):
        with pytest.raises(Refused, match="immutable"):
            await kube.apply(kind, document)
        await kube.delete(kind, namespace, "plan")
        await kube.apply(kind, document)
        assert (await kube.get(kind, namespace, "plan")).get("data", {}) == document["data"]


async def test_what_is_not_there_is_not_found(kube: Kube, namespace: str) -> None:
    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAPS, namespace, "absent")
    with pytest.raises(NotFound):
        await kube.delete(CONFIG_MAPS, namespace, "absent")


async def test_a_read_may_be_no_older_than_a_version_which_must_be_one_of_the_cluster(
    kube: Kube, namespace: str
) -> None:
    made = await kube.apply(CONFIG_MAPS, config_map(namespace, a="1"))
    version = made["metadata"]["resourceVersion"]

    assert (await kube.get(CONFIG_MAPS, namespace, "plan", since=version))["data"] == {"a": "1"}
    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAPS, namespace, "absent", since=version)
    with pytest.raises(Unavailable, match="Too large resource version"):
        await kube.get(CONFIG_MAPS, namespace, "plan", since=str(int(version) + 1_000_000))


async def test_which_of_several_kinds_is_served_is_known_without_any_object(kube: Kube) -> None:
    unknown = Kind("example.invalid", "v1", "things", "Thing")
    other = msgspec.structs.replace(CONFIG_MAPS, plural="others", name="Other")
    if isinstance(kube, Cluster):
        kube.absent = {unknown, other}

    assert await kube.served((unknown, other, CONFIG_MAPS, SECRETS)) == CONFIG_MAPS
    assert await kube.served((unknown, other)) is None


async def test_only_the_object_that_is_meant_is_deleted(kube: Kube, namespace: str) -> None:
    made = await kube.apply(CONFIG_MAPS, config_map(namespace))
    with pytest.raises(Conflict):
        await kube.delete(CONFIG_MAPS, namespace, "plan", "another-uid")
    changed = await kube.apply(CONFIG_MAPS, config_map(namespace, a="2"))
    with pytest.raises(Conflict):
        await kube.delete(CONFIG_MAPS, namespace, "plan", version=made["metadata"]["resourceVersion"])
    await kube.delete(
        CONFIG_MAPS, namespace, "plan", made["metadata"]["uid"], version=changed["metadata"]["resourceVersion"]
    )

    with pytest.raises(NotFound):
        await kube.get(CONFIG_MAPS, namespace, "plan")


async def test_what_is_made_is_made_once(kube: Kube, namespace: str) -> None:
    await kube.create(CONFIG_MAPS, config_map(namespace, a="1"))
    with pytest.raises(Conflict):
        await kube.create(CONFIG_MAPS, config_map(namespace, a="2"))

    assert (await kube.get(CONFIG_MAPS, namespace, "plan"))["data"] == {"a": "1"}


async def test_only_the_version_that_is_meant_is_replaced(kube: Kube, namespace: str) -> None:
    first = await kube.create(CONFIG_MAPS, config_map(namespace, a="1", b="1"))
    second = await kube.replace(CONFIG_MAPS, {**first, "data": {"a": "2"}})
    with pytest.raises(Conflict):
        await kube.replace(CONFIG_MAPS, {**first, "data": {"a": "3"}})
    with pytest.raises(NotFound):
        await kube.replace(CONFIG_MAPS, config_map(namespace, "absent"))

    assert (await kube.get(CONFIG_MAPS, namespace, "plan"))["data"] == second["data"] == {"a": "2"}


async def test_a_list_has_what_the_labels_say_and_a_watch_goes_on_from_there(kube: Kube, namespace: str) -> None:
    scope = Scope(kind=CONFIG_MAPS, namespace=namespace, labels="test=contract")
    await kube.apply(CONFIG_MAPS, config_map(namespace, "before"))
    listing = await _list(kube, scope)
    await kube.apply(CONFIG_MAPS, config_map(namespace, "after", a="1"))
    await kube.apply(CONFIG_MAPS, config_map(namespace, "after", a="2"))
    await kube.delete(CONFIG_MAPS, namespace, "before")
    seen = []
    async with asyncio.timeout(10), aclosing(kube.watch(scope, listing.version)) as events:  # type: ignore[type-var]
        async for event in events:
            if event.type != "BOOKMARK":
                seen.append((event.type, event.object["metadata"]["name"]))
            if len(seen) == 3:
                break

    assert [one["metadata"]["name"] for one in listing.items] == ["before"]
    assert seen == [("ADDED", "after"), ("MODIFIED", "after"), ("DELETED", "before")]


async def _list(kube: Kube, scope: Scope) -> Page:
    (page,) = [page async for page in kube.pages(scope)]
    return page


async def test_metadata_only_never_shows_what_a_secret_holds(kube: Kube, namespace: str) -> None:
    scope = Scope(kind=SECRETS, namespace=namespace, metadata_only=True)
    since = (await _list(kube, scope)).version
    value = base64.b64encode(b"canary").decode()
    metadata = {"name": "token", "namespace": namespace}
    secret = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"token": value}}
    answer = await kube.apply(SECRETS, secret)
    listing = await _list(kube, scope)
    async with asyncio.timeout(10), aclosing(kube.watch(scope, since)) as events:  # type: ignore[type-var]
        event = await anext(events)

    assert [one["metadata"]["name"] for one in listing.items] == ["token"]
    assert event.object["metadata"]["name"] == "token"
    assert value not in str((answer, listing, event))


async def test_a_status_is_merged_and_only_into_the_version_that_is_meant(kube: Kube, namespace: str) -> None:
    metadata = {"name": "orders", "namespace": namespace}
    route = {"apiVersion": ROUTES.api_version, "kind": ROUTES.name, "metadata": metadata, "spec": ROUTE}
    made = await kube.apply(ROUTES, route)
    first = await kube.patch_status(ROUTES, namespace, "orders", _patch(made, pending=1, deadLetters=2))
    second = await kube.patch_status(ROUTES, namespace, "orders", _patch(first, pending=None))
    with pytest.raises(Conflict):
        await kube.patch_status(ROUTES, namespace, "orders", _patch(first, pending=9))

    assert "pending" not in second["status"]
    assert second["status"]["deadLetters"] == 2
    assert second["metadata"]["generation"] == 1


def _patch(of: Document, **status: int | None) -> Document:
    return {"metadata": {"resourceVersion": of["metadata"]["resourceVersion"]}, "status": status}
