"""What a machine must have to run nodes, asked before anything is started.

Only Linux's root can make mounts, networks and containers; the programs come from Debian packages. Whoever runs
`make e2e` on another machine gets one sentence for each thing that is missing, with the line that mends it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

PLUGINS = Path("/usr/lib/cni")
UNAVAILABLE = 69  # exit status where the machine, not Fanout, is the reason: EX_UNAVAILABLE of sysexits.h
# A program of each package: what is looked for, and what apt-get calls it.
PROGRAMS = {
    "containerd": "containerd",
    "ctr": "containerd",
    "runc": "runc",
    "nft": "nftables",
    "ip": "iproute2",
    "unshare": "util-linux",
    "setpriv": "util-linux",
    "mount": "mount",
}


def missing() -> list[str]:
    """Say what is not there, one sentence each; empty where nodes can run."""
    if sys.platform != "linux":
        return ["nodes need Linux"]
    return [*_without_root(), *_without_packages(), *_without_namespaces()]


def _without_root() -> list[str]:
    return [] if os.geteuid() == 0 else ["nodes need root: containers, mounts and networks are made by it alone"]


def _without_packages() -> list[str]:
    wanted = {package for program, package in PROGRAMS.items() if not _found(program)}
    if not (PLUGINS / "ptp").exists():
        wanted.add("containernetworking-plugins")
    line = f"apt-get install --no-install-recommends {' '.join(sorted(wanted))}"
    return [f"programs are missing; on Debian: {line}"] if wanted else []


def _found(program: str) -> bool:
    return shutil.which(program, path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin") is not None


def _without_namespaces() -> list[str]:
    """Ask the kernel itself: inside many containers even root may not."""
    if os.geteuid() or not _found("unshare"):
        return []
    tried = subprocess.run(
        ["unshare", "--mount", "--net", "--pid", "--fork", "--mount-proc", "mount", "-t", "tmpfs", "tmpfs", "/run"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    return [f"this root may not make namespaces and mounts: {tried.stderr.strip()}"] if tried.returncode else []
