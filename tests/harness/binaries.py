"""Builds the harness binaries from the Go modules beside this file, once per machine.

Called by `make binaries` and by whatever starts a server. Each module's binaries stand in a cache folder outside the
checkout, named after a hash of go.mod and go.sum, so that a fresh clone pays nothing and a new version never meets an
old binary. A binary in the folder that KUBEBUILDER_ASSETS names (envtest's convention) is used first. Two processes
may ask at once: one builds, the other waits. A binary appears by rename, so that a killed build leaves nothing that
looks finished.
"""

import fcntl
import hashlib
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.harness.process import end, spawn, tail
from tests.harness.toolchain import find_go, go_environment
from tests.harness.wheels import say

MODULES = Path(__file__).parent / "go"
KUBERNETES_VERSION = "v1.35.4"
STRIP = "-s -w"
# Without a version stamped in, the API server calls itself v0.0.0 and clients misbehave.
STAMP = (
    f"{STRIP} -X k8s.io/component-base/version.gitVersion={KUBERNETES_VERSION}"
    " -X k8s.io/component-base/version.gitMajor=1 -X k8s.io/component-base/version.gitMinor=35"
)


@dataclass(frozen=True, kw_only=True)
class Binary:
    """One program: the module that pins it, its Go package, and about how long two cores build it."""

    module: str
    package: str
    flags: str
    seconds: int
    tags: str = ""


def _kubernetes(package: str, seconds: int) -> Binary:
    return Binary(module="kubernetes", package=package, flags=STAMP, seconds=seconds)


BINARIES = {
    "etcd": _kubernetes("go.etcd.io/etcd/server/v3", 45),
    "kube-apiserver": _kubernetes("k8s.io/kubernetes/cmd/kube-apiserver", 170),
    "kubectl": _kubernetes("k8s.io/kubernetes/cmd/kubectl", 25),
    "kube-controller-manager": _kubernetes("k8s.io/kubernetes/cmd/kube-controller-manager", 60),
    "kube-scheduler": _kubernetes("k8s.io/kubernetes/cmd/kube-scheduler", 10),
    "kubelet": _kubernetes("k8s.io/kubernetes/cmd/kubelet", 20),
    "kube-proxy": _kubernetes("k8s.io/kubernetes/cmd/kube-proxy", 10),
    "helm": Binary(module="tools", package="helm.sh/helm/v4/cmd/helm", flags=STRIP, seconds=120),
    "coredns": Binary(module="coredns", package="github.com/coredns/coredns", flags=STRIP, seconds=70),
    "promtool": Binary(
        module="prometheus",
        package="github.com/prometheus/prometheus/cmd/promtool",
        flags=STRIP,
        tags="remove_all_sd",  # nothing is discovered here, and the clouds' libraries take ten times as long
        seconds=120,
    ),
}
DEFAULT = ("etcd", "kube-apiserver", "kube-controller-manager", "kubectl", "helm", "promtool")  # what `make test` needs
NODES = (*DEFAULT, "kube-scheduler", "kubelet", "kube-proxy", "coredns")  # `make e2e`


def binary(name: str) -> Path:
    """Give the path of one binary, built first where it is missing."""
    asset = Path(os.environ.get("KUBEBUILDER_ASSETS", "")) / name
    if os.environ.get("KUBEBUILDER_ASSETS") and os.access(asset, os.X_OK):
        return asset
    path = folder(BINARIES[name].module) / name
    if not path.exists():
        _build_alone(name, path)
    return path


def cache_root() -> Path:
    """Name Fanout's cache folder by the XDG rules."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "fanout"


def folder(module: str) -> Path:
    """Name the cache folder of a module's binaries: another version, processor or set of flags is another folder."""
    digest = hashlib.sha256(f"{platform.system()} {platform.machine()} {STAMP}".encode())
    digest.update("".join(one.tags for one in BINARIES.values() if one.module == module).encode())
    for name in ("go.mod", "go.sum"):
        digest.update((MODULES / module / name).read_bytes())
    return cache_root() / f"bin-{digest.hexdigest()[:16]}"


def _build_alone(name: str, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with _locked(path.parent / ".lock"):
        if not path.exists():  # else another process built it while we waited
            _build(BINARIES[name], path)


@contextmanager
def _locked(lock: Path) -> Iterator[None]:
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another process is building in {lock.parent}: waiting for it")
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build(wanted: Binary, path: Path) -> None:
    go = find_go(cache_root())
    say(f"building {path.name} (once; about {wanted.seconds} s on two cores, and the download of its sources)")
    began = time.monotonic()
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=".building-") as scratch:
        made, log = Path(scratch) / path.name, Path(scratch) / "log"
        command = [go, "-C", str(MODULES / wanted.module), "build", "-trimpath", "-ldflags", wanted.flags]
        if wanted.tags:
            command += ["-tags", wanted.tags]
        process = spawn([*command, "-o", str(made), wanted.package], log, go_environment())
        try:
            _watch(process, path.name, began)
        finally:
            end(process)
        if process.returncode:
            raise RuntimeError(f"go build {wanted.package} failed in {MODULES / wanted.module}:\n{tail(log, 40)}")
        made.rename(path)
    say(f"built {path} in {time.monotonic() - began:.0f} s")


def _watch(process: subprocess.Popen[bytes], name: str, began: float) -> None:
    """Wait for the build, with a sign of life now and then."""
    while True:
        try:
            process.wait(30)
            return
        except subprocess.TimeoutExpired:
            say(f"still building {name}, {time.monotonic() - began:.0f} s")


def main() -> None:
    """Ensure the binaries named on the command line (`nodes`: those of `make e2e`), or those `make test` needs."""
    for name in NODES if sys.argv[1:] == ["nodes"] else sys.argv[1:] or DEFAULT:
        if name not in BINARIES:
            raise SystemExit(f"harness: no binary is called {name}; there are {', '.join(BINARIES)}")
        binary(name)


if __name__ == "__main__":
    main()
