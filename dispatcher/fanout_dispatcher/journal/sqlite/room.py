"""How much more a journal may take: its own bound, and what the disk has left less what is spoken for.

Appends are refused while there is still room for settling: a settle that cannot be written would be sent again, so the
reserve is theirs. Spoken for on the disk are the reserve (as far as the ballast does not hold it), the growth of the
log until its next checkpoint, and the growth of the file by what is only in the log so far. Asking the disk for every
commit would cost as much as one does, so the room is measured, then counted down, and measured again after every MiB
or when it seems to be used up.

The reserve has to last until everything pending is settled. A settle writes pages that are there already, or that
other settles have freed: so what it takes is log, which a checkpoint empties, once more as much of the file when the
log holds pages that the file does not have yet, and what little is left for history. Hence the log gets half of it.
What is kept of answers for later steps comes with settles and takes pages of its own until its event is over. It is
counted like events are, so that those stop coming in before it has used up the reserve. A dead letter is a copy, which
takes the pages of its event when that goes; where a further target gives up too, its copy is new, and nothing is kept
back for it: a journal whose bound is well below its disk has room for those.
"""

import os
import pathlib

import apsw

from fanout_dispatcher.journal.faults import JournalFull
from fanout_dispatcher.journal.protocol import Batch, headroom
from fanout_dispatcher.journal.sqlite.ballast import Ballast
from fanout_dispatcher.journal.sqlite.place import log_of
from fanout_dispatcher.journal.sqlite.statements import Statements

EVENT_BYTES = 512  # what an event takes besides its head and body, generously
ROW_BYTES = 256  # a row of the index, in both its orders
KEY_BYTES = 256  # an idempotency key, in its three orders
LETTER_BYTES = 8_192  # what a dead letter takes besides its body: the head is copied with it
MEASURE_EVERY = 1 << 20  # bytes appended
SPARE = 32 << 20  # bytes of the disk kept for settling, …
SHARE = 8  # … but at most an eighth of a small one, by all journals on it together
FRAME_HEADER = 24  # bytes that the log adds to a page


def reserve(path: pathlib.Path, *, journals: int) -> int:
    """How many bytes of the disk below *path* each of so many journals keeps for settling."""
    disk = os.statvfs(path)
    return min(SPARE, disk.f_blocks * disk.f_frsize // SHARE // journals)


class Room:
    """Counts for one of *journals* files on a disk. *max_bytes* bounds what is in use in it; None: the disk does."""

    def __init__(
        self,
        path: pathlib.Path,
        db: apsw.Connection,
        ballast: Ballast,
        *,
        journals: int,
        max_bytes: int | None,
        log_pages: int,
    ) -> None:
        self.ballast = ballast
        self._path = path
        self._log = log_of(path)
        self._journals = journals
        self._max_bytes = max_bytes
        self._page_size: int = db.execute("PRAGMA page_size").get
        self._spare = reserve(path, journals=journals)
        self._left = 0
        self._appended = MEASURE_EVERY
        frame = self._page_size + FRAME_HEADER
        self.log_pages = min(log_pages, self._spare // 2 // frame)
        self._log_bytes = self.log_pages * frame
        db.execute(f"PRAGMA journal_size_limit = {self._log_bytes}")  # a large batch must not keep what it took

    def admit(self, sql: Statements, batch: Batch, *, cramped: bool) -> None:
        """Raise JournalFull when events or answers of *batch* do not fit; a batch without them always passes.

        Nothing fits while the log is *cramped*: the file has no room for what is in it.
        """
        if cramped and (batch.events or batch.answers):
            raise self._full()
        size = _weight(batch)
        self._appended += size
        if (batch.events or batch.answers) and (2 * size > self._left or self._appended > MEASURE_EVERY):
            self._measure(sql, size)
        self._left -= size

    def check(self, sql: Statements, *, cramped: bool) -> None:
        """Raise JournalFull where there is no headroom for events, or the log is *cramped*."""
        if cramped:
            raise self._full()
        self._measure(sql, headroom(self._max_bytes))

    def _measure(self, sql: Statements, size: int) -> None:
        self.ballast.take()
        used, free = (pages * self._page_size for pages in sql.rows("room")[0])
        on_disk = self._on_disk(used + free) + free
        bound = on_disk if self._max_bytes is None else self._max_bytes - used
        self._left = min(on_disk // self._journals, bound)  # the others may take as much before this is measured again
        self._appended = size
        if 2 * size > on_disk:  # once into the log, beyond what that usually has, and once into the file
            raise self._full()
        if size > bound:
            raise JournalFull(f"journal {self._path} has reached its bound of {self._max_bytes} bytes")

    def make_way(self, sql: Statements) -> bool:
        """Make room for what the file grows by when the log is copied into it; whether there is enough.

        The ballast is for that too. Where even with it there is too little, it takes what there is until there will be.
        """
        missing, left = self.missing(sql), self._left_on_disk()
        if missing <= left:
            return True
        if missing <= left + self.ballast.held:
            return self.ballast.drop()
        if left:
            self.ballast.add(left)
        return False

    def missing(self, sql: Statements) -> int:
        """How many bytes the file grows by when the log is copied into it."""
        pages: int = sum(sql.rows("room")[0])  # in use and free
        return pages * self._page_size - self._path.stat().st_size

    def _left_on_disk(self) -> int:
        disk = os.statvfs(self._path)
        left: int = disk.f_bavail * disk.f_frsize
        return left

    def _full(self) -> JournalFull:
        return JournalFull(f"the disk of journal {self._path} is full but for what is kept for settling")

    def _on_disk(self, needed: int) -> int:
        """What the disk has left for new events when the file is *needed* bytes long after a checkpoint."""
        file_grows = max(0, needed - self._path.stat().st_size)
        log_size = self._log.stat().st_size if self._log.exists() else 0
        log_grows = max(0, self._log_bytes - log_size)
        spare = max(0, self._spare - self.ballast.held)
        left: int = self._left_on_disk() - file_grows - log_grows - spare
        return left


def _weight(batch: Batch) -> int:
    """What *batch* takes in the file, generously."""
    rows = ROW_BYTES * (len(batch.due) + len(batch.ranks))
    size = EVENT_BYTES * len(batch.events) + rows + KEY_BYTES * len(batch.keys)
    size += sum(len(one.answer) for one in batch.answers) + sum(one.kept.size for one in batch.kept)
    for event in batch.events:
        head = event.head
        size += len(event.body) if head.replay is None else len(event.body) + len(head.replay.earlier)
        size += 2 * len(head.attributes)  # id, source and type are there, and once more by themselves
        for name, value in head.forwarded:
            size += len(name) + len(value)
        for called, text in (*head.path, *head.query):
            size += len(called) + 4 * len(text)  # UTF-8
    for row in batch.dead:
        size += row.size + LETTER_BYTES
    return size
