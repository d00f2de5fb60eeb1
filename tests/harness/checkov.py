"""checkov, the scanner of manifests, in an environment of its own: its hundred packages contradict the pins of ours.

`make scanner` installs it. A scan asks nobody: it runs without a download of rules or sign-in, and away from the
caller's configuration and the checkout's own, so that it shows all that it finds.
"""

import json
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.harness import wheels
from tests.harness.binaries import cache_root
from tests.support.missing import needed


class Missing(Exception):
    """checkov is not installed here."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """A check that something in a file failed."""

    check: str
    resource: str
    file: Path


def scan(folder: Path, frameworks: tuple[str, ...]) -> set[Finding]:
    """Scan the files of one folder that are of these kinds, which checkov calls frameworks. Raises Missing."""
    if not wheels.installed("checkov", cache_root()):
        raise Missing("checkov is not installed: `make scanner` does that, once")
    program = wheels.home("checkov", cache_root()) / "bin" / "checkov"
    how = ["--skip-download", "--compact", "--quiet", "--soft-fail", "--output=json"]
    with tempfile.TemporaryDirectory(prefix="fanout-checkov-") as home:
        done = subprocess.run(
            [str(program), f"--directory={folder}", *how, "--framework", *frameworks],
            cwd=home,
            env={"HOME": home, "PATH": os.environ["PATH"], "LOG_LEVEL": "ERROR"},
            capture_output=True,
            text=True,
            timeout=240,
            check=False,
        )
    if done.returncode:
        raise RuntimeError(f"checkov: exit {done.returncode}: {done.stderr}{done.stdout}")
    said = json.loads(done.stdout)  # one report, or a list of one for each framework
    return {finding for report in (said if isinstance(said, list) else [said]) for finding in _findings(report)}


def _findings(report: dict[str, Any]) -> Iterator[Finding]:
    for one in report.get("results", {}).get("failed_checks", ()):  # no results: nothing there to scan
        yield Finding(check=one["check_id"], resource=one["resource"], file=Path(one["file_abs_path"]))


def main() -> None:
    """Install it. Where that cannot be, say so; whether that is a failure, `tests.support.missing` knows."""
    try:
        wheels.install("checkov", cache_root())
    except (OSError, subprocess.CalledProcessError) as why:
        wheels.say(f"checkov cannot be installed, so that its tests are skipped: {why}")
        raise SystemExit(1 if needed("checkov") else 0) from None


if __name__ == "__main__":
    main()
