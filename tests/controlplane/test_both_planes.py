"""Operator and dispatcher as processes, each with the chart's own account: a manifest in, an event out, status back."""

import sys
from pathlib import Path

import pytest
import trustme

from fanout_crds.report import AUDIENCE
from fanout_crds.schema import NAME
from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.installed import Installation, condition, define, running_operator
from tests.controlplane.manifests import CRM, secret
from tests.controlplane.targets import target
from tests.harness.apiserver import ApiServer

BIN = Path(sys.executable).parent


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
        dispatcher.abandon_sagas()
        fanout.status(namespace, "orders", Healthy="False/DeadLetters")

    assert "payment.compensate (1)" in condition(stuck, "Healthy")["message"]
    assert {one["name"]: one["stuck"] for one in stuck["targets"] if "stuck" in one} == {"payment.compensate": 1}


def test_over_tls_the_report_is_for_a_token_of_its_audience_and_for_nobody_else(
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
    dispatcher = Dispatcher(
        fanout, tmp_path, f"--report-cert={tmp_path / 'tls.crt'}", f"--report-key={tmp_path / 'tls.key'}"
    )
    flags = (f"--dispatcher=https://localhost:{dispatcher.report}", f"--report-ca={tmp_path / 'ca.crt'}")
    fanout.apply(fanout.route(namespace, "orders", CRM))
    with dispatcher.running():
        with running_operator(fanout, *flags, f"--report-token={tmp_path / 'other'}") as operator:
            operator.says("answered 401")
            unknown = fanout.status(namespace, "orders", Accepted="True")
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
