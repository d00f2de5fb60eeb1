"""Two dispatchers of one installation, each with a report of its own: what the operator makes of both together."""

from collections.abc import Iterator

import pytest

from tests.controlplane.installed import Installation, condition, running_operator
from tests.controlplane.manifests import CRM
from tests.controlplane.reports import Reports, reporting


@pytest.fixture(scope="module")
def other() -> Iterator[Reports]:
    """The report port of the second one."""
    with reporting() as port:
        yield port


@pytest.fixture(scope="module", autouse=True)
def fanout(release: Installation, reports: Reports, other: Reports) -> Iterator[Installation]:
    installation = release.beside("test-two-dispatchers")
    with running_operator(installation, f"--dispatcher={reports.url}", f"--dispatcher={other.url}"):
        yield installation


def test_a_route_waits_for_the_one_that_lags_behind_by_its_name(
    fanout: Installation, reports: Reports, other: Reports, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    reports.run(plan)
    fanout.apply(fanout.route(namespace, "seen", CRM))  # its answer comes after what was reported until then
    for one in (reports, other):
        one.run(fanout.plan(namespace, "seen"))
    fanout.status(namespace, "seen", Ready="True")
    lags = fanout.status(namespace, "orders", Ready="False/Waiting")
    other.run(plan)
    runs = fanout.status(namespace, "orders", Ready="True")

    assert condition(lags, "Programmed")["message"] == f"not yet running this revision: {other.url}"
    assert "programmedGeneration" not in lags
    assert runs["programmedGeneration"] == 1


def test_what_is_keyed_holds_for_each_of_them_only_and_healthy_says_so(
    fanout: Installation, reports: Reports, other: Reports, namespace: str
) -> None:
    ordered = CRM | {"policy": {"ordering": {"keyExpression": "event.subject"}}}
    fanout.apply(fanout.route(namespace, "orders", ordered, accept={"idempotency": {}}))
    plan = fanout.plan(namespace, "orders")
    reports.run(plan)
    other.run(plan)
    status = fanout.status(namespace, "orders", Ready="True", Healthy="False/KeyedPerReplica")

    assert condition(status, "Healthy")["message"] == (
        "each of 2 dispatchers keeps for itself, so that it does not hold across them:"
        " accept.idempotency, ordering of target crm"
    )


def test_what_both_count_is_added_and_the_worst_circuit_is_told(
    fanout: Installation, reports: Reports, other: Reports, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    plan = fanout.plan(namespace, "orders")
    reports.run(plan, crm={"pending": 5, "deadLetters": 1})
    other.run(plan, crm={"pending": 7, "deadLetters": 2, "circuit": "Open", "lastError": "connect failed"})
    status = fanout.status(namespace, "orders", Ready="True", Healthy="False/CircuitOpen")

    assert status["targets"] == [
        {"name": "crm", "circuit": "Open", "pending": 12, "deadLetters": 3, "lastError": "connect failed"}
    ]
    assert (status["pending"], status["deadLetters"], status["openCircuits"]) == (12, 3, 1)
