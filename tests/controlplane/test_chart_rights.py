"""What the chart's accounts and the people of a namespace may do: the exact list, from the API server itself.

Each list is what `kubectl auth can-i --list` says to the account's own token, without what it says to an account that
was given nothing. So a right too much fails here, wherever it comes from.
"""

import re

import pytest

from tests.controlplane.installed import Installation, define
from tests.controlplane.waiting import until
from tests.harness.apiserver import ApiServer, running

LINE = re.compile(r"^(\S*)\s+\[(.*?)\]\s+\[(.*?)\]\s+\[(.*?)\]$", re.MULTILINE)

Rights = set[tuple[str, str, str]]  # resource (or path), name, verb


def to(verbs: str, *resources: str, name: str = "") -> Rights:
    """The right to all these verbs on all these resources."""
    return {(resource, name, verb) for resource in resources for verb in verbs.split()}


LOOK = "get list watch"
DEFINITION = to(LOOK, "customresourcedefinitions.apiextensions.k8s.io", name="fanoutroutes.fanout.dev")
ROUTES = (
    to(LOOK, "fanoutroutes.fanout.dev", "services", "secrets")
    | to("patch", "fanoutroutes.fanout.dev/status")
    | to("list watch", "endpointslices.discovery.k8s.io", "referencegrants.gateway.networking.k8s.io")
    | to("create patch", "events")
)
PLANS = (
    to(f"create delete patch {LOOK}", "configmaps", "secrets")
    | to(LOOK, "endpointslices.discovery.k8s.io")
    | to("create patch", "events")
    | to("create", "leases.coordination.k8s.io")
    | to("get update", "leases.coordination.k8s.io", name="fanout-operator")
)


@pytest.fixture(scope="module", autouse=True)
def _defined(apiserver: ApiServer) -> None:
    define(apiserver)


def told(server: ApiServer, namespace: str, of: str, account: str) -> Rights:
    """All that an account may do in a namespace."""
    account_config = server.kubeconfig_for(of, account)
    text = server.kubectl("auth", "can-i", "--list", f"--namespace={namespace}", kubeconfig=account_config)
    return {
        (resource or path, name, verb) for resource, path, name, verbs in LINE.findall(text) for verb in verbs.split()
    }


def rights(server: ApiServer, namespace: str, of: str, account: str) -> Rights:
    """What an account may do in a namespace that not everybody may."""
    return told(server, namespace, of, account) - told(server, namespace, of, "nobody")


def installed(server: ApiServer, class_name: str, *values: str) -> str:
    """A release, and beside it an account that was given nothing; the namespace."""
    installation = Installation(server, class_name)
    server.kubectl("create", "serviceaccount", "nobody", f"--namespace={installation.namespace}")
    installation.install(*values)
    return installation.namespace


def test_the_operator_may_do_exactly_this(apiserver: ApiServer) -> None:
    namespace = installed(apiserver, "rights")

    assert rights(apiserver, "default", namespace, "fanout-operator") == ROUTES | DEFINITION
    assert rights(apiserver, namespace, namespace, "fanout-operator") == ROUTES | DEFINITION | PLANS


def test_the_dispatcher_may_do_exactly_this(apiserver: ApiServer) -> None:
    namespace = installed(apiserver, "rights-dispatcher")
    review = to("create", "tokenreviews.authentication.k8s.io")

    assert rights(apiserver, "default", namespace, "fanout-dispatcher") == review
    assert rights(apiserver, namespace, namespace, "fanout-dispatcher") == review | to(LOOK, "configmaps", "secrets")


def test_an_operator_of_some_namespaces_may_see_no_route_service_or_secret_of_others(apiserver: ApiServer) -> None:
    shop, pay = apiserver.namespace("shop"), apiserver.namespace("pay")
    namespace = installed(apiserver, "rights-few", f"watchNamespaces={{{shop},{pay}}}")

    assert rights(apiserver, "default", namespace, "fanout-operator") == DEFINITION
    assert rights(apiserver, namespace, namespace, "fanout-operator") == DEFINITION | PLANS
    for served in (shop, pay):
        assert rights(apiserver, served, namespace, "fanout-operator") == DEFINITION | ROUTES


def test_whoever_may_view_or_edit_a_namespace_may_do_so_with_its_routes() -> None:
    """A server of its own: the controller that aggregates roles works for the whole cluster."""
    every = "create delete deletecollection get list patch update watch"
    with running() as server:
        server.start_controllers("clusterrole-aggregation-controller")
        define(server)
        namespace = installed(server, "fanout", "rbac.aggregatedRoles=true")
        for role in ("view", "edit", "admin"):
            server.kubectl("create", "serviceaccount", role, f"--namespace={namespace}")
            server.kubectl(
                "create", "rolebinding", role, f"--clusterrole={role}",
                f"--serviceaccount={namespace}:{role}", f"--namespace={namespace}",
            )  # fmt: skip

        for role in ("view", "edit", "admin"):
            until(
                server,
                "/apis/rbac.authorization.k8s.io/v1/clusterroles",
                lambda found: "fanout.dev" in str(found),
                name=role,
            )

        for role, verbs in (("view", LOOK), ("edit", every), ("admin", every)):
            may = {one for one in rights(server, namespace, namespace, role) if "fanout.dev" in one[0]}
            assert may == to(verbs, "fanoutroutes.fanout.dev") | to(LOOK, "fanoutroutes.fanout.dev/status"), role
