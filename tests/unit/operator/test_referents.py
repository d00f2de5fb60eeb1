"""What routes refer to: a change of it reaches exactly the routes that use it, and the part that it concerns."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fanout_operator.dependants import thing_of
from fanout_operator.endpoints import Heard
from fanout_operator.grants import Permission
from fanout_operator.kube import ENDPOINT_SLICES, GRANTS, SECRETS, SERVICES, Document
from fanout_operator.referents import Hearers, Referents
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import rng, secret, service

SERVICE, OTHER, SECRET = thing_of(SERVICES, "shop/payment"), thing_of(SERVICES, "shop/crm"), thing_of(SECRETS, "shop/m")
ANY_SECRET_OF_VAULT = Permission("vault", "shop", "Secret", "")


class Scene:
    """Two routes that need different things, and what is told of them."""

    def __init__(self, *namespaces: str) -> None:
        self.cluster = Cluster()
        self.told: asyncio.Queue[str] = asyncio.Queue()
        hearers = Hearers(
            wake=lambda route: self.told.put_nowait(f"wake {route}"),
            endpoints_came=lambda route: self.told.put_nowait(f"came {route}"),
            endpoints_went=lambda route: self.told.put_nowait(f"went {route}"),
            endpoints_listed=lambda: None,
            service_deleted=lambda service: self.told.put_nowait(f"deleted {service}"),
        )
        self.referents = Referents(self.cluster, namespaces, hearers, rng=rng())
        self.referents.dependants.set("shop/orders", frozenset({SERVICE, ANY_SECRET_OF_VAULT.thing}))
        self.referents.dependants.set("shop/returns", frozenset({OTHER, SECRET}))

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(one.run()) for one in self.referents.reflectors]
        try:
            async with asyncio.timeout(5):
                for one in self.referents.reflectors:
                    await one.synced.wait()
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


def slice_(*, ready: bool) -> Document:
    metadata = {"name": "payment-x", "namespace": "shop", "labels": {"kubernetes.io/service-name": "payment"}}
    return {"metadata": metadata, "endpoints": [{"addresses": ["10.0.0.1"], "conditions": {"ready": ready}}]}


async def test_that_a_service_is_deleted_is_told_whoever_uses_it() -> None:
    scene = Scene()
    async with scene.running():
        service(scene.cluster, "nobodys")
        service(scene.cluster, "payment")
        first = await scene.told.get()
        scene.cluster.remove(SERVICES, "shop", "nobodys")

        assert (first, await scene.told.get()) == ("wake shop/orders", "deleted shop/nobodys")


async def test_a_service_and_a_secret_wake_the_routes_that_use_them_and_no_others() -> None:
    scene = Scene()
    async with scene.running():
        service(scene.cluster, "payment")
        first = await scene.told.get()
        secret(scene.cluster, "nobodys")
        secret(scene.cluster, "m")
        second = await scene.told.get()

    assert (first, second) == ("wake shop/orders", "wake shop/returns")
    assert scene.told.empty()


async def test_a_grant_wakes_the_routes_that_need_it() -> None:
    scene = Scene()
    grant = {
        "metadata": {"name": "shop", "namespace": "vault"},
        "spec": {
            "from": [{"group": "fanout.dev", "kind": "FanoutRoute", "namespace": "shop"}],
            "to": [{"group": "", "kind": "Secret"}],
        },
    }
    async with scene.running():
        known = scene.referents.granted()
        scene.cluster.put(GRANTS[0], grant)

        assert await scene.told.get() == "wake shop/orders"
    assert known
    assert scene.referents.grants.among([ANY_SECRET_OF_VAULT]) == {ANY_SECRET_OF_VAULT}


async def test_endpoints_that_come_and_go_wake_nobody_and_are_told_by_themselves() -> None:
    scene = Scene()
    async with scene.running():
        scene.cluster.put(ENDPOINT_SLICES, slice_(ready=True))
        came = await scene.told.get()
        scene.cluster.put(ENDPOINT_SLICES, slice_(ready=False))
        went = await scene.told.get()

    assert (came, went) == ("came shop/orders", "went shop/orders")


async def test_where_endpoints_listen_wakes_the_routes_that_had_to_ask_for_it_and_no_others() -> None:
    scene = Scene()
    scene.referents.dependants.set("shop/orders", frozenset({thing_of(ENDPOINT_SLICES, "shop/payment")}))
    async with scene.running():
        known = scene.referents.endpoints_known()
        scene.cluster.put(ENDPOINT_SLICES, {**slice_(ready=True), "ports": [{"name": "http", "port": 8080}]})

        assert await scene.told.get() == "wake shop/orders"
    assert known
    assert scene.referents.endpoints.listens("shop/payment", "http") == Heard(8080)
    assert scene.told.empty()


async def test_before_the_lists_are_here_no_grant_is_known_and_no_endpoint_missing() -> None:
    scene = Scene()

    assert not scene.referents.granted()
    assert scene.referents.has_endpoints("shop/payment")

    async with scene.running():
        await scene.referents.listed()

        assert scene.referents.granted()
        assert not scene.referents.has_endpoints("shop/payment")


async def test_where_namespaces_are_named_nothing_else_is_watched() -> None:
    scene = Scene("shop", "pay")

    assert {one.scope.namespace for one in scene.referents.reflectors} == {"shop", "pay"}
    assert {one.scope.metadata_only for one in scene.referents.reflectors if one.scope.kind is SECRETS} == {True}
