"""Temporary folders that know whether their owner lives, so that the next run removes what a killed run could not.

The owner holds a lock inside its folder until it ends, however it ends. A lock, and no process id: ids mean something
else in another process namespace that shares the same /tmp.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

OWNER = ".owner"


@contextmanager
def workdir(prefix: str) -> Iterator[Path]:
    """Make a folder, remove it at the end, and on the way those of the same prefix whose owner is gone."""
    for old in Path(tempfile.gettempdir()).glob(f"{prefix}-*/{OWNER}"):
        _remove_orphan(old)
    home = Path(tempfile.mkdtemp(prefix=f"{prefix}-"))
    with (home / f"{OWNER}.new").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        (home / f"{OWNER}.new").rename(home / OWNER)  # locked before it can be found
        try:
            yield home
        finally:
            shutil.rmtree(home, ignore_errors=True)


def _remove_orphan(owner: Path) -> None:
    try:
        with owner.open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(owner.parent, ignore_errors=True)
    except OSError:  # locked: its owner lives; or gone meanwhile: another run was faster
        return
