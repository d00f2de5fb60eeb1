"""Deletion always completes, in any order, and nothing but a deletion takes away what the dispatchers serve.

Each test is a cell of a matrix: what goes first (a route, its namespace, the definition, the release, the rights), and
whether the operator runs meanwhile. In every cell `kubectl delete` returns, what is deleted is really gone, and plans
go exactly when their routes were deleted.
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from fanout_crds.cluster_plan import ROUTE, note
from fanout_crds.schema import NAME
from fanout_operator.holding import LET_GO
from fanout_operator.kube import CONFIG_MAPS, SECRETS
from tests.controlplane.installed import PLANS, Installation, Operator, define, hasty
from tests.controlplane.manifests import secret
from tests.controlplane.waiting import Document, until
from tests.harness.apiserver import ApiServer, running
from tests.harness.helm import helm

NAMES = ("invoices", "orders", "returns")
QUICK = "--timeout=15s"


@pytest.fixture(scope="module")
def cluster() -> Iterator[ApiServer]:
    """A server of our own, since the definition goes and comes; with what empties a namespace."""
    with running() as server:
        server.start_controllers("namespace-controller")
        yield server


@pytest.fixture(scope="module")
def release(cluster: ApiServer) -> Installation:
    """One for all tests: who deletes it, installs it again."""
    installation = Installation(cluster, "test-deletion")
    installation.install()
    return installation


@pytest.fixture
def fanout(cluster: ApiServer, release: Installation) -> Installation:
    """The release without a plan, beside a definition without a past."""
    cluster.kubectl("delete", "crd", NAME, "--ignore-not-found", QUICK)
    cluster.kubectl("delete", "configmaps,secrets", f"--selector={PLANS}", f"--namespace={release.namespace}")
    define(cluster)
    return release


@pytest.fixture
def team(cluster: ApiServer) -> str:
    """The namespace of the routes."""
    return cluster.namespace("team")


@pytest.fixture
def operator(fanout: Installation, team: str) -> Iterator[Operator]:
    """An operator that has made the plans of three routes."""
    with working(fanout, team) as process:
        yield process


@contextmanager
def working(fanout: Installation, team: str) -> Iterator[Operator]:
    """Have an operator make the plans of three routes, credentials among them; it runs until the block ends."""
    bearer = {"bearer": {"secretRef": {"name": "mail", "key": "token"}}}
    target = {"name": "mail", "url": "https://mail.example.com/", "authentication": bearer}
    process = fanout.operator(program=hasty("looks"))
    try:
        process.start()
        fanout.apply(secret(team, "mail", token="value"))
        fanout.apply(*(fanout.route(team, name, target) for name in NAMES))
        for name in NAMES:
            fanout.plan(team, name)
        yield process
    finally:
        process.kill()


def delete_routes(fanout: Installation, team: str) -> None:
    fanout.server.kubectl("delete", "fr", "--all", f"--namespace={team}", QUICK)


def delete_namespace(fanout: Installation, team: str) -> None:
    fanout.server.kubectl("delete", "namespace", team, "--timeout=60s")


def delete_definition(fanout: Installation, team: str) -> None:
    fanout.server.kubectl("delete", "crd", NAME, QUICK)


def delete_rights(fanout: Installation, team: str) -> None:
    name = f"fanout-operator-{fanout.namespace}"
    fanout.server.kubectl("delete", "clusterrolebinding", name, QUICK)


def delete_release(fanout: Installation, team: str) -> None:
    helm("uninstall", "fanout", f"--namespace={fanout.namespace}", kubeconfig=fanout.server.kubeconfig)


Deletion = Callable[[Installation, str], None]
ROUTES_GO: tuple[Deletion, ...] = (delete_routes, delete_namespace)
PLANS_STAY: tuple[Deletion, ...] = (delete_definition, delete_rights, delete_release)
UP_OR_DOWN = pytest.mark.parametrize("up", [True, False], ids=["operator up", "operator down"])


def named(deletion: Deletion) -> str:
    return deletion.__name__


def routes_with_plans(fanout: Installation) -> set[str]:
    return {key.partition("/")[2] for key in fanout.plans()}


def emptied(fanout: Installation) -> bool:
    """Wait until no plan is left, nor credentials of one."""
    for kind in (CONFIG_MAPS, SECRETS):
        until(fanout.server, kind.path(fanout.namespace), lambda items: not items, labels=PLANS)
    return True


def held(operator: Operator, count: int) -> None:
    """Wait until the operator says that it holds so many plans."""
    operator.counts("fanout_operator_plans_held", count)


@UP_OR_DOWN
@pytest.mark.parametrize("delete", ROUTES_GO, ids=named)
def test_plans_and_credentials_of_routes_that_were_deleted_go(
    fanout: Installation, team: str, operator: Operator, delete: Deletion, up: bool
) -> None:
    if not up:
        operator.stop()
    delete(fanout, team)
    if not up:
        operator.start()

    assert emptied(fanout)


@UP_OR_DOWN
@pytest.mark.parametrize("delete", PLANS_STAY, ids=named)
def test_plans_stay_when_something_else_than_routes_is_deleted_and_its_return_changes_nothing(
    fanout: Installation, team: str, operator: Operator, delete: Deletion, up: bool
) -> None:
    before = fanout.plans()
    manifests = json.loads(fanout.server.kubectl("get", "fr", f"--namespace={team}", "-o", "json"))["items"]
    if up:
        delete(fanout, team)
    operator.stop()
    if not up:
        delete(fanout, team)
    operator.spawn()
    if delete is not delete_release:  # with the release goes the account: the operator is nobody then
        held(operator, len(NAMES))
    meanwhile = fanout.plans()
    operator.kill()
    define(fanout.server)
    fanout.install()
    fanout.apply(*(fanout.route(team, one["metadata"]["name"], *one["spec"]["targets"]) for one in manifests))
    operator = fanout.operator(program=hasty("looks"))
    try:
        operator.start()
        held(operator, 0)
    finally:
        operator.kill()

    assert versions(meanwhile) == versions(before)
    assert routes_with_plans(fanout) == set(NAMES)


def versions(plans: dict[str, Document]) -> set[str]:
    return {one["metadata"]["resourceVersion"] for one in plans.values()}


@UP_OR_DOWN
def test_what_went_with_the_definition_is_held_until_a_person_lets_go(
    fanout: Installation, team: str, operator: Operator, up: bool
) -> None:
    if not up:
        operator.stop()
    delete_definition(fanout, team)
    define(fanout.server)
    if not up:
        operator.start()
    held(operator, len(NAMES))
    kept = routes_with_plans(fanout)
    fanout.server.kubectl("annotate", "crd", NAME, f"{LET_GO}=true")

    assert kept == set(NAMES)
    assert emptied(fanout)
    held(operator, 0)


def test_after_letting_go_a_definition_that_is_deleted_again_takes_no_plan_along(
    fanout: Installation, team: str, operator: Operator
) -> None:
    fanout.server.kubectl("annotate", "crd", NAME, f"{LET_GO}=true")
    delete_definition(fanout, team)
    held(operator, len(NAMES))
    define(fanout.server)

    held(operator, len(NAMES))
    assert routes_with_plans(fanout) == set(NAMES)


def test_routes_deleted_while_there_is_no_release_lose_their_plans_when_it_is_back(
    fanout: Installation, team: str, operator: Operator
) -> None:
    delete_release(fanout, team)
    operator.kill()
    delete_routes(fanout, team)
    left = [note(one, ROUTE) for one in fanout.plans().values()]
    fanout.install()
    operator = fanout.operator(program=hasty("looks"))
    try:
        operator.start()

        assert len(left) == len(NAMES)
        assert emptied(fanout)
    finally:
        operator.kill()


@pytest.mark.usefixtures("fanout")
def test_the_release_and_its_namespace_can_go_first_while_the_operator_runs(cluster: ApiServer, team: str) -> None:
    other = Installation(cluster, "test-deletion-first")
    other.install()
    with working(other, team):
        delete_release(other, team)
        delete_namespace(other, other.namespace)
        delete_routes(other, team)
        delete_definition(other, team)

    assert f"namespace/{other.namespace}" not in cluster.kubectl("get", "namespaces", "-o", "name").split()
