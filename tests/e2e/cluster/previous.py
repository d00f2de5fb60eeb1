"""The chart of the release before this checkout, from version control: what an installation is upgraded from.

It is the chart of the last tag, or where there is none yet, of the commit before the last one that touched the chart.
"""

import io
import subprocess
import tarfile
from pathlib import Path

ROOT = Path(__file__).parents[3]


def previous_chart(into: Path) -> Path | None:
    """Write it into a folder and give its path; None without history: a shallow clone, a tarball, no git."""
    changed = _git("log", "-1", "--format=%H", "--", "charts")
    commit = _git("describe", "--tags", "--abbrev=0") or (
        _git("rev-parse", "--verify", f"{changed}^") if changed else None
    )
    if not commit:
        return None
    archive = ["git", "archive", commit, "charts", "crds"]  # the chart has a link to the definition of routes
    packed = subprocess.run(archive, cwd=ROOT, capture_output=True, check=True, timeout=60).stdout
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        tar.extractall(into, filter="data")
    return into / "charts" / "fanout"


def _git(*args: str) -> str | None:
    try:
        done = subprocess.run(["git", *args], cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    except FileNotFoundError:
        return None
    return done.stdout.strip() or None if done.returncode == 0 else None
