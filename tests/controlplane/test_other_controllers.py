"""Conditions that other controllers keep on a route, as KEP-1623 lets them, beside ours."""

import json
from collections.abc import Iterator

import pytest

from fanout_crds.route import API_VERSION, KIND
from fanout_operator.kube import ROUTES
from tests.controlplane.installed import Installation, Operator, condition, running_operator
from tests.controlplane.manifests import CRM
from tests.controlplane.reports import Reports
from tests.controlplane.waiting import Document

CHECKED = "checks.example.com/Reviewed"


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-others")


@pytest.fixture(scope="module", autouse=True)
def operator(fanout: Installation, reports: Reports) -> Iterator[Operator]:
    with running_operator(fanout, f"--dispatcher={reports.url}") as process:
        yield process


def review(fanout: Installation, namespace: str, name: str, status: str) -> Document:
    """Say something of a route as another controller does: server-side apply of its own condition alone."""
    said = {
        "type": CHECKED,
        "status": status,
        "reason": "Seen",
        "message": "somebody has looked",
        "lastTransitionTime": "2026-01-01T00:00:00Z",
    }
    document = {
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": name, "namespace": namespace},
        "status": {"conditions": [said]},
    }
    with fanout.server.client() as client:
        answer = client.patch(
            ROUTES.path(namespace, name, "status"),
            params={"fieldManager": "reviewer"},
            headers={"Content-Type": "application/apply-patch+yaml"},
            content=json.dumps(document),
        )
    applied: Document = answer.raise_for_status().json()
    return applied


def test_another_controllers_condition_stays_whatever_we_write_and_costs_no_patch(
    fanout: Installation, operator: Operator, reports: Reports, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    fanout.status(namespace, "orders", Ready="False/Waiting")
    review(fanout, namespace, "orders", "False")
    reports.run(plan)
    fanout.status(namespace, "orders", Ready="True", **{CHECKED: "False/Seen"})
    fanout.one_more(namespace)
    before = operator.patches()
    for status in ("True", "False", "True"):
        review(fanout, namespace, "orders", status)
    fanout.apply(fanout.route(namespace, "last", CRM))
    fanout.status(namespace, "last", Accepted="True", Ready="False/Waiting")
    after = fanout.status(namespace, "orders", Ready="True", **{CHECKED: "True/Seen"})

    assert operator.patches() - before == 2  # the plan and the status of the last one
    assert condition(after, CHECKED)["message"] == "somebody has looked"


def test_the_condition_remains_its_controllers_own(fanout: Installation, reports: Reports, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    fanout.status(namespace, "orders", Ready="False/Waiting")
    review(fanout, namespace, "orders", "True")
    reports.run(plan)
    fanout.status(namespace, "orders", Ready="True")
    with fanout.server.client() as client:
        path = ROUTES.path(namespace, "orders")
        found = client.get(path).raise_for_status().json()["metadata"]["managedFields"]
    owners = {one["manager"] for one in found if CHECKED in json.dumps(one)}

    assert owners == {"reviewer"}


def test_a_route_that_leaves_for_another_class_keeps_what_others_say_of_it(
    fanout: Installation, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    fanout.status(namespace, "orders", Accepted="True")
    review(fanout, namespace, "orders", "True")
    fanout.apply(fanout.route(namespace, "orders", CRM, className="nobody"))
    fanout.status(namespace, "orders", Accepted="Unknown/Pending", Ready="Unknown/Pending", **{CHECKED: "True/Seen"})
