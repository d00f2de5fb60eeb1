"""The cluster itself: pods run, and a Service's name leads to them."""

from tests.e2e.cluster.apps import Receiver, producing
from tests.harness.nodes.cluster import Cluster


def test_a_pod_reaches_another_by_the_name_of_its_service(cluster: Cluster) -> None:
    namespace = cluster.server.namespace("hello")
    receiver = Receiver(cluster, namespace, {"greeted"})
    receiver.start()

    with producing(cluster, namespace, f"http://greeted.{namespace}.svc/", per_second=10) as producer:
        producer.until(20)  # two seconds
        ledger = producer.stop()

    reached = min(ledger.acknowledged.values())  # a node hears of a Service a little after its pod is ready
    assert [error for error in ledger.errors if error[0] > reached + 1.0] == []
    assert set(receiver.seen()["greeted"]) == set(ledger.acknowledged) != set()
