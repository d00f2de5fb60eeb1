"""A real Kubernetes API server on this machine, for as long as a `with` block lasts.

    with running() as server:
        server.kubectl("apply", "-f", "-", input=manifest)

etcd and kube-apiserver run on free loopback ports, their data in a temporary folder; both die with the process that
started them. There are no nodes and, unless asked for, no controllers: nothing makes pods, EndpointSlices or default
ServiceAccounts, and a deleted namespace stays Terminating, which is why each test gets a namespace of its own and the
whole cluster is thrown away at the end. RBAC is real: `token_for` gives what a ServiceAccount would have in its pod;
but the aggregated roles (view, edit, admin) stay empty without controllers.
"""

import os
import secrets
import ssl
import subprocess
import time
import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.harness import loopback
from tests.harness.binaries import binary
from tests.harness.keys import write_signing_keys
from tests.harness.process import end, free_ports, spawn, tail
from tests.harness.workdir import workdir

Document = dict[str, Any]

READY_SECONDS = 60
WORKDIR = "fanout-apiserver"  # what its temporary folders are called
ISSUER = "https://kubernetes.default.svc"
LOOPBACK = "127.0.0.1"


class ApiServer:
    """One control plane: etcd, kube-apiserver and, on request, kube-controller-manager."""

    def __init__(self, home: Path, address: str = LOOPBACK) -> None:
        """Choose ports and write keys and tokens below `home`; nothing runs before `start`.

        At an address that pods can reach it also keeps the endpoints of the Service `kubernetes`, as they need it.
        """
        self.home = home
        self.address = address
        self.port, self._etcd_port, self._peer_port, self._manager_port = free_ports(4)
        self.url = f"https://{address}:{self.port}"
        self.admin_token = secrets.token_urlsafe(24)
        self.kubeconfig = home / "admin.kubeconfig"
        self.ca_file = home / "certs" / "apiserver.crt"  # the server makes it: its leaf and the CA that signed it
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._namespaces = 0
        write_signing_keys(home)
        (home / "tokens.csv").write_text(f'{self.admin_token},admin,admin,"system:masters"\n')
        self._write_kubeconfig(self.kubeconfig, self.admin_token)

    def __repr__(self) -> str:
        """Tell the address and what runs."""
        alive = ", ".join(name for name, process in self._processes.items() if process.poll() is None)
        return f"<ApiServer {self.url} running: {alive or 'nothing'}>"

    # --- its life -----------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start what does not run yet and wait until the API is ready; after `stop`, with the same data and address."""
        if "etcd" not in self._processes:
            self._spawn("etcd", self._etcd_command())
        self._spawn("kube-apiserver", self._api_command())
        self._wait_ready()

    def stop(self) -> None:
        """Kill the API server as a crash would; etcd keeps the data. `start` brings it back."""
        end(self._processes["kube-apiserver"])

    def close(self) -> None:
        """End everything; the data goes with the folder."""
        for process in reversed(self._processes.values()):
            end(process)

    def start_controllers(self, controllers: str = "*,-node-ipam-controller") -> None:
        """Run kube-controller-manager too: Deployments, EndpointSlices, garbage collection, namespace deletion."""
        self._spawn("kube-controller-manager", [
            f"--kubeconfig={self.kubeconfig}",
            f"--controllers={controllers}",
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--bind-address=127.0.0.1",
            f"--secure-port={self._manager_port}",
            f"--service-account-private-key-file={self.home / 'sa.key'}",
            f"--root-ca-file={self.ca_file}",
        ])  # fmt: skip

    # --- what a test asks of it ---------------------------------------------------------------------------------------

    def kubectl(self, *args: str, input: str | None = None, kubeconfig: Path | None = None) -> str:  # noqa: A002 - subprocess's word
        """Run kubectl as the admin, or as whom `kubeconfig` names; give its output, or raise KubectlError."""
        command = [str(binary("kubectl")), f"--kubeconfig={kubeconfig or self.kubeconfig}"]
        env = {**os.environ, "KUBERC": "off", "KUBECACHEDIR": str(self.home / "kubectl-cache")}
        done = subprocess.run(
            [*command, *args], input=input or "", capture_output=True, text=True, env=env, timeout=120, check=False
        )
        if done.returncode:
            raise KubectlError(args, done.returncode, done.stderr.strip())
        return done.stdout

    def namespace(self, prefix: str = "test", labels: dict[str, str] | None = None) -> str:
        """Make a namespace that nobody else uses and give its name."""
        self._namespaces += 1
        name = f"{prefix}-{self._namespaces}"
        self._create("/api/v1/namespaces", {"metadata": {"name": name, "labels": labels or {}}})
        return name

    def items(self, path: str, labels: str = "") -> list[Document]:
        """What a collection holds now. It costs a hundredth of what a `kubectl get` does."""
        with self.client() as client:
            answer = client.get(path, params={"labelSelector": labels} if labels else {}).raise_for_status()
        found: list[Document] = answer.json()["items"]
        return found

    def token_for(self, namespace: str, serviceaccount: str, audience: str | None = None) -> str:
        """Ask for a ServiceAccount's token by TokenRequest; the account must exist."""
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{serviceaccount}/token"
        made = self._create(path, {"spec": {"audiences": [audience] if audience else []}})
        return str(made["status"]["token"])

    def kubeconfig_for(self, namespace: str, serviceaccount: str) -> Path:
        """Write a kubeconfig that acts as a ServiceAccount, in its namespace."""
        path = self.home / f"{namespace}.{serviceaccount}.kubeconfig"
        self._write_kubeconfig(path, self.token_for(namespace, serviceaccount), namespace)
        return path

    def client(self, token: str | None = None) -> httpx.Client:
        """Open an HTTP client with the CA checked, as the admin or as the bearer of `token`; the caller closes it."""
        return httpx.Client(
            base_url=self.url,
            verify=ssl.create_default_context(cafile=str(self.ca_file)),
            headers={"Authorization": f"Bearer {token or self.admin_token}"},
            trust_env=False,
        )

    def _create(self, path: str, document: Document) -> Document:
        with self.client() as client:
            answer = client.post(path, json=document)
        assert answer.is_success, answer.text
        made: Document = answer.json()
        return made

    # --- how it is run ------------------------------------------------------------------------------------------------

    def _spawn(self, name: str, arguments: Sequence[str]) -> None:
        self._processes[name] = spawn([str(binary(name)), *arguments], self.home / f"{name}.log")

    def _etcd_command(self) -> list[str]:
        client = f"http://127.0.0.1:{self._etcd_port}"
        return [
            f"--data-dir={self.home / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls=http://127.0.0.1:{self._peer_port}",
            "--unsafe-no-fsync",
        ]

    def _api_command(self) -> list[str]:
        return [
            f"--etcd-servers=http://127.0.0.1:{self._etcd_port}",
            f"--bind-address={self.address}",
            f"--advertise-address={self.address}",
            f"--secure-port={self.port}",
            f"--cert-dir={self.ca_file.parent}",
            f"--service-account-issuer={ISSUER}",
            f"--service-account-key-file={self.home / 'sa.pub'}",
            f"--service-account-signing-key-file={self.home / 'sa.key'}",
            "--service-cluster-ip-range=10.96.0.0/16",
            "--authorization-mode=Node,RBAC",
            f"--token-auth-file={self.home / 'tokens.csv'}",
            "--kubelet-preferred-address-types=InternalIP",
            "--allow-privileged",
            *(["--endpoint-reconciler-type=none"] if self.address == LOOPBACK else []),
        ]

    def _wait_ready(self) -> None:
        deadline = time.monotonic() + READY_SECONDS
        while not self._ready():
            self._raise_if_ended()
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self!r} not ready after {READY_SECONDS} s:\n{self._log('kube-apiserver')}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        if not self.ca_file.exists():
            return False
        try:
            with self.client() as client:
                return client.get("/readyz").is_success
        except (httpx.TransportError, ssl.SSLError):  # not listening yet, or its certificate is half written
            return False

    def _raise_if_ended(self) -> None:
        for name in ("etcd", "kube-apiserver"):
            status = self._processes[name].poll()
            if status is not None:
                raise RuntimeError(f"{name} ended with status {status}:\n{self._log(name)}")

    def _log(self, name: str) -> str:
        return tail(self.home / f"{name}.log")

    def _write_kubeconfig(self, path: Path, token: str, namespace: str = "default") -> None:
        content = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "harness",
            "clusters": [
                {"name": "harness", "cluster": {"server": self.url, "certificate-authority": str(self.ca_file)}}
            ],
            "users": [{"name": "harness", "user": {"token": token}}],
            "contexts": [
                {"name": "harness", "context": {"cluster": "harness", "user": "harness", "namespace": namespace}}
            ],
        }
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))


SHOWN: typing.Final = 2_000  # characters of what kubectl said that an error repeats


class KubectlError(Exception):
    """kubectl said no; `stderr` has its words."""

    def __init__(self, args: Sequence[str], status: int, stderr: str) -> None:
        """Keep what was asked and what was answered."""
        shown = stderr if len(stderr) <= SHOWN else f"{stderr[:SHOWN]} …"  # it may echo the whole CRD
        super().__init__(f"kubectl {' '.join(args)}: exit {status}: {shown}")
        self.stderr = stderr


@contextmanager
def running() -> Iterator[ApiServer]:
    """Run an API server in a temporary folder until the block ends; ready when the block begins."""
    loopback.bring_up()
    with workdir(WORKDIR) as home:
        server = ApiServer(home)
        try:
            server.start()
            yield server
        finally:
            server.close()
