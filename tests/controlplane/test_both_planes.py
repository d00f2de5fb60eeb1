"""Operator and dispatcher as processes, each with the chart's own account: a manifest in, an event out, status back."""

import queue
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import trustme

from fanout_crds.report import AUDIENCE
from fanout_crds.schema import NAME
from fanout_operator.kube import ROUTES
from tests.controlplane import grants
from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.installed import Installation, condition, define, running_operator
from tests.controlplane.manifests import CRM, secret
from tests.controlplane.targets import target
from tests.controlplane.told import told
from tests.controlplane.waiting import PATIENCE, Document, until
from tests.harness.apiserver import ApiServer
from tests.harness.process import free_ports
from tests.support.figures import Figure

HASTY = (sys.executable, "-m", "tests.support.hasty_dispatcher")
SECONDS = 5.0  # what "takes effect in seconds" may mean at most here
COUNTERS = ("pending", "deadLetters", "openCircuits", "targets")


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-both")


@pytest.fixture
def dispatcher(fanout: Installation, tmp_path: Path) -> Dispatcher:
    return Dispatcher(fanout, tmp_path)


def test_an_applied_route_is_ready_takes_an_event_and_delivers_it_with_the_secret(
    fanout: Installation, dispatcher: Dispatcher, namespace: str
) -> None:
    bearer = {"bearer": {"secretRef": {"name": "mail", "key": "token"}}}
    with (
        target() as (url, got),
        dispatcher.running(),
        running_operator(fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"),
    ):
        fanout.apply(
            secret(namespace, "mail", token="first"),
            fanout.route(namespace, "orders", {"name": "mail", "url": url, "authentication": bearer}),
        )
        fanout.status(namespace, "orders", Ready="True")
        first = dispatcher.post(f"/{namespace}/orders")
        token = got.get(timeout=10)
        plan = fanout.plan(namespace, "orders")
        fanout.apply(secret(namespace, "mail", token="second"))
        rotated = fanout.another_plan(plan)
        dispatcher.runs(rotated)
        dispatcher.post(f"/{namespace}/orders")
        another = got.get(timeout=10)

    assert first.status_code == 202
    assert (token, another) == ("Bearer first", "Bearer second")


def test_a_saga_that_is_stuck_is_told_in_the_status_of_its_route_until_somebody_has_decided(
    fanout: Installation, dispatcher: Dispatcher, namespace: str
) -> None:
    with (
        target() as (well, _),
        target(409) as (no, _),
        dispatcher.running(),
        running_operator(fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"),
    ):
        payment = {"name": "payment", "url": well, "compensate": {"url": no}}
        fanout.apply(fanout.route(namespace, "orders", payment, {"name": "stock", "url": no, "dependsOn": ["payment"]}))
        fanout.status(namespace, "orders", Ready="True", Healthy="True")
        dispatcher.post(f"/{namespace}/orders")
        stuck = fanout.status(namespace, "orders", Healthy="False/SagaStuck")
        [event] = [one for one in told(fanout, namespace, "SagaStuck") if one["reason"] == "SagaStuck"]
        dispatcher.abandon_sagas()
        fanout.status(namespace, "orders", Healthy="False/DeadLetters")

    assert "payment.compensate (1)" in condition(stuck, "Healthy")["message"]
    assert {one["name"]: one["stuck"] for one in stuck["targets"] if "stuck" in one} == {"payment.compensate": 1}
    assert (event["type"], event["involvedObject"]["name"]) == ("Warning", "orders")
    assert "payment.compensate: compensations were given up" in event["message"]


def test_over_tls_the_report_is_for_the_operators_token_of_its_audience_and_for_nobody_else(
    fanout: Installation, namespace: str, tmp_path: Path
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    leaf = authority.issue_cert("localhost")
    leaf.private_key_pem.write_to_path(str(tmp_path / "tls.key"))
    leaf.cert_chain_pems[0].write_to_path(str(tmp_path / "tls.crt"))
    account = (fanout.namespace, "fanout-operator")
    (tmp_path / "token").write_text(fanout.server.token_for(*account, audience=AUDIENCE))
    (tmp_path / "other").write_text(fanout.server.token_for(*account))
    (tmp_path / "stranger").write_text(fanout.server.token_for(fanout.namespace, "fanout-dispatcher", AUDIENCE))
    files = (f"--report-cert={tmp_path / 'tls.crt'}", f"--report-key={tmp_path / 'tls.key'}")
    dispatcher = Dispatcher(fanout, tmp_path, *files, "--report-reader=fanout-operator")
    flags = (f"--dispatcher=https://localhost:{dispatcher.report}", f"--report-ca={tmp_path / 'ca.crt'}")
    fanout.apply(fanout.route(namespace, "orders", CRM))
    with dispatcher.running():
        with running_operator(fanout, *flags, f"--report-token={tmp_path / 'other'}") as operator:
            operator.says("answered 401")
            unknown = fanout.status(namespace, "orders", Accepted="True")
        with running_operator(fanout, *flags, f"--report-token={tmp_path / 'stranger'}") as operator:
            operator.says("answered 401")
        with running_operator(fanout, *flags, f"--report-token={tmp_path / 'token'}"):
            fanout.status(namespace, "orders", Ready="True")

    assert condition(unknown, "Ready")["reason"] == "Pending"


def test_a_route_is_not_programmed_while_the_dispatcher_is_away_and_is_again_when_it_is_back(
    fanout: Installation, dispatcher: Dispatcher, namespace: str
) -> None:
    with running_operator(fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"):
        with dispatcher.running():
            fanout.apply(fanout.route(namespace, "orders", CRM))
            fanout.status(namespace, "orders", Ready="True")
        fanout.status(namespace, "orders", Ready="Unknown/DispatcherSilent")
        with dispatcher.running():
            fanout.status(namespace, "orders", Ready="True")


def test_what_a_dispatcher_counted_stays_while_it_is_away_and_is_told_once(
    fanout: Installation, dispatcher: Dispatcher, namespace: str, tmp_path: Path
) -> None:
    """Two, of which only the one that goes and comes back holds dead letters."""
    (tmp_path / "other").mkdir()
    other = Dispatcher(fanout, tmp_path / "other")
    flags = (f"--dispatcher=http://127.0.0.1:{one.report}" for one in (dispatcher, other))
    with target(400) as (url, _), other.running(), running_operator(fanout, *flags):
        with dispatcher.running():
            fanout.apply(fanout.route(namespace, "orders", {"name": "crm", "url": url}))
            fanout.status(namespace, "orders", Ready="True")
            dispatcher.post(f"/{namespace}/orders")
            before = fanout.status(namespace, "orders", Healthy="False/DeadLetters")
            told(fanout, namespace, "DeadLetters")
        away = fanout.status(namespace, "orders", Ready="Unknown/DispatcherSilent")
        with dispatcher.running():
            back = fanout.status(namespace, "orders", Ready="True")
            fanout.apply(fanout.route(namespace, "later", CRM, listen={"path": "/elsewhere"}))
            found = told(fanout, namespace, "PathNotAllowed")  # told after whatever the return was told by

    assert counters(away) == counters(before)
    assert before["deadLetters"] == back["deadLetters"] == 1
    assert f"what http://127.0.0.1:{dispatcher.report} said last" in condition(away, "Healthy")["message"]
    assert [(one["reason"], one["count"]) for one in found] == [("DeadLetters", 1), ("PathNotAllowed", 1)]


def test_a_last_error_stays_through_a_restart_until_the_target_is_asked_again(
    fanout: Installation, dispatcher: Dispatcher, namespace: str
) -> None:
    with (
        target(400, 200) as (url, got),
        running_operator(fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"),
    ):
        with dispatcher.running():
            fanout.apply(fanout.route(namespace, "orders", {"name": "crm", "url": url}))
            fanout.status(namespace, "orders", Ready="True")
            dispatcher.post(f"/{namespace}/orders")
            failed = fanout.status(namespace, "orders", Healthy="False/DeadLetters")
        fanout.status(namespace, "orders", Ready="Unknown/DispatcherSilent")
        with dispatcher.running():
            back = fanout.status(namespace, "orders", Ready="True")
            dispatcher.post(f"/{namespace}/orders")
            answered = [got.get(timeout=10) for _ in range(2)]
            until(fanout.server, ROUTES.path(namespace), all_are_well)

    assert (
        failed["targets"]
        == back["targets"]
        == [{"name": "crm", "circuit": "Closed", "pending": 0, "deadLetters": 1, "lastError": "400"}]
    )
    assert len(answered) == 2


def all_are_well(routes: list[Document]) -> bool:
    """Whether no target's last attempt failed."""
    return not any("lastError" in one for route in routes for one in route["status"].get("targets", ()))


def counters(status: Document) -> Document:
    return {field: status[field] for field in COUNTERS}


@pytest.fixture
def granting(fanout: Installation) -> Iterator[None]:
    """ReferenceGrants are defined; before and afterwards nobody knows them."""
    grants.define(fanout.server, "v1beta1")
    yield
    fanout.server.kubectl("delete", "crd", grants.NAME)


@pytest.mark.usefixtures("granting")
def test_once_a_grant_is_revoked_nothing_more_comes_to_its_target_and_the_others_go_on(
    fanout: Installation, dispatcher: Dispatcher, namespace: str, figure: Figure
) -> None:
    vault = fanout.server.namespace("vault")
    reference = {"namespace": vault, "name": "mail", "key": "token"}
    with (
        target() as (mail, with_token),
        target() as (crm, without),
        dispatcher.running(),
        running_operator(fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"),
    ):
        bearer = {"name": "mail", "url": mail, "authentication": {"bearer": {"secretRef": reference}}}
        fanout.apply(secret(vault, "mail", token="s3cr3t"), grants.grant(vault, namespace, "Secret", "mail"))
        fanout.apply(fanout.route(namespace, "orders", bearer, {"name": "crm", "url": crm}))
        fanout.status(namespace, "orders", Ready="True")
        dispatcher.post(f"/{namespace}/orders")
        first, _ = with_token.get(timeout=10), without.get(timeout=10)
        given = fanout.plan(namespace, "orders")
        fanout.server.kubectl("delete", "referencegrant", f"routes-of-{namespace}", f"--namespace={vault}")
        since = time.monotonic()
        dispatcher.runs(fanout.another_plan(given))
        took = time.monotonic() - since
        for _ in range(3):
            dispatcher.post(f"/{namespace}/orders")
            without.get(timeout=10)
        status = fanout.status(namespace, "orders", ResolvedRefs="False/RefNotPermitted")

    assert first == "Bearer s3cr3t"
    with pytest.raises(queue.Empty):
        with_token.get_nowait()  # the dispatcher has ended
    assert [one["name"] for one in status["targets"]] == ["mail", "crm"]
    assert took < SECONDS
    figure("P29", seconds_from_revoking_a_grant_to_the_last_request_at_most=took)


def test_what_a_deleted_route_still_owes_becomes_dead_letters_that_say_so(
    fanout: Installation, namespace: str, tmp_path: Path
) -> None:
    (nobody,) = free_ports(1)
    dispatcher = Dispatcher(fanout, tmp_path, by=HASTY)
    with dispatcher.running(), running_operator(fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"):
        fanout.apply(fanout.route(namespace, "orders", {"name": "crm", "url": f"http://127.0.0.1:{nobody}/"}))
        fanout.status(namespace, "orders", Ready="True")
        accepted = dispatcher.post(f"/{namespace}/orders")
        fanout.server.kubectl("delete", "fr", "orders", f"--namespace={namespace}")
        letters = buried(dispatcher, f"{namespace}/orders")
        refused = dispatcher.post(f"/{namespace}/orders")

    assert (accepted.status_code, refused.status_code) == (202, 404)
    assert [(one["target"], one["reason"]) for one in letters] == [("crm", "RouteDeleted")]


def buried(dispatcher: Dispatcher, route: str) -> list[Document]:
    """Wait until a route has dead letters."""
    deadline = time.monotonic() + PATIENCE
    while not (letters := dispatcher.letters(route)):
        assert time.monotonic() < deadline, f"{route} has no dead letters"
        time.sleep(0.05)
    return letters


def test_a_deleted_definition_takes_nothing_from_what_the_dispatcher_serves(
    own_server: ApiServer, tmp_path: Path
) -> None:
    define(own_server)
    fanout = Installation(own_server, "test-both-deleted")
    fanout.install()
    dispatcher = Dispatcher(fanout, tmp_path)
    namespace = own_server.namespace()
    with (
        target() as (url, got),
        dispatcher.running(),
        running_operator(fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}"),
    ):
        fanout.apply(fanout.route(namespace, "orders", {"name": "crm", "url": url}))
        fanout.status(namespace, "orders", Ready="True")
        own_server.kubectl("delete", "crd", NAME, "--timeout=10s")
        answer = dispatcher.post(f"/{namespace}/orders")
        got.get(timeout=10)

    assert answer.status_code == 202
