"""What `kubectl` tells of a route: Events posted by the operator as the chart's account, once for each change."""

from collections.abc import Iterator

import pytest

from fanout_operator.kube import EVENTS
from tests.controlplane.installed import Installation, Operator, running_operator
from tests.controlplane.manifests import CRM, service
from tests.controlplane.reports import Reports
from tests.controlplane.told import told
from tests.controlplane.waiting import Document, until

PATIENT: Document = CRM | {"policy": {"circuitBreaker": {"openDuration": "10m"}}}
HASTY: Document = {"policy": {"circuitBreaker": {"maxOpenDuration": "1m"}}}  # together they contradict each other
PAYMENT: Document = {"name": "payment", "service": {"name": "payment", "port": "http"}}


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-events")


@pytest.fixture(scope="module", autouse=True)
def operator(fanout: Installation, reports: Reports) -> Iterator[Operator]:
    with running_operator(fanout, f"--dispatcher={reports.url}") as process:
        yield process


def versions(events: list[Document]) -> list[str]:
    return [one["metadata"]["resourceVersion"] for one in events]


def running(fanout: Installation, reports: Reports, namespace: str) -> Document:
    """A route that runs everywhere; gives its plan."""
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    reports.run(plan)
    fanout.status(namespace, "orders", Ready="True", Healthy="True")
    return plan


def test_that_a_circuit_opens_and_closes_is_told_and_kubectl_describe_shows_it(
    fanout: Installation, reports: Reports, namespace: str
) -> None:
    plan = running(fanout, reports, namespace)
    reports.run(plan, crm={"circuit": "Open", "lastError": "connect failed"})
    told(fanout, namespace, "CircuitOpened")
    reports.run(plan)
    found = told(fanout, namespace, "CircuitClosed")
    reports.run(plan, crm={"circuit": "Open", "lastError": "connect failed"})
    until(fanout.server, EVENTS.path(namespace), lambda items: any(one["count"] == 2 for one in items))
    shown = fanout.server.kubectl("describe", "fanoutroute", "orders", f"--namespace={namespace}")
    listed = fanout.server.kubectl("get", "events", f"--namespace={namespace}", "--no-headers")

    assert [(one["type"], one["reason"]) for one in found] == [
        ("Warning", "CircuitOpened"),
        ("Normal", "CircuitClosed"),
    ]
    events = shown[shown.index("Events:") :]
    assert "fanout-operator" in events
    assert "(x2 over" in events
    assert "target crm: its circuit opened, deliveries are held; last error: connect failed" in events
    assert "fanoutroute/orders" in listed


def test_that_dead_letters_appeared_is_told_once_however_many_there_are(
    fanout: Installation, reports: Reports, namespace: str
) -> None:
    plan = running(fanout, reports, namespace)
    reports.run(plan, crm={"deadLetters": 1})
    told(fanout, namespace, "DeadLetters")
    reports.run(plan, crm={"deadLetters": 2, "circuit": "Open"})
    found = told(fanout, namespace, "CircuitOpened")

    assert [one["reason"] for one in found] == ["DeadLetters", "CircuitOpened"]
    assert found[0]["message"] == "target crm: dead letters wait to be replayed or removed: 1"


def test_a_refused_spec_and_a_missing_reference_are_told_and_that_they_are_mended(
    fanout: Installation, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", PATIENT, defaults=HASTY))
    told(fanout, namespace, "Invalid")
    fanout.apply(fanout.route(namespace, "orders", PAYMENT))
    told(fanout, namespace, "Accepted", "ServiceNotFound")
    fanout.apply(service(namespace, "payment"))
    fanout.status(namespace, "orders", ResolvedRefs="True")
    found = told(fanout, namespace, "Invalid", "Accepted", "ServiceNotFound")
    by_reason = {one["reason"]: one for one in found}

    assert by_reason["Invalid"]["type"] == by_reason["ServiceNotFound"]["type"] == "Warning"
    assert by_reason["Accepted"]["type"] == "Normal"
    assert f"there is no Service {namespace}/payment" in by_reason["ServiceNotFound"]["message"]


def test_a_restart_tells_nothing_again(
    fanout: Installation, operator: Operator, reports: Reports, namespace: str
) -> None:
    plan = running(fanout, reports, namespace)
    reports.run(plan, crm={"circuit": "Open", "deadLetters": 1})
    fanout.apply(fanout.route(namespace, "refused", PATIENT, defaults=HASTY))
    before = told(fanout, namespace, "CircuitOpened", "DeadLetters", "Invalid")
    operator.stop()
    operator.start()
    reports.run(plan, crm={"circuit": "Open", "deadLetters": 1, "pending": 100})
    fanout.apply(fanout.route(namespace, "later", PATIENT, defaults=HASTY))
    until(fanout.server, EVENTS.path(namespace), lambda items: len(items) > len(before))
    after = told(fanout, namespace)

    assert [one["involvedObject"]["name"] for one in after[len(before) :]] == ["later"]
    assert versions(after[: len(before)]) == versions(before)
    assert operator.metric("fanout_operator_events_dropped_total") == 0
