"""`helm test` where pods run: for whoever installed Fanout, the first proof that it works."""

from tests.e2e.cluster.release import NAMESPACE, Release
from tests.harness.helm import helm
from tests.harness.nodes.cluster import Cluster


def test_it_posts_an_event_sees_it_delivered_and_leaves_nothing_behind(cluster: Cluster, release: Release) -> None:
    helm("test", "fanout", f"--namespace={NAMESPACE}", "--timeout=110s", kubeconfig=cluster.server.kubeconfig)

    assert "fanout-test" not in release.kubectl("get", "fanoutroutes,pods,services", "-o", "name")
