"""Every example, applied by kubectl: a producer in a pod posts through the Service, and all of it arrives."""

from tests.e2e.cluster.apps import Receiver, producing
from tests.e2e.cluster.examples import Route, shown
from tests.e2e.cluster.release import URL
from tests.harness.nodes.cluster import Cluster
from tests.support.figures import Figure

EVENTS = 50


def test_what_is_posted_through_the_service_reaches_every_target(
    cluster: Cluster, receivers: dict[str, Receiver], route: Route, figure: Figure
) -> None:
    receiver = receivers[route.namespace]

    with producing(cluster, route.namespace, URL + route.path, per_second=20) as producer:
        producer.until(EVENTS)
        ledger = producer.stop()

    lost = receiver.lost(ledger.acknowledged, route.owed)
    figure("e2e", route=route, posted=len(ledger.acknowledged), targets=len(route.owed), lost=len(lost))
    assert ledger.errors == []
    assert lost == set()


def test_what_an_example_shows_reaches_the_targets_that_it_is_for(
    cluster: Cluster, receivers: dict[str, Receiver], particular: Route, figure: Figure
) -> None:
    """Filters, mapped requests, answers made of answers, a GET: an event that is not theirs would show nothing."""
    command, owed = shown(particular)

    with producing(cluster, particular.namespace, URL + command.path, per_second=20, like=command) as producer:
        producer.until(EVENTS)
        ledger = producer.stop()

    lost = receivers[particular.namespace].lost(ledger.acknowledged, owed)
    figure("e2e", route=particular, posted=len(ledger.acknowledged), targets=len(owed), lost=len(lost))
    assert ledger.errors == []
    assert lost == set()


def test_a_token_from_a_secret_of_the_cluster_reaches_its_target(receivers: dict[str, Receiver]) -> None:
    came = {credentials for target, _, credentials in receivers["accounts"].requests() if target == "crm"}

    assert came == {"Bearer an-example-and-no-secret"}
