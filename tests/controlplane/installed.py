"""The chart installed in a namespace of its own, and the operator as a process with the chart's own ServiceAccount.

There are no nodes, so the pods of the release never run; their accounts and roles are real, and the operator that the
tests talk to acts as its account, by a token of the TokenRequest API.
"""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from fanout_crds.cluster_plan import FILE, PLAN, REVISION, ROUTE, name_of, note
from fanout_crds.generate import FILE as DEFINITION
from fanout_crds.route import API_VERSION, KIND
from fanout_crds.schema import NAME
from fanout_operator.kube import CONFIG_MAPS, ROUTES, SECRETS
from tests.controlplane.waiting import PATIENCE, Document, until
from tests.harness.apiserver import ApiServer
from tests.harness.helm import helm
from tests.harness.process import end, free_ports, spawn, tail

CHART = Path(__file__).parents[2] / "charts" / "fanout"
PLANS = f"{PLAN}=true"
PROGRAM = (str(Path(sys.executable).parent / "fanout-operator"),)


def hasty(what: str) -> tuple[str, ...]:
    """The same with less patience; tests.support.hasty_operator says with what."""
    return (sys.executable, "-m", "tests.support.hasty_operator", what)


class Operator:
    """One operator process."""

    def __init__(self, command: Sequence[str], health: str, log: Path) -> None:
        self._command = command
        self.health = health
        self.log = log
        self._process: subprocess.Popen[bytes] | None = None

    def start(self, patience: float = PATIENCE) -> None:
        """Start it and wait until it is ready."""
        self.spawn()
        self.comes_up(patience)

    def comes_up(self, patience: float = PATIENCE) -> None:
        """Wait until it is ready."""
        deadline = time.monotonic() + patience
        while not self.ready():
            assert self._process, "it was spawned"
            assert self._process.poll() is None, f"the operator ended:\n{tail(self.log)}"
            assert time.monotonic() < deadline, f"the operator is not ready:\n{tail(self.log)}"
            time.sleep(0.02)

    def spawn(self) -> None:
        """Start it, and do not wait."""
        self._process = spawn(self._command, self.log)

    def says(self, words: str, patience: float = PATIENCE) -> None:
        """Wait until it logs these words."""
        deadline = time.monotonic() + patience
        while not (self.log.exists() and words in self.log.read_text()):
            assert time.monotonic() < deadline, f"the operator did not say {words}:\n{tail(self.log)}"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it as Kubernetes does; it must end well, and long before Kubernetes would lose patience."""
        assert self._process is not None
        self._process.terminate()
        status = self._process.wait(PATIENCE)
        assert status == 0, tail(self.log)

    def kill(self) -> None:
        """End it at once, whatever state it is in."""
        if self._process:
            end(self._process)

    def freeze(self) -> None:
        """Stop it in the middle of whatever it does, as a suspended machine does; `thaw` lets it go on."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on as if nothing had happened."""
        self._signal(signal.SIGCONT)

    def ended(self) -> int:
        """Wait until it ends by itself; its exit status."""
        assert self._process is not None
        return self._process.wait(PATIENCE)

    def is_alive(self) -> bool:
        """What its liveness probe says."""
        return httpx.get(f"{self.health}/livez", trust_env=False).is_success

    @property
    def pid(self) -> int:
        """Its process id. (setpriv becomes the program that it starts.)"""
        assert self._process is not None
        return self._process.pid

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def patches(self) -> int:
        """How many PATCH requests it has made so far."""
        return int(self.metric('fanout_operator_api_calls_total{method="PATCH"}'))

    def metric(self, name: str) -> float:
        """One number of /metrics; 0 when it is not there."""
        for line in httpx.get(f"{self.health}/metrics", trust_env=False).text.splitlines():
            if line.startswith(name + " "):
                return float(line.rpartition(" ")[2])
        return 0.0

    def counts(self, name: str, wanted: float) -> None:
        """Wait until one number of /metrics is this."""
        deadline = time.monotonic() + PATIENCE
        while (found := self._metric_or_none(name)) != wanted:
            assert time.monotonic() < deadline, f"{name} is {found}, not {wanted}:\n{tail(self.log)}"
            time.sleep(0.05)

    def _metric_or_none(self, name: str) -> float | None:
        try:
            return self.metric(name)
        except httpx.TransportError:
            return None

    def has_ended(self) -> bool:
        """Whether it has ended, by itself or otherwise."""
        assert self._process is not None
        return self._process.poll() is not None

    def ready(self) -> bool:
        """What its readiness probe says."""
        try:
            return httpx.get(f"{self.health}/readyz", trust_env=False).is_success
        except httpx.TransportError:
            return False


class Installation:
    """A release of the chart in a namespace, and what lies there."""

    def __init__(self, server: ApiServer, class_name: str, namespace: str | None = None) -> None:
        self.server = server
        self.class_name = class_name
        self.namespace = namespace or server.namespace("fanout")

    def beside(self, class_name: str) -> "Installation":
        """Another class, served from the same namespace by the same accounts."""
        return Installation(self.server, class_name, self.namespace)

    def install(self, *values: str) -> None:
        """Install or upgrade the release; what a cluster has once is the test run's own."""
        settings = [
            f"--set=className={self.class_name}",
            "--set=crds.install=false",
            "--set=rbac.aggregatedRoles=false",
            "--set=admissionPolicy.enabled=false",  # what it would refuse is for the operator to judge
            *(f"--set={one}" for one in values),
        ]
        helm(
            "upgrade", "--install", "fanout", str(CHART), f"--namespace={self.namespace}", *settings,
            kubeconfig=self.server.kubeconfig,
        )  # fmt: skip

    def operator(self, *flags: str, program: Sequence[str] = PROGRAM) -> Operator:
        """An operator with the chart's account; not started yet."""
        (port,) = free_ports(1)
        kubeconfig = self.server.kubeconfig_for(self.namespace, "fanout-operator")
        command = [
            *program,
            f"--namespace={self.namespace}",
            f"--class-name={self.class_name}",
            f"--kubeconfig={kubeconfig}",
            f"--health=127.0.0.1:{port}",
            *flags,
        ]
        log = self.server.home / f"{self.namespace}.{self.class_name}.operator-{port}.log"
        return Operator(command, f"http://127.0.0.1:{port}", log)

    def apply(self, *documents: Document) -> None:
        """Apply manifests as kubectl does."""
        listed = {"apiVersion": "v1", "kind": "List", "items": documents}
        self.server.kubectl("apply", "-f", "-", input=json.dumps(listed))

    def route(self, namespace: str, name: str, *targets: Document, **spec: object) -> Document:
        """A manifest of this installation's class."""
        return {
            "apiVersion": API_VERSION,
            "kind": KIND,
            "metadata": {"name": name, "namespace": namespace},
            "spec": {"className": self.class_name, "targets": list(targets), **spec},
        }

    def plan(self, namespace: str, name: str, **wanted: object) -> Document:
        """Wait for a route's plan, with these values at its top, and give it."""

        def found(items: list[Document]) -> Document | None:
            return self.found(items, namespace, name, **wanted)

        items = until(self.server, CONFIG_MAPS.path(self.namespace), found, labels=PLANS)
        plan = found(items)
        assert plan is not None
        return plan

    def found(self, items: list[Document], namespace: str, name: str, **wanted: object) -> Document | None:
        """A route's plan, with these values at its top, among ConfigMaps."""
        mine = [json.loads(one["data"][FILE]) for one in items if note(one, ROUTE) == f"{namespace}/{name}"]
        return next((one for one in mine if all(one[key] == value for key, value in wanted.items())), None)

    def one_more(self, namespace: str) -> None:
        """Apply another route and wait until it is answered, by two writes: what was to be said before, has been."""
        self.apply(self.route(namespace, "one-more", {"name": "crm", "url": "https://crm.example.com/"}))
        self.plan(namespace, "one-more")
        self.status(namespace, "one-more", Accepted="True")

    def credentials(self, plan: Document) -> Document:
        """Wait for the Secret that goes with a revision."""

        def holds(items: list[Document]) -> bool:
            return bool(items) and note(items[0], REVISION) == plan["revision"]

        (found,) = until(self.server, SECRETS.path(self.namespace), holds, name=name_of(plan["uid"]))
        return found

    def another_plan(self, plan: Document) -> Document:
        """Wait for the plan that follows another of the same route."""

        def other(items: list[Document]) -> bool:
            return any(note(one, REVISION) != plan["revision"] for one in items)

        path = CONFIG_MAPS.path(self.namespace)
        (found,) = until(self.server, path, other, name=name_of(plan["uid"]))
        made: Document = json.loads(found["data"][FILE])
        return made

    def plans(self) -> dict[str, Document]:
        """All plans that lie there now, by route."""
        return {note(one, ROUTE): one for one in self.server.items(CONFIG_MAPS.path(self.namespace), PLANS)}

    def versions(self, namespace: str) -> dict[str, str]:
        """What changes with every write to a route of a namespace, its status, or any plan."""
        routes = {f"route {one['metadata']['name']}": one for one in self.server.items(ROUTES.path(namespace))}
        return {key: one["metadata"]["resourceVersion"] for key, one in (routes | self.plans()).items()}

    def without_plan(self, namespace: str, name: str) -> None:
        """Wait until nothing of a route's plan is left."""
        for kind in (CONFIG_MAPS, SECRETS):
            until(
                self.server,
                kind.path(self.namespace),
                lambda items: all(note(one, ROUTE) != f"{namespace}/{name}" for one in items),
                labels=PLANS,
            )

    def status(self, namespace: str, name: str, **conditions: str) -> Document:
        """Wait until a route's conditions are these (``Ready="True"`` or ``Ready="False/NoPlan"``); give its status."""

        def holds(items: list[Document]) -> bool:
            said = [of for one in items for of in one["status"].get("conditions", ())]
            found = {f"{of['type']}={of['status']}" for of in said}
            found |= {f"{of['type']}={of['status']}/{of['reason']}" for of in said}
            return {f"{kind}={wanted}" for kind, wanted in conditions.items()} <= found

        path = ROUTES.path(namespace)
        (route,) = until(self.server, path, holds, name=name)
        status: Document = route["status"]
        return status


def define(server: ApiServer) -> None:
    """Make the API server know routes."""
    server.kubectl("apply", "-f", str(DEFINITION))
    established(server)


def established(server: ApiServer, definition: str = NAME) -> None:
    """Wait until it does. (`kubectl wait` fails on a definition so new that it has no conditions at all.)"""

    def holds(items: list[Document]) -> bool:
        said = [of for one in items for of in one.get("status", {}).get("conditions") or ()]
        return any(of["type"] == "Established" and of["status"] == "True" for of in said)

    until(server, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", holds, name=definition)


@contextmanager
def running_operator(installation: Installation, *flags: str, program: Sequence[str] = PROGRAM) -> Iterator[Operator]:
    """An operator that is ready, until the block ends."""
    operator = installation.operator(*flags, program=program)
    try:
        operator.start()
        yield operator
    finally:
        operator.kill()


def condition(status: Document, kind: str) -> Document:
    """One condition of a status."""
    found: Document = next(one for one in status["conditions"] if one["type"] == kind)
    return found
