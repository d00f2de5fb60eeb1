"""Programs that come as Python wheels but cannot share our environment: each in one of its own, in the cache folder.

What a program needs is pinned by hash in requirements/<name>.txt. The environment is named after a hash of that file
and of the Python it is for, so that a fresh clone pays nothing and a new pin never meets an old installation. Two
processes may ask at once: one installs, the other waits. One that was interrupted is made anew.
"""

import fcntl
import hashlib
import subprocess
import sys
import venv
from pathlib import Path

PINS = Path(__file__).parents[2] / "requirements"


def home(name: str, cache: Path) -> Path:
    """Name the environment of this program, whether it is there or not."""
    python = f"{sys.base_prefix} {sys.version_info[:2]}"
    return cache / f"{name}-{hashlib.sha256(python.encode() + pins(name).read_bytes()).hexdigest()[:16]}"


def pins(name: str) -> Path:
    """Name the file with what the program needs."""
    return PINS / f"{name}.txt"


def installed(name: str, cache: Path) -> bool:
    """Say whether the environment is there, whole."""
    return (home(name, cache) / ".installed").exists()


def install(name: str, cache: Path) -> Path:
    """Give the environment's folder, made first where it is missing. Raises CalledProcessError when pip cannot."""
    cache.mkdir(parents=True, exist_ok=True)
    folder = home(name, cache)
    with (cache / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not installed(name, cache):
            say(f"installing {name} from requirements/{name}.txt into {folder} (once)")
            venv.create(folder, clear=True, with_pip=True)
            pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "--quiet", "--no-input"]
            pinned = ["--only-binary", ":all:", "--require-hashes", "--requirement", str(pins(name))]
            subprocess.run([*pip, "--disable-pip-version-check", *pinned], check=True)
            (folder / ".installed").touch()
    return folder


def say(line: str) -> None:
    """Tell whoever waits what is going on; unbuffered, since CI logs are watched."""
    sys.stderr.write(f"harness: {line}\n")
    sys.stderr.flush()
