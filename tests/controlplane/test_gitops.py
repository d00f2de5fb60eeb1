"""What GitOps tools make of a route: kstatus as Helm 4 and Flux have it, and the health check that we ship for Argo CD.

Helm's own `--wait` is the judge for kstatus (github.com/fluxcd/cli-utils, pkg/kstatus): no copy of its rules can drift.
It answers for Current, at once for Failed, and with what is in its way when its patience is over.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from fanout_operator.kube import ROUTES
from tests.controlplane.installed import Installation, running_operator
from tests.controlplane.manifests import CRM
from tests.controlplane.reports import Reports
from tests.controlplane.waiting import Document
from tests.harness.apiserver import ApiServer
from tests.harness.helm import HelmError, helm
from tests.support.argocd import health

SHORT = "3s"  # what is under way is not over by then
LONG = "60s"  # nobody waits that long: what has an end is told at once


@pytest.fixture(scope="module")
def fanout(release: Installation, reports: Reports) -> Iterator[Installation]:
    installation = release.beside("test-gitops")
    with running_operator(installation, f"--dispatcher={reports.url}"):
        yield installation


class Chart:
    """A chart that holds one route."""

    def __init__(self, server: ApiServer, folder: Path) -> None:
        self._server = server
        self._folder = folder
        (folder / "templates").mkdir()
        (folder / "Chart.yaml").write_text("{apiVersion: v2, name: orders, version: 0.1.0}")

    def apply(self, route: Document, patience: str) -> str:
        """Apply it and wait; gives what kstatus says in the end."""
        (self._folder / "templates" / "route.yaml").write_text(json.dumps(route))
        namespace = route["metadata"]["namespace"]
        wanted = ["orders", str(self._folder), f"--namespace={namespace}", "--wait", f"--timeout={patience}"]
        try:
            helm("upgrade", "--install", *wanted, kubeconfig=self._server.kubeconfig)
        except HelmError as fault:
            return fault.output
        return "Current"


@pytest.fixture
def chart(fanout: Installation, tmp_path: Path) -> Chart:
    return Chart(fanout.server, tmp_path)


def live(fanout: Installation, namespace: str) -> Document:
    """The route as it is now."""
    (found,) = fanout.server.items(ROUTES.path(namespace))
    return found


def test_a_good_route_is_current_and_healthy_once_it_runs_everywhere(
    fanout: Installation, reports: Reports, namespace: str, chart: Chart
) -> None:
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(chart.apply, fanout.route(namespace, "orders", CRM), LONG)
        plan = fanout.plan(namespace, "orders")
        fanout.status(namespace, "orders", Ready="False/Waiting")
        waiting = health(live(fanout, namespace))
        reports.run(plan)

        assert found.result() == "Current"
    assert waiting == ("Progressing", f"not yet running this revision: {reports.url}")
    assert health(live(fanout, namespace)) == ("Healthy", "no stuck saga, no open circuit, no dead letters")


def test_a_route_that_does_not_run_yet_is_in_progress(fanout: Installation, namespace: str, chart: Chart) -> None:
    found = chart.apply(fanout.route(namespace, "orders", CRM), SHORT)

    assert "status: InProgress, message: not yet running this revision" in found


def test_a_route_that_nobody_serves_is_in_progress_and_not_done(
    fanout: Installation, namespace: str, chart: Chart
) -> None:
    found = chart.apply(fanout.route(namespace, "orders", CRM, className="nobody"), SHORT)

    assert "status: InProgress, message: No operator has looked at this route yet" in found
    assert health(live(fanout, namespace))[0] == "Progressing"


def test_a_missing_reference_is_in_progress_since_it_may_come(
    fanout: Installation, reports: Reports, namespace: str, chart: Chart
) -> None:
    held: Document = {"name": "held", "service": {"name": "payment", "port": "http"}}
    found = chart.apply(fanout.route(namespace, "orders", held), SHORT)

    assert "status: InProgress, message: target held: there is no Service" in found
    assert health(live(fanout, namespace))[0] == "Progressing"


def test_a_route_that_is_refused_has_failed_at_once_and_recovers_when_it_is_mended(
    fanout: Installation, reports: Reports, namespace: str, chart: Chart
) -> None:
    found = chart.apply(fanout.route(namespace, "orders", CRM, listen={"path": "/elsewhere/orders"}), LONG)
    degraded = health(live(fanout, namespace))
    with ThreadPoolExecutor(1) as beside:
        mended = beside.submit(chart.apply, fanout.route(namespace, "orders", CRM), LONG)
        reports.run(fanout.plan(namespace, "orders"))

        assert mended.result() == "Current"
    assert "status: Failed, message: spec.listen.path: must start with" in found
    assert degraded[0] == "Degraded"
    assert [one["type"] for one in live(fanout, namespace)["status"]["conditions"]].count("Stalled") == 0


def test_a_plan_that_a_dispatcher_refuses_has_failed(
    fanout: Installation, reports: Reports, namespace: str, chart: Chart
) -> None:
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(chart.apply, fanout.route(namespace, "orders", CRM), LONG)
        reports.refuse(fanout.plan(namespace, "orders"), "format 9 is not one this dispatcher reads")

        assert "status: Failed" in found.result()
        assert "format 9" in found.result()
    assert health(live(fanout, namespace))[0] == "Degraded"


def test_a_ready_route_whose_change_nobody_has_looked_at_is_in_progress(
    fanout: Installation, reports: Reports, namespace: str, chart: Chart
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    reports.run(fanout.plan(namespace, "orders"))
    fanout.status(namespace, "orders", Ready="True")
    ready = live(fanout, namespace)
    behind = ready | {"metadata": ready["metadata"] | {"generation": 2}}

    assert health(behind)[0] == "Progressing"


def test_a_suspended_route_is_told_as_that(fanout: Installation, reports: Reports, namespace: str) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM, suspend=True))
    reports.run(fanout.plan(namespace, "orders"))
    fanout.status(namespace, "orders", Ready="True")

    assert health(live(fanout, namespace))[0] == "Suspended"


def test_an_open_circuit_is_told_and_fails_nothing(
    fanout: Installation, reports: Reports, namespace: str, chart: Chart
) -> None:
    with ThreadPoolExecutor(1) as beside:
        found = beside.submit(chart.apply, fanout.route(namespace, "orders", CRM), LONG)
        reports.run(fanout.plan(namespace, "orders"), crm={"circuit": "Open"})
        fanout.status(namespace, "orders", Healthy="False/CircuitOpen", Ready="True")

        assert found.result() == "Current"
    assert health(live(fanout, namespace)) == ("Healthy", "circuit open, deliveries are held: crm")


def test_an_object_without_a_status_is_in_progress() -> None:
    assert health({"metadata": {"generation": 1}, "spec": {}})[0] == "Progressing"
