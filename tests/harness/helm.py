"""Helm, kept away from the caller's own repositories, plug-ins and kubeconfig."""

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.harness.binaries import binary


class HelmError(Exception):
    """helm said no; `output` has its words."""

    def __init__(self, args: Sequence[str], status: int, output: str) -> None:
        """Keep what was asked and what was answered."""
        super().__init__(f"helm {' '.join(args)}: exit {status}: {output}")
        self.output = output


def helm(*args: str, kubeconfig: Path | None = None, input: str | None = None) -> str:  # noqa: A002 - subprocess's word
    """Run helm, against the cluster of `kubeconfig` if one is given; give its output, or raise HelmError."""
    with tempfile.TemporaryDirectory(prefix="fanout-helm-") as home:
        env = {**os.environ, "KUBECONFIG": str(kubeconfig or os.devnull)}
        env |= {f"HELM_{kind}_HOME": f"{home}/{kind.lower()}" for kind in ("CACHE", "CONFIG", "DATA")}
        done = subprocess.run(
            [str(binary("helm")), *args],
            input=input or "",
            capture_output=True,
            text=True,
            env=env,
            timeout=120,
            check=False,
        )
    if done.returncode:
        raise HelmError(args, done.returncode, (done.stderr + done.stdout).strip())
    return done.stdout
