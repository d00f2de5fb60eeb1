"""Two installations that serve one class by mistake: both go on, they do not fight, and people are told."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import pytest

from fanout_operator.kube import EVENTS, ROUTES
from tests.controlplane.installed import Installation, Operator, condition, running_operator
from tests.controlplane.manifests import CRM
from tests.controlplane.reports import Reports, reporting
from tests.controlplane.waiting import Document, until
from tests.harness.apiserver import ApiServer

CLASS = "test-twice"


class Side:
    """One installation, its operator, and what its dispatchers report."""

    def __init__(self, fanout: Installation, operator: Operator, reports: Reports) -> None:
        self.fanout = fanout
        self.operator = operator
        self.reports = reports

    def __str__(self) -> str:
        return f"{self.fanout.namespace}/fanout-report"


@pytest.fixture(scope="module")
def sides(apiserver: ApiServer, release: Installation) -> Iterator[tuple[Side, Side]]:
    with ExitStack() as stack:
        other = Installation(apiserver, CLASS)
        other.install()
        yield _side(release.beside(CLASS), stack), _side(other, stack)


def _side(installation: Installation, stack: ExitStack) -> Side:
    reports = stack.enter_context(reporting())
    operator = running_operator(installation, f"--dispatcher={reports.url}")
    return Side(installation, stack.enter_context(operator), reports)


def test_whoever_has_a_routes_status_keeps_it_and_both_say_that_there_are_two(
    sides: tuple[Side, Side], namespace: str
) -> None:
    first, second = sides
    second.operator.stop()
    first.fanout.apply(first.fanout.route(namespace, "orders", CRM))
    first.reports.run(first.fanout.plan(namespace, "orders"))
    first.fanout.status(namespace, "orders", Ready="True", Healthy="True")
    second.operator.start()  # its dispatchers never run its plan: what the two would say differs
    contested = first.fanout.status(namespace, "orders", Healthy="False/ClassContested")
    for side in sides:
        side.operator.counts("fanout_operator_routes_contested", 1)
    before = sum(side.operator.patches() for side in sides)
    first.fanout.apply(first.fanout.route(namespace, "orders", CRM, suspend=True))
    first.reports.run(first.fanout.plan(namespace, "orders", generation=2))
    second.fanout.plan(namespace, "orders", generation=2)
    after = until(first.fanout.server, ROUTES.path(namespace), _programmed, name="orders")[0]["status"]

    assert contested["installation"] == after["installation"] == str(first)
    assert str(second) in condition(contested, "Healthy")["message"]
    assert condition(after, "Ready")["status"] == "True"
    assert sum(side.operator.patches() for side in sides) - before <= 6  # two plans, the answer, and each one's Event
    events = until(first.fanout.server, EVENTS.path(namespace), lambda items: len(_contested(items)) == 2)
    said = " ".join(one["message"] for one in _contested(events))
    assert str(first) in said, "by the second"
    assert str(second) in said, "by the first"


def test_when_the_other_one_is_gone_a_route_is_taken_over(sides: tuple[Side, Side], namespace: str) -> None:
    first, second = sides
    second.operator.stop()
    first.fanout.apply(first.fanout.route(namespace, "orders", CRM))
    first.reports.run(first.fanout.plan(namespace, "orders"))
    first.fanout.status(namespace, "orders", Ready="True")
    first.operator.stop()
    second.operator.start()
    second.reports.run(second.fanout.plan(namespace, "orders"))
    taken = until(second.fanout.server, ROUTES.path(namespace), _of(str(second)), name="orders")[0]["status"]

    assert condition(taken, "Healthy")["reason"] != "ClassContested"
    first.operator.start()


def test_one_that_is_removed_leaves_its_routes_to_the_other_within_seconds(
    sides: tuple[Side, Side], namespace: str
) -> None:
    stays, goes = sides
    stays.operator.stop()
    goes.fanout.apply(goes.fanout.route(namespace, "orders", CRM))
    goes.reports.run(goes.fanout.plan(namespace, "orders"))
    goes.fanout.status(namespace, "orders", Ready="True")
    stays.operator.start()
    goes.fanout.status(namespace, "orders", Healthy="False/ClassContested")
    stays.operator.says(f'"class.contested","route":"{namespace}/orders"')
    goes.fanout.server.kubectl("delete", "service", "fanout-report", f"--namespace={goes.fanout.namespace}")
    goes.operator.stop()
    stays.operator.says("class.settled")
    stays.reports.run(stays.fanout.plan(namespace, "orders"))
    until(stays.fanout.server, ROUTES.path(namespace), _of(str(stays)), name="orders")
    settled = stays.fanout.status(namespace, "orders", Ready="True", Healthy="True")

    assert settled["installation"] == str(stays)
    stays.operator.counts("fanout_operator_routes_contested", 0)


def _programmed(items: list[Document]) -> bool:
    return bool(items[0]["status"].get("programmedGeneration") == 2)


def _of(installation: str) -> Callable[[list[Document]], bool]:
    return lambda items: bool(items[0]["status"].get("installation") == installation)


def _contested(items: list[Document]) -> list[Document]:
    return [one for one in items if one["reason"] == "ClassContested"]
