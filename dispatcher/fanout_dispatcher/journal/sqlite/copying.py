"""A backup of an open journal, made a few pages at a time between its commits (SQLite's online backup).

What is committed while it is made goes into it as well: the one connection that writes is the one that is copied, so
SQLite keeps both alike, and never begins anew. A copy that is whole is a journal by itself, with no log beside it.
"""

import os
import pathlib

import apsw

from fanout_dispatcher.journal.faults import JournalFault, JournalFull
from fanout_dispatcher.journal.sqlite import room


def copy_of(path: pathlib.Path) -> pathlib.Path:
    """Where the copy of the journal at *path* is made."""
    return path.with_name(f"{path.name}-backup")


class Copying:
    """From the first page to the last, of the journal at *path* that *db* has open."""

    def __init__(self, path: pathlib.Path, db: apsw.Connection) -> None:
        self.path = copy_of(path)
        try:
            self.path.unlink(missing_ok=True)  # of an earlier one that nobody fetched
            self._make_sure_of_room(db)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        except OSError as fault:
            raise JournalFault(f"the backup {self.path} cannot be written: {fault.strerror}") from fault
        self._to = apsw.Connection(str(self.path), flags=apsw.SQLITE_OPEN_READWRITE)
        for pragma in ("journal_mode = off", "synchronous = off"):  # it is read once and removed: never synced
            self._to.execute(f"PRAGMA {pragma}").fetchall()
        self._backup = self._to.backup("main", db, "main")

    def __repr__(self) -> str:
        return f"Copying({self.path}, {self._backup.remaining} of {self._backup.page_count} pages left)"

    def step(self, pages: int) -> bool:
        """Copy so many more; whether that was all. Raises JournalFault, and then nothing is left of it."""
        try:
            self._backup.step(pages)
            if not self._backup.done:
                return False
            self._backup.finish()
            self._to.close()
        except apsw.Error as fault:
            self.abandon()
            raise JournalFault(f"the backup {self.path} cannot be written: {fault}") from fault
        return True

    def abandon(self) -> None:
        """Leave nothing of it."""
        self._backup.close(True)
        self._to.close(True)
        self.path.unlink(missing_ok=True)

    def _make_sure_of_room(self, db: apsw.Connection) -> None:
        """Refuse when it would take what the journal itself may need."""
        size = db.execute("PRAGMA page_count").get * db.execute("PRAGMA page_size").get
        disk = os.statvfs(self.path.parent)
        free = disk.f_bavail * disk.f_frsize
        if free < size + 2 * room.reserve(self.path.parent, journals=1):
            raise JournalFull(f"a backup beside journal {self.path} takes {size} bytes, and the disk has {free} left")
