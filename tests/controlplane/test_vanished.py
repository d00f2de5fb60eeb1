"""Routes that are missing from lists: many at once are held and said, and lists that are empty take no plan away."""

import time
from collections.abc import Iterator

import pytest

from fanout_operator.kube import EVENTS
from fanout_operator.sweep import FEW
from tests.controlplane.faults import through
from tests.controlplane.installed import Installation, Operator, hasty
from tests.controlplane.manifests import CRM
from tests.controlplane.waiting import PATIENCE, until
from tests.harness.apiserver import ApiServer
from tests.support.faulty_api import FaultyApi, empty_list, faulty, lists

MANY = FEW + 2
LISTS = 3  # empty ones: that of the start, and the two that do where few are missing
HELD = "fanout_operator_plans_held"


@pytest.fixture
def fanout(release: Installation) -> Installation:
    return release.beside("test-vanished")


@pytest.fixture
def api(apiserver: ApiServer) -> Iterator[FaultyApi]:
    with faulty(apiserver) as proxy:
        yield proxy


@pytest.fixture
def operator(fanout: Installation, api: FaultyApi) -> Iterator[Operator]:
    process = through(fanout, api, program=hasty("looks"))
    try:
        process.start()
        yield process
    finally:
        process.kill()


def made(fanout: Installation, namespace: str, count: int) -> dict[str, str]:
    """Make so many routes; the versions of their plans."""
    names = [f"route-{number}" for number in range(count)]
    fanout.apply(*(fanout.route(namespace, name, CRM) for name in names))
    for name in names:
        fanout.plan(namespace, name)
    return versions(fanout, namespace)


def versions(fanout: Installation, namespace: str) -> dict[str, str]:
    plans = fanout.plans().items()
    return {key: one["metadata"]["resourceVersion"] for key, one in plans if key.startswith(f"{namespace}/")}


def told(fanout: Installation, words: str) -> None:
    """Wait until an Event says this of the plans that are held."""
    until(
        fanout.server,
        EVENTS.path(fanout.namespace),
        lambda items: any(one["reason"] == "PlansHeld" and one["message"].startswith(words) for one in items),
    )


def deleted(fanout: Installation, namespace: str) -> None:
    fanout.server.kubectl("delete", "fanoutroute", "--all", f"--namespace={namespace}", "--timeout=15s")


def struck(api: FaultyApi, times: int) -> None:
    """Wait until an ailment was applied so often."""
    deadline = time.monotonic() + PATIENCE
    while api.met < times:
        assert time.monotonic() < deadline, f"{api.met} of {times}"
        time.sleep(0.05)


def test_many_routes_deleted_while_the_operator_was_away_keep_their_plans_until_a_while_of_lists_agrees(
    fanout: Installation, operator: Operator, namespace: str
) -> None:
    before = made(fanout, namespace, MANY)
    operator.stop()
    deleted(fanout, namespace)
    operator.start()
    operator.counts(HELD, MANY)
    held = versions(fanout, namespace)
    told(fanout, f"{MANY} routes vanished at once: their plans stay in force")
    operator.counts(HELD, 0)
    for name in before:
        fanout.without_plan(*name.split("/"))

    assert held == before


@pytest.mark.parametrize("count", [3, MANY], ids=["few", "many"])
def test_lists_that_are_empty_take_no_plan_away(
    fanout: Installation, api: FaultyApi, operator: Operator, namespace: str, count: int
) -> None:
    before = made(fanout, namespace, count)
    operator.stop()
    api.meet(lists("fanoutroutes"), empty_list, times=1000)
    operator.start()
    struck(api, LISTS)
    if count > FEW:
        operator.counts(HELD, count)
    fanout.one_more(namespace)  # what the last list gave to do is done by then
    meanwhile = versions(fanout, namespace)
    api.heal()
    operator.counts(HELD, 0)
    after = versions(fanout, namespace)
    deleted(fanout, namespace)
    for name in after:
        fanout.without_plan(*name.split("/"))

    assert meanwhile == after
    assert before.items() <= after.items()
