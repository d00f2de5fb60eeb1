"""The list of all routes that stands in for what no watch has told."""

import random

from fanout_operator.app import Chances, Operator
from fanout_operator.kube import ROUTES, Unavailable
from fanout_operator.options import Options
from tests.unit.operator.cluster import Cluster
from tests.unit.operator.made import route

LIST = f"LIST {ROUTES.plural}"


def operator(cluster: Cluster) -> Operator:
    """An operator that may watch two namespaces, each with a list of its own."""
    chances = Chances(random.Random(1), lambda: "revision", lambda: "2026-01-01T00:00:00Z")
    return Operator(Options(namespace="fanout", namespaces=("shop", "warehouse")), cluster, chances)


async def test_an_edit_that_only_a_list_which_broke_off_has_told_of_is_told_of_all_the_same() -> None:
    cluster = Cluster()
    for namespace in ("shop", "warehouse"):
        cluster.put(ROUTES, route("orders", namespace=namespace))
    one = operator(cluster)
    first = await one.list_routes()
    cluster.put(ROUTES, route("orders", {"name": "crm", "url": "https://other.example.com/"}, namespace="shop"))
    asked = len(cluster.calls)
    cluster.fail = lambda _: Unavailable("away") if cluster.calls[asked:] == [LIST, LIST] else None

    again = await one.list_routes()

    assert first == ["shop/orders", "warehouse/orders"]
    assert (again, cluster.calls[asked:]) == (["shop/orders"], [LIST] * 4)
