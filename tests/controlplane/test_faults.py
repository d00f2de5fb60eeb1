"""Whatever the API server or the way to it does wrong, the operator comes to the same end, soon and without a storm.

Each fault strikes a running operator while routes, Secrets and Services change; then plans and statuses are compared
with those of a run in which nothing went wrong, and the requests that went through the proxy are counted.
"""

from collections.abc import Iterator

import pytest

from fanout_crds.schema import NAME
from fanout_operator.kube import ROUTES
from tests.controlplane.faults import becomes, beginning, comes, dump, meanwhile, settled, through
from tests.controlplane.installed import PROGRAM, Installation, Operator
from tests.controlplane.waiting import Document
from tests.harness.apiserver import ApiServer
from tests.support.faulty_api import (
    Ailment,
    FaultyApi,
    Matches,
    error_in_the_stream,
    everything,
    faulty,
    half_a_line,
    lose_the_answer,
    refuse,
    reset,
    statuses,
    truncate,
    watches,
    writes,
)
from tests.support.figures import Figure

RECOVERY = 30.0  # seconds on a busy machine; how long it really took is printed
STORM = 40.0  # requests a second that would be a hot loop; the hasty operator resumes seven watches every 3 s

State = tuple[Document, Document]


@pytest.fixture(scope="module")
def fanout(release: Installation) -> Installation:
    return release.beside("test-faults")


@pytest.fixture(scope="module")
def api(apiserver: ApiServer) -> Iterator[FaultyApi]:
    with faulty(apiserver) as proxy:
        yield proxy


@pytest.fixture(scope="module")
def operator(fanout: Installation, api: FaultyApi) -> Iterator[Operator]:
    """One operator that goes through all faults, one after another."""
    process = through(fanout, api)
    try:
        process.start()
        yield process
        process.stop()  # it lived through all of it, and ends well
    finally:
        process.kill()


@pytest.fixture(scope="module")
def end(fanout: Installation, operator: Operator) -> State:
    """How the story ends when nothing goes wrong."""
    namespace = fanout.server.namespace()
    beginning(fanout, namespace)
    comes(fanout, namespace)
    meanwhile(fanout, namespace)
    settled(fanout, namespace)
    return dump(fanout, namespace)


FAULTS: dict[str, tuple[Matches, Ailment, int]] = {
    "410 in a watch of routes": (watches("fanoutroutes"), error_in_the_stream(410), 1),
    "410 in every watch": (lambda request: "watch" in request.query, error_in_the_stream(410), 14),
    "410 for lists and watches": (lambda request: request.path.endswith(("/services", "/secrets")), refuse(410), 10),
    "500 in a watch of routes": (watches("fanoutroutes"), error_in_the_stream(500), 2),
    "500 in every watch": (lambda request: "watch" in request.query, error_in_the_stream(500), 14),
    "409 for writes": (writes, refuse(409), 6),
    "409 for statuses": (statuses, refuse(409), 3),
    "429 for everything": (everything, refuse(429, Retry_After="1"), 10),
    "500 for everything": (everything, refuse(500), 20),
    "connections reset": (everything, reset, 20),
    "answers of writes lost": (writes, lose_the_answer, 8),
    "lists truncated": (lambda request: "watch" not in request.query and request.method == "GET", truncate, 10),
    "answers of writes truncated": (writes, truncate, 4),
    "half a line in a watch of routes": (watches("fanoutroutes"), half_a_line, 3),
    "half a line in every watch": (lambda request: "watch" in request.query, half_a_line, 20),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_the_end_is_the_same_after(
    fault: str,
    fanout: Installation,
    api: FaultyApi,
    operator: Operator,
    end: State,
    namespace: str,
    figure: Figure,
) -> None:
    beginning(fanout, namespace)
    comes(fanout, namespace)
    before, met = api.total(), api.met
    api.meet(*FAULTS[fault])
    api.cut()
    meanwhile(fanout, namespace)
    took = becomes(fanout, namespace, end)
    asked = api.total() - before
    api.heal()

    assert api.met > met, "the fault struck"
    assert took < RECOVERY
    assert asked < STORM * (took + 5)
    figure("P26", fault=fault, struck=api.met - met, seconds=took, requests=asked)


def test_a_watch_that_died_without_a_word_is_noticed_and_resumed(
    fanout: Installation, api: FaultyApi, operator: Operator, end: State, namespace: str, figure: Figure
) -> None:
    beginning(fanout, namespace)
    comes(fanout, namespace)
    api.silence()
    meanwhile(fanout, namespace)
    took = becomes(fanout, namespace, end)

    assert took < RECOVERY
    assert operator.is_alive()
    figure("P26", fault="watches silent (3 s instead of 90)", seconds=took)


def test_a_watch_that_kopf_gave_up_is_begun_anew(
    fanout: Installation, api: FaultyApi, operator: Operator, end: State, namespace: str, figure: Figure
) -> None:
    """At an event about a definition it asks what there is, and an API server that just got it may not serve it yet."""
    beginning(fanout, namespace)
    comes(fanout, namespace)
    met = api.met
    api.meet(lambda request: request.path == f"/apis/{ROUTES.group}/{ROUTES.version}", refuse(404), 1)
    fanout.server.kubectl("annotate", "crd", NAME, f"touched={namespace}")
    operator.says("Unresolved resources")  # kopf ends its watch, and would wait for the next event about a definition
    meanwhile(fanout, namespace)
    took = becomes(fanout, namespace, end)

    assert api.met == met + 1
    assert took < RECOVERY
    figure("P26", fault="discovery without routes", seconds=took)


@pytest.mark.timeout(300)
def test_the_operator_with_its_own_patience_resumes_a_watch_that_died_without_a_word(
    fanout: Installation,
    api: FaultyApi,
    operator: Operator,
    end: State,
    request: pytest.FixtureRequest,
    figure: Figure,
) -> None:
    """As above, and nothing is hastened: a minute and a half of waiting, for the long form only."""
    if not request.config.getoption("--long"):
        pytest.skip("takes two minutes: --long")
    operator.stop()  # nobody else may do the work
    patient, namespace = through(fanout, api, program=PROGRAM), fanout.server.namespace()
    try:
        patient.start()
        beginning(fanout, namespace)
        comes(fanout, namespace)
        api.silence()
        meanwhile(fanout, namespace)
        took = becomes(fanout, namespace, end, patience=120.0)
        alive = patient.is_alive()
        patient.stop()
    finally:
        patient.kill()
        operator.start()
    figure("P26", fault="watches silent", seconds=took)

    assert alive, "it mended itself before its liveness probe would have had it killed"
