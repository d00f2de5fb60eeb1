"""One process per journal: an advisory lock on a file beside it, with the owner's process id inside.

The kernel drops the lock with its process, however that ends, so nothing is ever left to clean up. The file itself
stays: removing it would let two processes lock two files of the same name.
"""

import fcntl
import os
import pathlib

from fanout_dispatcher.journal.faults import JournalRefused


class Lock:
    """Held from `take` to `drop`."""

    def __init__(self, journal: pathlib.Path) -> None:
        self._journal = journal
        self._path = _file(journal)
        self._file: int | None = None

    def __repr__(self) -> str:
        return f"Lock({self._path}, held={self._file is not None})"

    def take(self) -> None:
        """Take it or raise JournalRefused, with the number of the process that has it."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(file, 20, 0).decode(errors="replace").strip() or "unknown"
            os.close(file)
            raise JournalRefused(
                f"journal {self._journal} is in use by process {owner}; stop it, or give this one another --data folder"
            ) from None
        self._file = file
        try:  # over the last owner's number: a full disk has no other room
            size = os.pwrite(file, f"{os.getpid()}\n".encode(), 0)
            os.ftruncate(file, size)
        except OSError:
            pass  # the number is for people; the lock holds without it

    def drop(self) -> None:
        """Let another process have it."""
        if self._file is not None:
            os.close(self._file)
            self._file = None


def held(journal: pathlib.Path) -> bool:
    """Whether a process has the lock of *journal*."""
    try:
        file = os.open(_file(journal), os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False  # there is none, or it is not ours: `Lock.take` says so
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(file)
    return False


def _file(journal: pathlib.Path) -> pathlib.Path:
    return journal.with_name(f"{journal.name}.lock")
