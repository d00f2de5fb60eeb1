"""The version before this checkout, from version control: what an installation is upgraded from.

It is the last tag before this commit, or where there is none yet, the commit before the last one that touched what the
caller is about. A test that took this version for the one before would pass and prove nothing, so where there is no
history it is skipped, and says why, in CI too: nothing that could be installed would bring it. History that is there
and that git does not read is another thing, and fails wherever nothing may be skipped.
"""

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path

import pytest

from tests.support.missing import without

ROOT = Path(__file__).parents[2]


class NoHistory(Exception):
    """There is no version before: a tarball, a shallow clone, a first commit."""


class Unread(Exception):
    """There is a repository, and git does not read it: it is not installed, or the repository is somebody else's."""


def previous_or_skip(into: Path, folders: Sequence[str], about: Sequence[str]) -> Path:
    """Write these folders of it into another one; without a version before skip the test."""
    try:
        return previous(into, folders, about)
    except NoHistory as why:
        pytest.skip(str(why))
    except Unread as why:
        without("git", str(why))


def previous(into: Path, folders: Sequence[str], about: Sequence[str], root: Path = ROOT) -> Path:
    """Write these folders of it into another one. Raises NoHistory or Unread."""
    if not (root / ".git").exists():
        raise NoHistory(f"{root} is no clone, so it has no history to take the version before from: clone it")
    shallow = _git(root, "rev-parse", "--is-shallow-repository")
    if shallow is None:
        raise Unread(f"git does not read {root}; `git -C {root} log` says why")
    changed = _git(root, "log", "-1", "--format=%H", "--", *about)
    commit = _git(root, "describe", "--tags", "--abbrev=0", "HEAD^") or _git(
        root, "rev-parse", "--verify", f"{changed}^"
    )
    if not commit:
        what = "is a shallow clone" if shallow == "true" else "has nothing before what is tested"
        raise NoHistory(f"{root} {what}, so no history to take the version before from: clone it with all of it")
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
