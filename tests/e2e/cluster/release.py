"""Fanout in the cluster: a release of the chart whose pods really run."""

import json
import os
import signal
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from tests.e2e.cluster.apps import IMAGE, PATIENCE
from tests.harness.helm import HelmError, helm
from tests.harness.nodes.cluster import Cluster

CHART = Path(__file__).parents[3] / "charts" / "fanout"
NAMESPACE = "fanout"
DISPATCHER = "fanout-dispatcher"
URL = f"http://fanout.{NAMESPACE}.svc"
RESTRICTED = {"pod-security.kubernetes.io/enforce": "restricted"}
OF_EVERY_NAMESPACE = {"configmap/kube-root-ca.crt", "serviceaccount/default"}


class Release:
    """The release `fanout` in the namespace `fanout`, whose pods pass Pod Security `restricted`."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        metadata = {"name": NAMESPACE, "labels": RESTRICTED}
        self.kubectl(
            "create", "-f", "-", input=json.dumps({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
        )

    def install(self, *values: str, chart: Path = CHART, image: str = IMAGE) -> None:
        """Install or upgrade, and wait until all pods are ready."""
        repository, tag = image.split(":")
        settings = [f"image.repository={repository}", f"image.tag={tag}", "image.pullPolicy=Never", *values]
        self._helm(
            "upgrade",
            "--install",
            "fanout",
            str(chart),
            "--wait",
            "--timeout=100s",
            *(f"--set={one}" for one in settings),
        )

    def uninstall(self) -> None:
        """Uninstall, and wait until all pods are gone."""
        self._helm("uninstall", "fanout", "--wait", "--timeout=100s")

    def kubectl(self, *args: str, input: str | None = None) -> str:  # noqa: A002 - subprocess's word
        """Run kubectl in the release's namespace."""
        return self._cluster.server.kubectl(f"--namespace={NAMESPACE}", *args, input=input)

    def programmed(self, namespace: str, name: str) -> None:
        """Wait until every dispatcher runs this route as it was applied last."""
        self._cluster.server.kubectl(
            "wait", f"fanoutroute/{name}", f"--namespace={namespace}", "--for=condition=Ready", "--timeout=60s"
        )

    def routes(self) -> list[str]:
        """Name all routes of the cluster, as namespace/name."""
        name = "jsonpath={range .items[*]}{.metadata.namespace}/{.metadata.name} {end}"
        return self.kubectl("get", "fanoutroutes", "--all-namespaces", "-o", name).split()

    def objects(self) -> set[str]:
        """Name all objects of the release's namespace, as kind/name, but what Kubernetes itself puts into each."""
        kinds = ",".join(self._kinds(namespaced=True) - {"events", "events.events.k8s.io"})
        return set(self.kubectl("get", kinds, "-o", "name").split()) - OF_EVERY_NAMESPACE

    def objects_once(self, holds: Callable[[set[str]], bool]) -> set[str]:
        """Wait until the objects are as they should be, and give them; AssertionError shows them as they are."""
        deadline = time.monotonic() + PATIENCE
        while not holds(found := self.objects()):
            assert time.monotonic() < deadline, found
            time.sleep(0.5)
        return found

    def cluster_objects(self) -> set[str]:
        """Name all objects outside of namespaces that have our name in theirs; an APIService is its definition's."""
        kinds = ",".join(self._kinds(namespaced=False))
        found = self.kubectl("get", kinds, "-o", "name").split()
        return {one for one in found if "fanout" in one and not one.startswith(("namespace/", "apiservice."))}

    def _kinds(self, *, namespaced: bool) -> set[str]:
        wanted = f"--namespaced={str(namespaced).lower()}"
        return set(self.kubectl("api-resources", wanted, "--verbs=list", "-o", "name").split())

    def dispatchers(self) -> list[dict[str, Any]]:
        """Give the dispatcher's pods."""
        labels = "app.kubernetes.io/name=fanout,app.kubernetes.io/component=dispatcher"
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", "pods", "-l", labels, "-o", "json"))["items"]
        return found

    def versions(self) -> set[str]:
        """Ask every dispatcher's image, and the operator's, which version they are."""
        workloads = [f"pod/{one['metadata']['name']}" for one in self.dispatchers()] + ["deployment/fanout-operator"]
        return {self.kubectl("exec", one, "--", "fanout", "--version").strip() for one in workloads}

    def rollout_restart(self) -> None:
        """Restart the dispatcher and wait until every pod is the new one and ready."""
        self.kubectl("rollout", "restart", f"statefulset/{DISPATCHER}")
        self.settled()

    def settled(self) -> None:
        """Wait until all pods of the dispatcher are what the release says, and ready."""
        self.kubectl("rollout", "status", f"statefulset/{DISPATCHER}", "--timeout=100s")

    def kill(self, pod: dict[str, Any]) -> None:
        """Kill -9 the process of a pod's container, past Kubernetes."""
        (status,) = pod["status"]["containerStatuses"]
        container = status["containerID"].rpartition("/")[2]
        os.kill(self._cluster.node(pod["spec"]["nodeName"]).process_of(container), signal.SIGKILL)

    def restarted(self, pod: dict[str, Any]) -> None:
        """Wait until the container of a pod is another one than it was, and ready."""
        name, before = pod["metadata"]["name"], pod["status"]["containerStatuses"][0]["restartCount"]
        status = "{.status.containerStatuses[0].restartCount}"
        self.kubectl("wait", f"pod/{name}", f"--for=jsonpath={status}={before + 1}", "--timeout=60s")
        self.kubectl("wait", f"pod/{name}", "--for=condition=Ready", "--timeout=60s")

    def drain(self, node: str) -> None:
        """Move every pod away from a node, and wait until the dispatchers are back, elsewhere."""
        self.kubectl("drain", node, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=100s")
        self.settled()

    def _helm(self, *args: str) -> None:
        try:
            helm(*args, f"--namespace={NAMESPACE}", kubeconfig=self._cluster.server.kubeconfig)
        except HelmError as no:
            no.add_note(self.told())
            raise

    def told(self) -> str:
        """Tell how the pods are, for whoever has to find out why a release does not come up."""
        wanted: Sequence[Sequence[str]] = (
            ("get", "pods,pvc", "-o", "wide"),
            ("get", "events", "--sort-by=.lastTimestamp"),
            ("logs", "-l", "app.kubernetes.io/name=fanout", "--tail=20", "--prefix"),
            ("get", "pods", "-o", "jsonpath={range .items[*]}{.status.containerStatuses[0]}{'\\n'}{end}"),
        )
        return "\n".join(self.kubectl(*one) for one in wanted)
