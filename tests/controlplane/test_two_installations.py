"""Two installations in one cluster: each serves the routes of its class, and a route moves between them whole."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest

from fanout_crds.cluster_plan import CLASS, name_of
from fanout_operator.kube import CONFIG_MAPS, ROUTES
from tests.controlplane.installed import Installation, condition, running_operator
from tests.controlplane.manifests import CRM, secret
from tests.controlplane.reports import Reports, reporting
from tests.controlplane.waiting import Document, until
from tests.harness.apiserver import ApiServer

MAIL: Document = {
    "name": "mail",
    "url": "https://mail.example.com/",
    "authentication": {"bearer": {"secretRef": {"name": "mail", "key": "token"}}},
}


class Side:
    """One installation that runs, and what its dispatchers report."""

    def __init__(self, installation: Installation, reports: Reports) -> None:
        self.fanout = installation
        self.reports = reports


@pytest.fixture(scope="module")
def sides(apiserver: ApiServer, release: Installation) -> Iterator[tuple[Side, Side]]:
    with ExitStack() as stack:
        green = Installation(apiserver, "test-green")
        green.install()
        yield _side(release.beside("test-blue"), stack), _side(green, stack)


def _side(installation: Installation, stack: ExitStack) -> Side:
    reports = stack.enter_context(reporting())
    stack.enter_context(running_operator(installation, f"--dispatcher={reports.url}"))
    return Side(installation, reports)


def test_each_serves_its_own_routes_and_no_other(sides: tuple[Side, Side], namespace: str) -> None:
    blue, green = sides
    blue.fanout.apply(blue.fanout.route(namespace, "blue", CRM), green.fanout.route(namespace, "green", CRM))
    for side, name in ((blue, "blue"), (green, "green")):
        side.reports.run(side.fanout.plan(namespace, name))
        side.fanout.status(namespace, name, Ready="True")

    assert f"{namespace}/green" not in blue.fanout.plans()
    assert f"{namespace}/blue" not in green.fanout.plans()


def test_a_route_that_moves_takes_its_plan_its_credentials_and_its_status_along(
    sides: tuple[Side, Side], namespace: str
) -> None:
    blue, green = sides
    blue.fanout.apply(secret(namespace, "mail", token="t"), blue.fanout.route(namespace, "orders", MAIL))
    before = blue.fanout.plan(namespace, "orders")
    blue.reports.run(before)
    blue.fanout.status(namespace, "orders", Ready="True")
    green.fanout.apply(green.fanout.route(namespace, "orders", MAIL))
    blue.fanout.without_plan(namespace, "orders")
    after = green.fanout.plan(namespace, "orders")
    moved = green.fanout.status(namespace, "orders", Ready="False/Waiting")
    green.reports.run(after)
    ready = green.fanout.status(namespace, "orders", Ready="True")

    assert after["uid"] == before["uid"]
    assert after["revision"] != before["revision"]
    assert condition(moved, "Programmed")["message"].endswith(green.reports.url)
    assert ready["observedGeneration"] == ready["programmedGeneration"] == 2
    assert f"{namespace}/orders" not in blue.fanout.plans()


def test_a_route_that_moves_to_where_nobody_is_does_not_look_served(sides: tuple[Side, Side], namespace: str) -> None:
    blue, _ = sides
    blue.fanout.apply(blue.fanout.route(namespace, "orders", CRM))
    blue.reports.run(blue.fanout.plan(namespace, "orders"))
    blue.fanout.status(namespace, "orders", Ready="True")
    blue.fanout.apply(blue.fanout.route(namespace, "orders", CRM, className="nobody"))
    status = blue.fanout.status(namespace, "orders", Accepted="Unknown/Pending", Ready="Unknown/Pending")

    assert set(status) == {"conditions"}
    assert len(status["conditions"]) == 2


def test_two_that_write_into_one_namespace_do_not_take_each_others_plans(
    sides: tuple[Side, Side], namespace: str
) -> None:
    blue, _ = sides
    with ExitStack() as stack:
        red = _side(blue.fanout.beside("test-red"), stack)
        blue.fanout.apply(secret(namespace, "mail", token="t"), blue.fanout.route(namespace, "orders", MAIL))
        blue.reports.run(plan := blue.fanout.plan(namespace, "orders"))
        blue.fanout.status(namespace, "orders", Ready="True")
        for side, generation in ((red, 2), (blue, 3), (red, 4)):
            side.fanout.apply(side.fanout.route(namespace, "orders", MAIL))
            side.reports.run(side.fanout.plan(namespace, "orders", generation=generation))
            _programmed(side.fanout, namespace, generation)
            (config,) = until(
                side.fanout.server, CONFIG_MAPS.path(side.fanout.namespace), bool, name=name_of(plan["uid"])
            )
            assert config["metadata"]["labels"][CLASS] == side.fanout.class_name


def _programmed(fanout: Installation, namespace: str, generation: int) -> None:
    """Wait until this generation of the route runs everywhere."""

    def holds(items: list[Document]) -> bool:
        return bool(items[0]["status"].get("programmedGeneration") == generation)

    until(fanout.server, ROUTES.path(namespace), holds, name="orders")
