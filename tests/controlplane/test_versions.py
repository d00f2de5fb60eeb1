"""Planes of two versions in a row, as processes: the one before runs the very code that it had.

tests/skew knows what each side reads of the other's lines and plans; here they carry out routes together, as they do
in the minutes of an upgrade, and for as long as one is taken back.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import pytest

from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.installed import PROGRAM, Installation, Operator, condition, running_operator
from tests.controlplane.manifests import secret
from tests.controlplane.targets import target
from tests.harness.previous import previous_or_skip

PLANES = ("crds", "operator", "dispatcher")
CONTRACT = ("crds/fanout_crds/plan", "crds/fanout_crds/report.py")
BEARER = {"bearer": {"secretRef": {"name": "mail", "key": "token"}}}

Program = tuple[str, ...]
OLDER: Program = (sys.executable, "-m", "tests.support.older_dispatcher", "dependsOn")


@pytest.fixture(scope="module")
def before(tmp_path_factory: pytest.TempPathFactory) -> Program:
    """What runs a program by the code of the version before."""
    code = previous_or_skip(tmp_path_factory.mktemp("before"), PLANES, CONTRACT)
    return ("/usr/bin/env", f"PYTHONPATH={':'.join(str(code / plane) for plane in PLANES)}")


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-versions")


@contextmanager
def operator_of(fanout: Installation, dispatcher: Dispatcher, by: Program = ()) -> Iterator[Operator]:
    with running_operator(
        fanout, f"--dispatcher=http://127.0.0.1:{dispatcher.report}", program=(*by, *PROGRAM)
    ) as running:
        yield running


def delivers(dispatcher: Dispatcher, namespace: str, got: Queue[str], token: str) -> None:
    assert dispatcher.post(f"/{namespace}/orders").status_code == 202
    assert got.get(timeout=10) == f"Bearer {token}"


def test_a_dispatcher_of_the_version_before_carries_out_what_this_operator_writes(
    fanout: Installation, before: Program, namespace: str, tmp_path: Path
) -> None:
    dispatcher = Dispatcher(fanout, tmp_path, by=before)
    with target() as (url, got), dispatcher.running(), operator_of(fanout, dispatcher):
        mail = {"name": "mail", "url": url, "authentication": BEARER}
        fanout.apply(secret(namespace, "mail", token="first"), fanout.route(namespace, "orders", mail))
        fanout.status(namespace, "orders", Ready="True", Healthy="True")
        delivers(dispatcher, namespace, got, "first")
        plan = fanout.plan(namespace, "orders")
        fanout.apply(secret(namespace, "mail", token="second"))
        dispatcher.runs(fanout.another_plan(plan))
        delivers(dispatcher, namespace, got, "second")


def test_this_dispatcher_carries_out_what_the_operator_before_wrote_and_goes_on_when_that_is_upgraded(
    fanout: Installation, before: Program, namespace: str, tmp_path: Path
) -> None:
    dispatcher = Dispatcher(fanout, tmp_path)
    with target() as (url, got), dispatcher.running():
        mail = {"name": "mail", "url": url, "authentication": BEARER}
        with operator_of(fanout, dispatcher, before) as older:
            fanout.apply(secret(namespace, "mail", token="first"), fanout.route(namespace, "orders", mail))
            fanout.status(namespace, "orders", Ready="True", Healthy="True")
            delivers(dispatcher, namespace, got, "first")
            older.stop()
        delivers(dispatcher, namespace, got, "first")
        with operator_of(fanout, dispatcher):
            fanout.one_more(namespace)
            fanout.status(namespace, "orders", Ready="True", Healthy="True")
            delivers(dispatcher, namespace, got, "first")


def test_what_an_older_dispatcher_would_carry_out_wrongly_it_refuses_and_takes_once_it_is_upgraded(
    fanout: Installation, namespace: str, tmp_path: Path
) -> None:
    dispatcher = Dispatcher(fanout, tmp_path, by=OLDER)
    with target() as (url, got), operator_of(fanout, dispatcher):
        first = {"name": "first", "url": url}
        steps = (first, {"name": "then", "url": url, "dependsOn": ["first"]})
        with dispatcher.running():
            fanout.apply(fanout.route(namespace, "orders", first))
            fanout.status(namespace, "orders", Ready="True")
            fanout.apply(fanout.route(namespace, "orders", *steps), fanout.route(namespace, "new", *steps))
            refused = fanout.status(namespace, "orders", Programmed="False/PlanRefused", Ready="False/PlanRefused")
            fanout.status(namespace, "new", Programmed="False/PlanRefused")
            new = dispatcher.post(f"/{namespace}/new")
            dispatcher.post(f"/{namespace}/orders")
            got.get(timeout=10)
        by_the_plan_before = got.qsize()
        dispatcher.by = ()
        with dispatcher.running():
            for name in ("orders", "new"):
                fanout.status(namespace, name, Ready="True")
                dispatcher.post(f"/{namespace}/{name}")
                got.get(timeout=10), got.get(timeout=10)

    says = condition(refused, "Programmed")["message"]
    assert f"127.0.0.1:{dispatcher.report} refused this revision" in says
    assert "upgrade this dispatcher first: the plan needs dependsOn, which it does not know" in says
    assert refused["programmedGeneration"] == 1
    assert (new.status_code, by_the_plan_before) == (404, 0)
