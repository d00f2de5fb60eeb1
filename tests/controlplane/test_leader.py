"""Two operators of one installation, as processes: one leads, the other follows it, and never do both write."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.installed import Installation, Operator
from tests.controlplane.manifests import CRM
from tests.controlplane.waiting import Document
from tests.support.figures import Figure

LEASE = "fanout-operator"
TAKEOVER = 15.0  # seconds, after a leader was killed
SHORT = (  # terms for who waits until a lease runs out, and does not ask how long that takes
    "--leader-elect-lease-duration=6s",
    "--leader-elect-renew-deadline=5s",
    "--leader-elect-retry-period=500ms",
)


@pytest.fixture
def fanout(release: Installation, namespace: str) -> Installation:
    """A class of the test's own, and a Lease that nobody held before."""
    release.server.kubectl("delete", "lease", LEASE, f"--namespace={release.namespace}", "--ignore-not-found")
    return release.beside(f"leader-{namespace}")


@contextmanager
def candidates(fanout: Installation, count: int = 2, *flags: str) -> Iterator[list[Operator]]:
    """So many operators that are ready; the first leads."""
    operators = [fanout.operator("--leader-elect", *flags) for _ in range(count)]
    try:
        for operator in operators:
            operator.start()
        yield operators
    finally:
        for operator in operators:
            operator.kill()


def leases(fanout: Installation, name: str = LEASE) -> Document:
    """The Lease's spec as it is now."""
    found = json.loads(fanout.server.kubectl("get", "lease", name, f"--namespace={fanout.namespace}", "-o", "json"))
    spec: Document = found["spec"]
    return spec


def says(operator: Operator) -> str:
    return httpx.get(f"{operator.health}/readyz", trust_env=False).text


def test_one_leads_and_the_other_is_ready_too_and_writes_nothing(fanout: Installation, namespace: str) -> None:
    with candidates(fanout) as (leader, standby):
        fanout.apply(fanout.route(namespace, "orders", CRM))
        fanout.plan(namespace, "orders")
        fanout.status(namespace, "orders", Accepted="True")

        assert (says(leader), says(standby)) == ("ok", "standby")
        assert (leader.metric("fanout_operator_leader"), standby.metric("fanout_operator_leader")) == (1, 0)
        assert standby.metric("fanout_operator_routes") >= 1, "it watches, so that it can go on at once"
        assert (leader.patches(), standby.patches()) == (2, 0)
        assert leases(fanout)["leaseTransitions"] == 0


def test_a_leader_that_was_killed_is_followed_within_15_seconds(
    fanout: Installation, namespace: str, figure: Figure
) -> None:
    with candidates(fanout) as (leader, standby):
        fanout.apply(fanout.route(namespace, "orders", CRM))
        fanout.plan(namespace, "orders")
        leader.kill()
        killed = time.monotonic()
        fanout.apply(fanout.route(namespace, "invoices", CRM))
        fanout.plan(namespace, "invoices")
        fanout.status(namespace, "invoices", Accepted="True")
        took = time.monotonic() - killed

        assert took < TAKEOVER
        assert standby.metric("fanout_operator_leader") == 1
        assert leases(fanout)["leaseTransitions"] == 1
    figure("P26", takeover_after="kill -9", seconds=took)


def test_a_leader_that_ends_well_is_followed_at_once(fanout: Installation, namespace: str, figure: Figure) -> None:
    with candidates(fanout) as (leader, standby):
        began = time.monotonic()
        leader.stop()  # asserts exit status 0
        fanout.apply(fanout.route(namespace, "orders", CRM))
        fanout.plan(namespace, "orders")
        took = time.monotonic() - began

        assert took < 5.0, "the lease was handed on: a look every 2 s, and the work"
        assert standby.metric("fanout_operator_leader") == 1
    figure("P26", takeover_after="SIGTERM", seconds=took)


def test_a_takeover_writes_nothing_that_is_as_it_should_be(fanout: Installation, namespace: str) -> None:
    with candidates(fanout) as (leader, standby):
        fanout.apply(fanout.route(namespace, "orders", CRM))
        fanout.status(namespace, "orders", Accepted="True")
        leader.stop()
        fanout.one_more(namespace)

        assert standby.patches() == 2


def test_a_leader_that_was_frozen_does_not_write_when_it_wakes(fanout: Installation, namespace: str) -> None:
    with candidates(fanout, 2, *SHORT) as (leader, standby):
        leader.freeze()
        fanout.apply(fanout.route(namespace, "orders", CRM))
        fanout.plan(namespace, "orders")
        fanout.status(namespace, "orders", Accepted="True")
        before = fanout.versions(namespace)
        leader.thaw()

        assert leader.ended() == 1
        assert "lease.lost" in leader.log.read_text()
        assert fanout.versions(namespace) == before
        assert standby.metric("fanout_operator_leader") == 1


def test_who_loses_the_lease_ends_with_status_1_and_says_so(fanout: Installation) -> None:
    with candidates(fanout, 1) as (leader,):
        stolen = json.dumps({"spec": {"holderIdentity": "somebody-else"}})
        fanout.server.kubectl(
            "patch", "lease", LEASE, f"--namespace={fanout.namespace}", "--type=merge", f"--patch={stolen}"
        )

        assert leader.ended() == 1
        assert "lease.lost" in leader.log.read_text()
        assert "Traceback" not in leader.log.read_text()


def test_the_dispatcher_does_not_notice(fanout: Installation, namespace: str, tmp_path: Path) -> None:
    dispatcher = Dispatcher(fanout, tmp_path)
    with (
        dispatcher.running(),
        candidates(fanout, 2, *SHORT, f"--dispatcher=http://127.0.0.1:{dispatcher.report}") as (leader, standby),
    ):
        fanout.apply(fanout.route(namespace, "orders", CRM))
        plan = fanout.plan(namespace, "orders")
        fanout.status(namespace, "orders", Ready="True")
        leader.kill()
        posted = []
        deadline = time.monotonic() + TAKEOVER
        while not standby.metric("fanout_operator_leader"):
            assert time.monotonic() < deadline
            posted.append(dispatcher.post(f"/{namespace}/orders").status_code)
            time.sleep(0.1)  # ten events a second for as long as nobody leads
        fanout.status(namespace, "orders", Ready="True")

        assert set(posted) == {202}
        assert fanout.plan(namespace, "orders")["revision"] == plan["revision"]


def test_of_three_that_start_at_once_one_writes(fanout: Installation, namespace: str) -> None:
    operators = [fanout.operator("--leader-elect") for _ in range(3)]
    try:
        for operator in operators:
            operator.spawn()
        fanout.apply(*(fanout.route(namespace, f"r{number}", CRM) for number in range(5)))
        for number in range(5):
            fanout.status(namespace, f"r{number}", Accepted="True")
        for operator in operators:
            operator.comes_up()
        wrote = sorted(operator.patches() for operator in operators)

        assert wrote == [0, 0, 10], "one plan and one status a route, all by one of the three"
        assert leases(fanout)["leaseTransitions"] == 0
    finally:
        for operator in operators:
            operator.kill()
