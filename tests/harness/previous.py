"""The version before this checkout, from version control: what an installation is upgraded from.

It is the last tag, or where there is none yet, the commit before the last one that touched what the caller is about.
"""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[2]


def previous(into: Path, folders: Sequence[str], about: Sequence[str]) -> Path | None:
    """Write these folders of it into another one; None without history: a shallow clone, a tarball, no git."""
    changed = _git("log", "-1", "--format=%H", "--", *about)
    commit = _git("describe", "--tags", "--abbrev=0") or (
        _git("rev-parse", "--verify", f"{changed}^") if changed else None
    )
    if not commit:
        return None
    archive = ["git", "archive", commit, *folders]
    packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(into, filter="data")
    return into


def _git(*args: str) -> str | None:
    try:
        done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
