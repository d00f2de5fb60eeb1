"""The operator that comes and goes: restarts, what happened meanwhile, and a cluster without any dispatcher."""

import time
from collections.abc import Iterator

import pytest

from fanout_crds.cluster_plan import ROUTE_UID
from fanout_crds.schema import NAME
from fanout_operator.kube import EVENTS
from tests.controlplane.installed import PLANS, Installation, Operator, condition, define, hasty, running_operator
from tests.controlplane.manifests import CRM, secret, service
from tests.controlplane.reports import Reports
from tests.controlplane.waiting import until
from tests.harness.apiserver import ApiServer


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-restarts")


@pytest.fixture
def operator(fanout: Installation, reports: Reports) -> Iterator[Operator]:
    """A running operator that a test may stop and start again."""
    with running_operator(fanout, f"--dispatcher={reports.url}") as process:
        yield process


def test_without_a_dispatcher_a_good_route_is_neither_ready_nor_wrong(fanout: Installation, namespace: str) -> None:
    with running_operator(fanout):
        fanout.apply(fanout.route(namespace, "orders", CRM))
        status = fanout.status(namespace, "orders", Ready="Unknown/NoDispatcher")

    assert condition(status, "Accepted")["status"] == "True"
    assert condition(status, "Programmed")["reason"] == condition(status, "Healthy")["reason"] == "NoDispatcher"


def test_a_restart_writes_nothing(fanout: Installation, reports: Reports, operator: Operator, namespace: str) -> None:
    bearer = {"bearer": {"secretRef": {"name": "mail", "key": "token"}}}
    missing = {"name": "gone", "service": {"name": "gone", "port": 80}}
    fanout.apply(
        secret(namespace, "mail", token="value"),
        fanout.route(namespace, "orders", CRM | {"authentication": bearer}, missing),
    )
    reports.run(fanout.plan(namespace, "orders"), crm={"circuit": "Open", "pending": 5})
    fanout.status(namespace, "orders", Programmed="True", Healthy="False", ResolvedRefs="False")
    before = fanout.versions(namespace)
    operator.stop()
    operator.start()
    fanout.apply(fanout.route(namespace, "later", CRM))
    fanout.status(namespace, "later", Ready="False/Waiting")  # the fleet has settled by now
    fanout.server.kubectl("delete", "fanoutroute", "later", f"--namespace={namespace}")
    fanout.without_plan(namespace, "later")

    assert fanout.versions(namespace) == before
    assert operator.patches() == 2  # the plan and the status of the later one


def test_a_restart_while_the_dispatcher_is_away_does_not_say_that_anything_changed(
    fanout: Installation, reports: Reports, operator: Operator, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    reports.run(fanout.plan(namespace, "orders"))
    fanout.status(namespace, "orders", Ready="True")
    before = fanout.versions(namespace)
    operator.stop()

    with running_operator(fanout, "--dispatcher=http://127.0.0.1:9") as another:
        fanout.one_more(namespace)

        assert before.items() <= fanout.versions(namespace).items()
        assert another.patches() == 2


def test_what_was_deleted_changed_and_made_meanwhile_is_done_at_the_next_start(
    fanout: Installation, operator: Operator, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "changed", CRM), fanout.route(namespace, "deleted", CRM))
    fanout.plan(namespace, "changed")
    fanout.plan(namespace, "deleted")
    operator.stop()
    fanout.apply(fanout.route(namespace, "changed", CRM, suspend=True), fanout.route(namespace, "made", CRM))
    fanout.server.kubectl("delete", "fanoutroute", "deleted", f"--namespace={namespace}")
    operator.start()

    assert fanout.plan(namespace, "changed", suspend=True)["generation"] == 2
    assert fanout.plan(namespace, "made")
    assert f"{namespace}/deleted" in fanout.plans()  # two lists have to agree first: see the sweeper's own tests


def test_at_a_cold_start_the_older_of_two_routes_gets_the_path(fanout: Installation, namespace: str) -> None:
    listen = {"path": f"/{namespace}/orders"}
    fanout.apply(fanout.route(namespace, "z-older", CRM, listen=listen))
    created = time.time()
    while time.time() < created + 1.1:  # creationTimestamp has whole seconds
        time.sleep(0.1)
    fanout.apply(fanout.route(namespace, "a-younger", CRM, listen=listen))

    with running_operator(fanout):
        fanout.plan(namespace, "z-older")
        fanout.status(namespace, "a-younger", Accepted="False/PathContested")


def test_sigterm_while_a_dispatcher_is_followed_ends_it_well(
    fanout: Installation, reports: Reports, operator: Operator, namespace: str
) -> None:
    fanout.apply(fanout.route(namespace, "orders", CRM))
    reports.run(fanout.plan(namespace, "orders"))
    fanout.status(namespace, "orders", Ready="True")

    operator.stop()  # asserts exit status 0


def test_the_definition_deleted_under_it_goes_at_once_and_the_plans_stay(own_server: ApiServer) -> None:
    define(own_server)
    fanout = Installation(own_server, "test-definition")
    fanout.install()
    namespace = own_server.namespace()
    with running_operator(fanout, program=hasty("looks")) as operator:
        fanout.apply(fanout.route(namespace, "orders", CRM), fanout.route(namespace, "invoices", CRM))
        fanout.plan(namespace, "orders")
        fanout.plan(namespace, "invoices")
        own_server.kubectl("delete", "crd", NAME, "--timeout=10s")
        kept = fanout.plans()
        (told,) = until(own_server, EVENTS.path(fanout.namespace), lambda items: len(items) == 1)
        define(own_server)
        fanout.apply(fanout.route(namespace, "orders", CRM))  # made again: its old plan makes way
        plan = fanout.plan(namespace, "orders", uid=_uid(fanout, namespace))
        until(
            own_server,
            f"/api/v1/namespaces/{fanout.namespace}/configmaps",
            lambda items: len(items) == 2,
            labels=PLANS,
        )
        after = fanout.plans()
        operator.stop()

    assert told["reason"] == "PlansHeld"
    assert told["involvedObject"]["kind"] == "ConfigMap"
    assert set(kept) == set(after) == {f"{namespace}/orders", f"{namespace}/invoices"}
    assert after[f"{namespace}/orders"]["metadata"]["labels"][ROUTE_UID] == plan["uid"]


def _uid(fanout: Installation, namespace: str) -> str:
    return fanout.server.kubectl(
        "get", "fanoutroute", "orders", f"--namespace={namespace}", "-o", "jsonpath={.metadata.uid}"
    )


def test_with_roles_only_it_serves_the_namespaces_it_may_and_no_other(apiserver: ApiServer) -> None:
    define(apiserver)
    fanout = Installation(apiserver, "test-roles")
    first, second, other = (apiserver.namespace() for _ in range(3))
    fanout.install(f"watchNamespaces={{{first},{second}}}")
    missing = {"name": "gone", "service": {"name": "gone", "port": 80}}
    with running_operator(fanout, f"--watch-namespace={first}", f"--watch-namespace={second}") as operator:
        fanout.apply(fanout.route(other, "orders", CRM), fanout.route(first, "orders", CRM))
        fanout.apply(fanout.route(second, "orders", CRM, missing))
        fanout.status(second, "orders", ResolvedRefs="False/ServiceNotFound")
        fanout.apply(service(second, "gone", ports=[{"port": 80}]))
        fanout.status(second, "orders", ResolvedRefs="True")
        fanout.plan(first, "orders")
        fanout.server.kubectl("delete", "fanoutroute", "orders", f"--namespace={first}")
        fanout.without_plan(first, "orders")
        operator.stop()

    assert set(fanout.plans()) == {f"{second}/orders"}


def test_started_before_its_definition_is_there_it_waits_and_then_serves(own_server: ApiServer) -> None:
    fanout = Installation(own_server, "test-early")
    fanout.install()
    namespace = own_server.namespace()
    operator = fanout.operator()
    try:
        operator.spawn()
        operator.says("operator.waiting")
        define(own_server)
        fanout.apply(fanout.route(namespace, "orders", CRM))
        plan = fanout.plan(namespace, "orders")
        operator.stop()
    finally:
        operator.kill()

    assert plan["generation"] == 1


def test_an_api_server_that_was_killed_and_came_back_is_served_again(own_server: ApiServer) -> None:
    define(own_server)
    fanout = Installation(own_server, "test-killed")
    fanout.install()
    namespace = own_server.namespace()
    with running_operator(fanout) as operator:
        own_server.stop()
        own_server.start()
        fanout.apply(fanout.route(namespace, "orders", CRM))
        fanout.plan(namespace, "orders")
        status = fanout.status(namespace, "orders", Accepted="True")
        operator.stop()

    assert status["observedGeneration"] == 1
