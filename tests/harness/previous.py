"""The version before this checkout, from version control: what an installation is upgraded from.

It is the last tag before this commit, or where there is none yet, the commit before the last one that touched what the
caller is about. A test that took this version for the one before would pass and prove nothing, so where there is no
history it is skipped, and says so; in CI it fails.
"""

import io
import os
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


class NoHistory(Exception):
    """There is no version before: a shallow clone, a tarball, no git."""


def previous_or_skip(into: Path, folders: Sequence[str], about: Sequence[str]) -> Path:
    """Write these folders of it into another one; without one skip the test, unless FANOUT_SKIP_NOTHING is set."""
    try:
        return previous(into, folders, about)
    except NoHistory as why:
        if os.environ.get("FANOUT_SKIP_NOTHING"):
            raise
        pytest.skip(str(why))


def previous(into: Path, folders: Sequence[str], about: Sequence[str], root: Path = ROOT) -> Path:
    """Write these folders of it into another one."""
    changed = _git(root, "log", "-1", "--format=%H", "--", *about)
    commit = _git(root, "describe", "--tags", "--abbrev=0", "HEAD^") or (
        _git(root, "rev-parse", "--verify", f"{changed}^") if changed else None
    )
    if not commit:
        raise NoHistory(f"{root} has no history to take the version before from: clone it with all of it")
    archive = ["git", "archive", commit, *folders]
    packed = subprocess.run(archive, cwd=root, capture_output=True, check=True, timeout=60).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(into, filter="data")
    return into


def _git(root: Path, *args: str) -> str | None:
    try:
        done = subprocess.run(["git", *args], cwd=root, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
