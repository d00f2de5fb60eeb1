"""A whole cluster inside the namespaces of `python -m tests.harness.nodes`, for as long as a `with` block lasts.

    with running(nodes=2) as cluster:
        cluster.start()
        cluster.server.kubectl("apply", "-f", "-", input=manifest)

The control plane of tests/harness/apiserver.py at an address that pods reach, with its controllers and its scheduler;
kube-proxy, which makes Services; CoreDNS, which names them; and the nodes. All of it lies in memory, and this process
sees pods and Services as pods do.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from tests.harness.apiserver import ApiServer
from tests.harness.binaries import binary
from tests.harness.nodes.node import DOMAIN, Node, address_of
from tests.harness.process import end, free_ports, spawn, tail

HOME = Path("/run/fanout-nodes")
IMAGES = "FANOUT_NODES_IMAGES"  # where `python -m tests.harness.nodes` tells which images it made
SERVICES = "10.96.0.0/16"
PODS = "10.244.0.0/16"
READY_SECONDS = 90
# What programs write to wherever they are told to run, and what must not reach the machine's own.
IN_MEMORY = ("/run", "/var/lib/kubelet", "/var/lib/cni", "/var/log/pods", "/var/log/containers")


class Cluster:
    """One control plane and its nodes."""

    def __init__(self, home: Path, nodes: int, archives: list[Path]) -> None:
        self.home = home
        self.server = ApiServer(home, address_of(0))
        self.nodes = [Node(index, home, self.server) for index in range(nodes)]
        self._archives = archives
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    def __repr__(self) -> str:
        return f"<Cluster {self.server!r} {self.nodes!r}>"

    def start(self) -> None:
        """Start everything and wait until all nodes are ready."""
        self.server.start()
        self.server.start_controllers()
        kubeconfig = f"--kubeconfig={self.server.kubeconfig}"
        (port,) = free_ports(1)
        quiet = ["--leader-elect=false", "--bind-address=127.0.0.1", f"--secure-port={port}"]
        self._spawn("kube-scheduler", [kubeconfig, *quiet])
        self._spawn("kube-proxy", [
            kubeconfig, "--proxy-mode=nftables", f"--cluster-cidr={PODS}", f"--hostname-override={self.nodes[0].name}",
            "--conntrack-max-per-core=0", f"--nodeport-addresses={address_of(0)}/32",
        ])  # fmt: skip
        (self.home / "Corefile").write_text(names(self.server.kubeconfig))
        self._spawn("coredns", ["-conf", str(self.home / "Corefile")])
        for node in self.nodes:
            node.start_containerd()
        for archive in self._archives:
            self.load(archive)
        for node in self.nodes:
            node.start_kubelet()
        self._wait_ready()

    def close(self) -> None:
        """End everything that was started."""
        for node in self.nodes:
            node.close()
        for process in reversed(self._processes.values()):
            end(process)
        self.server.close()

    def load(self, archive: Path) -> None:
        """Give every node the images of an archive."""
        with ThreadPoolExecutor() as threads:
            list(threads.map(lambda node: node.load(archive), self.nodes))

    def node(self, name: str) -> Node:
        """Find a node by its name."""
        return next(one for one in self.nodes if one.name == name)

    def logs(self) -> str:
        """Give the last lines of every program, for whoever has to find out why something did not come up."""
        programs = {path: tail(path) for path in sorted(self.home.rglob("*.log")) if path.parent.name != "pod-logs"}
        return "\n".join(f"--- {path.relative_to(self.home)}\n{lines}" for path, lines in programs.items())

    def _spawn(self, name: str, arguments: Sequence[str]) -> None:
        self._processes[name] = spawn([str(binary(name)), *arguments], self.home / f"{name}.log")

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        query = ("get", "nodes", "-o", "jsonpath={.items[*].status.conditions[?(@.type=='Ready')].status}")
        while self.server.kubectl(*query).split() != ["True"] * len(self.nodes):
            ended = [name for name, process in self._processes.items() if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                raise RuntimeError(f"no cluster after {READY_SECONDS} s; ended: {ended}\n{self.logs()}")
            time.sleep(0.2)


def names(kubeconfig: Path) -> str:
    """Write CoreDNS's configuration: the cluster's names, fresh, and no others."""
    return f"""
. {{
    bind {address_of(0)}
    kubernetes {DOMAIN} in-addr.arpa {{
        kubeconfig {kubeconfig}
        ttl 1
    }}
    errors
}}
"""


def images() -> list[Path]:
    """Give the image archives that were made outside, before the namespaces; says so where there are none."""
    if IMAGES not in os.environ:
        raise RuntimeError("a cluster is started inside namespaces of its own: python -m tests.harness.nodes COMMAND")
    return [Path(one) for one in os.environ[IMAGES].split(os.pathsep)]


def furnish(nodes: int) -> None:
    """Give fresh namespaces the folders and addresses that a cluster needs."""
    for folder in IN_MEMORY:
        Path(folder).mkdir(parents=True, exist_ok=True)
        _run("mount", "-t", "tmpfs", "tmpfs", folder)
    _run("ip", "link", "set", "lo", "up")
    for index in range(nodes):
        _run("ip", "address", "add", f"{address_of(index)}/32", "dev", "lo")
    _run("ip", "route", "add", SERVICES, "dev", "lo", "src", address_of(0))  # else this process reaches no Service
    Path("/proc/sys/net/ipv4/ip_forward").write_text("1")


def _run(*command: str) -> None:
    subprocess.run(command, stdin=subprocess.DEVNULL, check=True, timeout=30)


@contextmanager
def running(nodes: int = 1) -> Iterator[Cluster]:
    """Have a cluster until the block ends; its `start` is the caller's."""
    archives = images()
    furnish(nodes)
    HOME.mkdir(mode=0o755)
    cluster = Cluster(HOME, nodes, archives)
    try:
        yield cluster
    finally:
        cluster.close()
