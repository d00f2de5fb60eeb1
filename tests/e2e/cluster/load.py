"""Fixtures for what happens under load: a producer that goes on posting, and the one promise every run is held to."""

from collections.abc import Callable, Iterator

import pytest

from tests.e2e.cluster.apps import Ledger, Producer, Receiver, producing
from tests.e2e.cluster.examples import Route
from tests.e2e.cluster.release import URL, Release
from tests.harness.nodes.cluster import Cluster
from tests.support.figures import Figure

TARGETS = frozenset({"billing", "crm", "warehouse"})
ROUTE = Route(
    namespace="shop",
    name="order-placed",
    path="/shop/order-placed",
    targets=TARGETS,
    owed=TARGETS,
)
PER_SECOND = 40
AROUND = 40  # events before and after what happens
SHORT = 60.0  # seconds of refusal where there is one dispatcher: 3 to 5 on a quiet machine, 14 seen on a busy one

Judge = Callable[[str], Ledger]


@pytest.fixture
def two(release: Release) -> None:
    """Two dispatchers, one on each node."""
    release.install("dispatcher.replicas=2")
    release.programmed(ROUTE.namespace, ROUTE.name)


@pytest.fixture
def load(cluster: Cluster, receivers: dict[str, Receiver]) -> Iterator[Producer]:
    """A producer that has begun and goes on while the test does what it does."""
    with producing(cluster, ROUTE.namespace, URL + ROUTE.path, PER_SECOND) as producer:
        producer.until(AROUND)
        yield producer


@pytest.fixture
def judge(load: Producer, receivers: dict[str, Receiver], figure: Figure) -> Judge:
    """Ends the load, keeps the figures, and holds every run to the one promise: nothing lost."""

    def end(what: str) -> Ledger:
        load.until(AROUND)
        ledger = load.stop()
        receiver = receivers[ROUTE.namespace]
        lost = receiver.lost(ledger.acknowledged, ROUTE.targets)
        repeated = receiver.repeated(ledger.acknowledged.keys() - {event for _, event, _ in ledger.errors})
        figure(
            "e2e", what=what, posted=len(ledger.acknowledged), client_errors=len(ledger.errors),
            refused_seconds=ledger.longest_refusal(), duplicates=repeated, lost=len(lost),
        )  # fmt: skip
        assert lost == set()
        assert ledger.longest_refusal() < SHORT
        return ledger

    return end
