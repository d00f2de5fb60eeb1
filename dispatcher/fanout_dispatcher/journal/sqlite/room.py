"""How much more a journal may take: its own bound, and what the disk has left less what is spoken for.

Appends are refused while there is still room for settling: a settle that cannot be written would be sent again, so the
reserve is theirs. Spoken for on the disk are the reserve, the growth of the log until its next checkpoint, and the
growth of the file by what is only in the log so far. Asking the disk for every commit would cost as much as one does,
so the room is measured, then counted down, and measured again after every MiB or when it seems to be used up.
"""

import os
import pathlib

import apsw

from fanout_dispatcher.journal.protocol import Batch, JournalFull
from fanout_dispatcher.journal.sqlite.statements import Statements

EVENT_BYTES = 512  # what an event takes besides its body, generously
AGAIN = 1 << 20  # bytes appended between two measurements
SPARE = 32 << 20  # bytes of the disk kept for settling, …
SHARE = 8  # … but at most an eighth of a small one; the same share bounds the log
FRAME_HEADER = 24  # bytes that the log adds to a page


class Room:
    """Counts for one file. *max_bytes* bounds what is in use in it; None: the disk alone does."""

    def __init__(self, path: pathlib.Path, db: apsw.Connection, *, max_bytes: int | None, log_pages: int) -> None:
        disk = os.statvfs(path)
        eighth = disk.f_blocks * disk.f_frsize // SHARE
        self._path = path
        self._log = path.with_name(f"{path.name}-wal")
        self._max_bytes = max_bytes
        self._page_size: int = db.execute("PRAGMA page_size").get
        self._spare = min(SPARE, eighth)
        self._left = 0
        self._appended = AGAIN
        self.log_pages = min(log_pages, eighth // (self._page_size + FRAME_HEADER))

    def admit(self, sql: Statements, batch: Batch) -> None:
        """Raise JournalFull when the events of *batch* do not fit; a batch without events always passes."""
        if not batch.events:
            return
        size = sum(len(event.body) for event in batch.events) + EVENT_BYTES * len(batch.events)
        self._appended += size
        if size > self._left or self._appended > AGAIN:
            self._measure(sql, size)
        self._left -= size

    def _measure(self, sql: Statements, size: int) -> None:
        used, free = (pages * self._page_size for pages in sql.rows("room")[0])
        on_disk = self._on_disk(used + free) + free
        bound = on_disk if self._max_bytes is None else self._max_bytes - used
        self._left = min(on_disk, bound)
        self._appended = size
        if size <= self._left:
            return
        if on_disk < bound:
            raise JournalFull(f"the disk of journal {self._path} is full but for what is kept for settling")
        raise JournalFull(f"journal {self._path} has reached its bound of {self._max_bytes} bytes")

    def _on_disk(self, needed: int) -> int:
        """What the disk has left for new events when the file is *needed* bytes long after a checkpoint."""
        disk = os.statvfs(self._path)
        file_grows = max(0, needed - self._path.stat().st_size)
        log_size = self._log.stat().st_size if self._log.exists() else 0
        log_grows = max(0, self.log_pages * (self._page_size + FRAME_HEADER) - log_size)
        left: int = disk.f_bavail * disk.f_frsize - file_grows - log_grows - self._spare
        return left
