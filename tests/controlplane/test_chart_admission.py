"""Paths and pods as the API server judges them: what the chart's admission policy refuses, and what pods are let in."""

import json

import pytest

from fanout_operator.reasons import say
from tests.chart.render import MATRIX, pods, rendered
from tests.controlplane.installed import Installation, define, running_operator
from tests.controlplane.waiting import Document
from tests.harness.apiserver import ApiServer, KubectlError

TARGET: Document = {"name": "crm", "url": "https://crm.example.com/"}


@pytest.fixture(scope="module", autouse=True)
def _defined(apiserver: ApiServer) -> None:
    define(apiserver)


@pytest.fixture(scope="module")
def guarded(apiserver: ApiServer) -> Installation:
    """A release with the policy, in force."""
    installation = Installation(apiserver, "guarded")
    installation.install("admissionPolicy.enabled=true")
    probe = installation.route("default", "probe", TARGET, listen={"path": "/elsewhere/x"})
    until_refused(installation, probe)
    return installation


def until_refused(installation: Installation, route: Document) -> None:
    """Wait until the policy is in force: the API server compiles new ones a moment after it took them."""
    for _ in range(400):
        try:
            installation.server.kubectl("apply", "--dry-run=server", "-f", "-", input=json.dumps(route))
        except KubectlError:
            return
    raise AssertionError("the policy did not come into force")


def refused(installation: Installation, route: Document) -> str:
    """Apply a route that must not be taken; the API server's words."""
    with pytest.raises(KubectlError) as no:
        installation.apply(route)
    return no.value.stderr


def test_a_path_of_another_namespace_is_refused_at_apply_in_the_operators_own_words(
    guarded: Installation, namespace: str
) -> None:
    said = refused(guarded, guarded.route(namespace, "astray", TARGET, listen={"path": "/shop/orders"}))

    assert say("PathNotAllowed", namespace=namespace, path="/shop/orders").message in said


def test_a_namespace_whose_name_only_begins_alike_is_another_one(guarded: Installation, namespace: str) -> None:
    said = refused(guarded, guarded.route(namespace, "alike", TARGET, listen={"path": f"/{namespace}x/orders"}))

    assert "must start with" in said


def test_a_path_of_its_own_namespace_and_none_at_all_are_taken(guarded: Installation, namespace: str) -> None:
    guarded.apply(
        guarded.route(namespace, "home", TARGET, listen={"path": f"/{namespace}/orders"}),
        guarded.route(namespace, "unsaid", TARGET),
    )


def test_a_route_that_moves_to_another_namespaces_path_is_refused_and_stays(
    guarded: Installation, namespace: str
) -> None:
    guarded.apply(guarded.route(namespace, "mover", TARGET))

    assert "must start with" in refused(guarded, guarded.route(namespace, "mover", TARGET, listen={"path": "/shop/x"}))
    assert "/shop/x" not in guarded.server.kubectl("get", "fr", "mover", f"--namespace={namespace}", "-o", "json")


def test_a_route_of_another_installation_is_not_judged(guarded: Installation, namespace: str) -> None:
    route = guarded.route(namespace, "foreign", TARGET, listen={"path": "/shop/foreign"})
    route["spec"]["className"] = "another"

    guarded.apply(route)


def test_a_route_older_than_the_policy_may_be_labelled_and_the_operator_refuses_it_all_the_same(
    apiserver: ApiServer, namespace: str
) -> None:
    late = Installation(apiserver, "guarded-late")
    late.install()
    old = late.route(namespace, "old", TARGET, listen={"path": "/shop/old"})
    late.apply(old)
    late.install("admissionPolicy.enabled=true")
    until_refused(late, late.route(namespace, "new", TARGET, listen={"path": "/shop/new"}))

    apiserver.kubectl("label", "fr", "old", f"--namespace={namespace}", "team=shop")
    with running_operator(late):
        late.status(namespace, "old", Accepted="False/PathNotAllowed")


def test_an_installer_may_allow_any_path(apiserver: ApiServer, namespace: str) -> None:
    free = Installation(apiserver, "guarded-not")
    free.install("admissionPolicy.enabled=true", "allowAnyPath=true")

    free.apply(free.route(namespace, "anywhere", TARGET, listen={"path": "/anywhere"}))
    assert f"fanout-paths-{free.namespace}" not in apiserver.kubectl("get", "validatingadmissionpolicies", "-o", "name")


@pytest.mark.parametrize("values", MATRIX)
def test_every_pod_is_admitted_under_pod_security_restricted(apiserver: ApiServer, values: str) -> None:
    """Whatever the values, `helm test` included; a template in a workload would only be warned about."""
    namespace = apiserver.namespace("restricted", {"pod-security.kubernetes.io/enforce": "restricted"})
    apiserver.kubectl("create", "serviceaccount", "default", f"--namespace={namespace}")
    claims = [{"name": "data", "emptyDir": {}}]  # a StatefulSet's controller adds what its claims make
    found = pods(rendered(values=values))
    assert len(found) == 3

    for name, pod in found.items():
        spec = {**pod["spec"], "volumes": [*pod["spec"].get("volumes", []), *(claims * name.endswith("dispatcher"))]}
        spec |= {"serviceAccountName": "default", "priorityClassName": ""}  # nobody made theirs here
        document = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "namespace": namespace}, "spec": spec}
        apiserver.kubectl("create", "--dry-run=server", "-f", "-", input=json.dumps(document))
