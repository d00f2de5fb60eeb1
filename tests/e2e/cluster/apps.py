"""The two programs that stand for a platform's own, as pods: targets that receive, and a producer that posts.

Both run Fanout's image, for its Python, with a script from pods/ mounted from a ConfigMap. They live on the first node,
so that the second can be drained without them.
"""

import json
import secrets
import time
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.harness.nodes.cluster import Cluster
from tests.support.commands import Command

Document = dict[str, Any]
IMAGE = "localhost/fanout:e2e"
NEXT = f"{IMAGE}-next"  # the same, and says that it is a later version
PODS = Path(__file__).parent / "pods"
PLACE = {"kubernetes.io/hostname": "node-1"}
PORT = 8080
PATIENCE = 60.0  # seconds


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What a producer posted: ids that were answered 202, and each other answer as (seconds, id, what it was)."""

    acknowledged: dict[str, float]
    errors: list[tuple[float, str, str]]

    def longest_refusal(self) -> float:
        """Seconds from the first to the last answer that was not 202."""
        times = [at for at, _, _ in self.errors]
        return max(times) - min(times) if times else 0.0


class Receiver:
    """The targets of one namespace: one pod behind as many Services as there are names."""

    def __init__(self, cluster: Cluster, namespace: str, names: set[str]) -> None:
        self._cluster = cluster
        self.namespace = namespace
        self.names = names

    def start(self) -> None:
        """Start the pod and wait until it is ready."""
        services = [service(self.namespace, name) for name in sorted(self.names)]
        apply(self._cluster, script(self.namespace, "receiver"), pod(self.namespace, "receiver"), *services)
        ready(self._cluster, self.namespace, "receiver")

    def seen(self) -> dict[str, Counter[str]]:
        """Tell how often each event came, by target."""
        counted: dict[str, Counter[str]] = defaultdict(Counter)
        for name, event, _ in self.requests():
            counted[name][event] += 1
        return counted

    def lost(self, acknowledged: Iterable[str], targets: Iterable[str]) -> set[tuple[str, str]]:
        """Wait until every acknowledged event came to every target; give what is still missing when patience ends."""
        owed = {(target, event) for target in targets for event in acknowledged}
        deadline = time.monotonic() + PATIENCE
        while (missing := owed - {request[:2] for request in self.requests()}) and time.monotonic() < deadline:
            time.sleep(0.2)
        return missing

    def repeated(self, events: Iterable[str]) -> int:
        """Count the requests that brought an event to a target again."""
        wanted = set(events)
        came = [(target, event) for target, event, _ in self.requests() if event in wanted]
        return len(came) - len(set(came))

    def requests(self) -> list[tuple[str, str, str]]:
        """Tell each request: target, event id, Authorization."""
        return [(target, event, credentials) for target, event, credentials in self._ask("/seen")]

    def _ask(self, path: str) -> Any:
        return ask(self._cluster, self.namespace, "receiver", path)


@contextmanager
def producing(
    cluster: Cluster, namespace: str, url: str, per_second: float, like: Command | None = None
) -> Iterator["Producer"]:
    """Post to `url` from a pod until the block ends or the producer is stopped; with `like`, that request each time."""
    run = secrets.token_hex(4)  # else the events of one run would vouch for those of the next
    what = [] if like is None else [json.dumps({"method": like.method, "headers": like.headers, "content": like.body})]
    apply(cluster, script(namespace, "producer"), pod(namespace, "producer", url, str(per_second), run, *what))
    ready(cluster, namespace, "producer")
    try:
        yield Producer(cluster, namespace)
    finally:
        cluster.server.kubectl("delete", "pod", "producer", f"--namespace={namespace}", "--grace-period=0", "--force")


class Producer:
    """A producer that posts."""

    def __init__(self, cluster: Cluster, namespace: str) -> None:
        self._cluster = cluster
        self._namespace = namespace

    def ledger(self) -> Ledger:
        """Tell everything so far."""
        return Ledger(**ask(self._cluster, self._namespace, "producer", "/ledger"))

    def until(self, count: int) -> None:
        """Wait until so many more events are acknowledged than there were."""
        wanted = len(self.ledger().acknowledged) + count
        deadline = time.monotonic() + PATIENCE
        while len(self.ledger().acknowledged) < wanted:
            assert time.monotonic() < deadline, f"{count} events were not taken in time: {self.ledger().errors[-3:]}"
            time.sleep(0.1)

    def stop(self) -> Ledger:
        """End the posting and tell everything."""
        return Ledger(**ask(self._cluster, self._namespace, "producer", "/stop"))


def apply(cluster: Cluster, *documents: Document) -> None:
    """Apply manifests as kubectl does."""
    listed = {"apiVersion": "v1", "kind": "List", "items": list(documents)}
    cluster.server.kubectl("apply", "-f", "-", input=json.dumps(listed))


def ready(cluster: Cluster, namespace: str, name: str) -> None:
    """Wait until a pod is ready."""
    cluster.server.kubectl("wait", f"pod/{name}", f"--namespace={namespace}", "--for=condition=Ready", "--timeout=60s")


def ask(cluster: Cluster, namespace: str, name: str, path: str) -> Any:
    """Ask a pod over HTTP, at its own address."""
    found = cluster.server.kubectl("get", "pod", name, f"--namespace={namespace}", "-o", "jsonpath={.status.podIP}")
    url = f"http://{found}:{PORT}{path}"
    return httpx.get(url, trust_env=False, timeout=PATIENCE).raise_for_status().json()


def script(namespace: str, name: str) -> Document:
    """Make the ConfigMap with a script of pods/."""
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": name, "namespace": namespace},
        "data": {f"{name}.py": (PODS / f"{name}.py").read_text()},
    }


def pod(namespace: str, name: str, *arguments: str) -> Document:
    """Make the pod that runs it."""
    container = {
        "name": name,
        "image": IMAGE,
        "imagePullPolicy": "Never",
        "command": ["/usr/local/bin/python3", f"/scripts/{name}.py", *arguments],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
        "volumeMounts": [{"name": "scripts", "mountPath": "/scripts"}],
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "nodeSelector": PLACE,
            "terminationGracePeriodSeconds": 1,
            "automountServiceAccountToken": False,
            "containers": [container],
            "volumes": [{"name": "scripts", "configMap": {"name": name}}],
        },
    }


def service(namespace: str, name: str) -> Document:
    """Make a Service that leads to the receiver."""
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"selector": {"app": "receiver"}, "ports": [{"name": "http", "port": 80, "targetPort": PORT}]},
    }
