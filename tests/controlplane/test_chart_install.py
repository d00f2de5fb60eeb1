"""The chart in a real API server: installed, upgraded, uninstalled. Rights and admission have tests of their own."""

import json
from base64 import b64decode
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.chart.render import CHART, rendered
from tests.chart.test_valid import OTHERS
from tests.controlplane.certificates import presented
from tests.controlplane.installed import established
from tests.harness.apiserver import ApiServer, running
from tests.harness.helm import helm

NAMESPACE = "events"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ApiServer]:
    """A server of its own: the release brings the definition of routes along."""
    with running() as server:
        restricted = {"pod-security.kubernetes.io/enforce": "restricted"}
        namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE, "labels": restricted}}
        server.kubectl("create", "-f", "-", input=json.dumps(namespace))
        helm("install", "fanout", str(CHART), f"--namespace={NAMESPACE}", kubeconfig=server.kubeconfig)
        yield server


def get(cluster: ApiServer, kind: str, name: str) -> Any:
    return json.loads(cluster.kubectl("get", kind, name, f"--namespace={NAMESPACE}", "-o", "json"))


def test_the_definition_of_routes_comes_with_the_release(cluster: ApiServer) -> None:
    established(cluster)

    assert "fr" in cluster.kubectl("api-resources", "--api-group=fanout.dev", "--no-headers")


def test_an_upgrade_keeps_the_certificate_and_the_token(cluster: ApiServer) -> None:
    before = {name: get(cluster, "secret", name)["data"] for name in ("fanout-report-tls", "fanout-admin-token")}
    helm(
        "upgrade", "fanout", str(CHART), f"--namespace={NAMESPACE}", "--set=operator.logLevel=debug",
        kubeconfig=cluster.kubeconfig,
    )  # fmt: skip
    after = {name: get(cluster, "secret", name)["data"] for name in ("fanout-report-tls", "fanout-admin-token")}

    assert after == before
    assert len(b64decode(after["fanout-admin-token"]["token"])) == 40


def test_an_upgrade_makes_a_certificate_of_more_than_a_year_anew(cluster: ApiServer, tmp_path: Path) -> None:
    before = get(cluster, "secret", "fanout-report-tls")
    made = datetime.fromisoformat(before["metadata"]["annotations"]["fanout.dev/made"])
    cluster.kubectl(
        "annotate", "secret", "fanout-report-tls", f"--namespace={NAMESPACE}", "--overwrite",
        f"fanout.dev/made={(made - timedelta(days=366)).isoformat()}",
    )  # fmt: skip
    helm(
        "upgrade", "fanout", str(CHART), f"--namespace={NAMESPACE}", "--force-conflicts", kubeconfig=cluster.kubeconfig
    )  # fmt: skip
    after = get(cluster, "secret", "fanout-report-tls")
    host = f"fanout-report.{NAMESPACE}.svc"

    assert not set(after["data"].values()) & set(before["data"].values())
    assert datetime.fromisoformat(after["metadata"]["annotations"]["fanout.dev/made"]) >= made
    assert presented(after["data"], host, tmp_path) == (("DNS", host),)


def test_the_certificate_is_the_report_services_own(cluster: ApiServer, tmp_path: Path) -> None:
    data = get(cluster, "secret", "fanout-report-tls")["data"]
    host = f"fanout-report.{NAMESPACE}.svc"

    assert presented(data, host, tmp_path) == (("DNS", host),)


@pytest.mark.parametrize("values", ["everything", "own"])
def test_what_values_switch_on_is_taken_by_the_api_server(cluster: ApiServer, values: str) -> None:
    """It knows more than schemas do: which fields a Service's type has, say."""
    documents = rendered(release=values, values=values)
    known = [each for each in documents if each["kind"] not in OTHERS | {"Pod"}]  # a pod wants its ServiceAccount first

    said = cluster.kubectl(
        "apply", "--server-side", "--dry-run=server", "-f", "-",
        input=json.dumps({"apiVersion": "v1", "kind": "List", "items": known}),
    )  # fmt: skip

    assert len(said.splitlines()) == len(known)


def test_uninstalling_leaves_the_definition_and_with_it_the_routes(cluster: ApiServer) -> None:
    route = {
        "apiVersion": "fanout.dev/v1alpha1",
        "kind": "FanoutRoute",
        "metadata": {"name": "kept", "namespace": "default"},
        "spec": {"targets": [{"name": "crm", "url": "https://crm.example.com/"}]},
    }
    cluster.kubectl("apply", "-f", "-", input=json.dumps(route))
    helm("uninstall", "fanout", f"--namespace={NAMESPACE}", kubeconfig=cluster.kubeconfig)

    assert "kept" in cluster.kubectl("get", "fanoutroutes", "--namespace=default")
    assert cluster.kubectl("get", "clusterroles,clusterrolebindings", "-o", "name").count("fanout") == 0
