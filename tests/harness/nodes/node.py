"""One node: a containerd and a kubelet with folders, an address and a range of pod addresses of their own.

All nodes of a cluster share one network namespace, in which each pod is a route to its own end of a cable (the CNI
plug-in `ptp`); so Services and pods answer from everywhere, without bridges and without iptables. Names and numbers
come from the node's index alone.
"""

import json
import subprocess
from pathlib import Path

import yaml

from tests.harness.apiserver import ApiServer
from tests.harness.binaries import binary
from tests.harness.nodes.images import PAUSE
from tests.harness.nodes.machine import PLUGINS
from tests.harness.process import end, spawn, tail

DOMAIN = "cluster.local"


def address_of(index: int) -> str:
    """Give the address of the node with this index; the first one's is the cluster's own."""
    return f"10.250.0.{index + 1}"


class Node:
    """One node, not started yet."""

    def __init__(self, index: int, home: Path, server: ApiServer) -> None:
        self.name = f"node-{index + 1}"
        self.address = address_of(index)
        self.home = home / self.name
        self._pods = f"10.244.{index}.0/24"
        self._server = server
        self._socket = self.home / "containerd.sock"
        self._processes: list[subprocess.Popen[bytes]] = []

    def __repr__(self) -> str:
        return f"<Node {self.name} {self.address}>"

    def start_containerd(self) -> None:
        """Start what runs containers."""
        self.home.mkdir(parents=True)
        containerd = self._write("containerd.toml", containerd_settings(self.home, self._socket, self._network()))
        self._processes.append(spawn(["containerd", "--config", str(containerd)], self.home / "containerd.log"))

    def load(self, archive: Path) -> None:
        """Give containerd the images of an archive; as a registry would, but once."""
        self.ctr("images", "import", str(archive))

    def start_kubelet(self) -> None:
        """Start what makes this a node of the API server."""
        kubelet = self._write("kubelet.yaml", yaml.safe_dump(kubelet_settings(self.home, self._socket, self.address)))
        command = [
            str(binary("kubelet")),
            f"--config={kubelet}",
            f"--kubeconfig={self._server.kubeconfig}",
            f"--hostname-override={self.name}",
            f"--node-ip={self.address}",
            f"--root-dir={self.home / 'kubelet'}",
            f"--cert-dir={self.home / 'pki'}",
        ]
        self._processes.append(spawn(command, self.home / "kubelet.log"))

    def close(self) -> None:
        """End both; the containers end with the namespaces."""
        for process in reversed(self._processes):
            end(process)

    def ctr(self, *args: str) -> str:
        """Ask this node's containerd, past Kubernetes."""
        command = ["ctr", f"--address={self._socket}", "--namespace=k8s.io", f"--connect-timeout={30}s", *args]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip()}\n{self.log('containerd')}")
        return done.stdout

    def process_of(self, container: str) -> int:
        """Find the process of a container, by the id that a pod's status gives after `containerd://`."""
        tasks = [line.split() for line in self.ctr("tasks", "list").splitlines()[1:]]
        return next(int(process) for name, process, *_ in tasks if name == container)

    def log(self, program: str) -> str:
        """Read the last lines that `containerd` or `kubelet` wrote."""
        return tail(self.home / f"{program}.log")

    def _network(self) -> Path:
        folder = self.home / "cni"
        folder.mkdir()
        addresses = {
            "type": "host-local",
            "dataDir": str(self.home / "addresses"),
            "ranges": [[{"subnet": self._pods}]],
            "routes": [{"dst": "0.0.0.0/0"}],
        }
        plugins = [{"type": "ptp", "ipMasq": False, "ipam": addresses}]
        settings = {"cniVersion": "0.4.0", "name": "pods", "plugins": plugins}
        (folder / "10-pods.conflist").write_text(json.dumps(settings))
        return folder

    def _write(self, name: str, content: str) -> Path:
        path = self.home / name
        path.write_text(content)
        return path


def containerd_settings(home: Path, socket: Path, network: Path) -> str:
    """Write containerd's configuration: everything it keeps is below `home`."""
    return f"""
version = 2
root = "{home}/containerd"
state = "{home}/containerd-state"
disabled_plugins = ["io.containerd.internal.v1.opt", "io.containerd.snapshotter.v1.devmapper"]
[grpc]
  address = "{socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{PAUSE}"
  restrict_oom_score_adj = true
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "{PLUGINS}"
    conf_dir = "{network}"
"""


def kubelet_settings(home: Path, socket: Path, address: str) -> dict[str, object]:
    """Give the kubelet's configuration: on whatever control groups and swap the machine has, limits unenforced."""
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": address,
        "healthzBindAddress": address,
        "containerRuntimeEndpoint": f"unix://{socket}",
        "podLogsDir": str(home / "pod-logs"),
        "clusterDNS": [address_of(0)],
        "clusterDomain": DOMAIN,
        "resolvConf": "",
        "authentication": {"anonymous": {"enabled": True}, "webhook": {"enabled": False}},
        "authorization": {"mode": "AlwaysAllow"},
        "cgroupDriver": "cgroupfs",
        "cgroupsPerQOS": False,
        "enforceNodeAllocatable": [],
        "failCgroupV1": False,
        "failSwapOn": False,
        "evictionHard": {"memory.available": "50Mi", "nodefs.available": "1%"},
        "crashLoopBackOff": {"maxContainerRestartPeriod": "1s"},  # else a killed container waits 10, 20, 40 s
        "nodeStatusUpdateFrequency": "2s",
        "shutdownGracePeriod": "0s",
    }
