"""Making sure that a log found at the start is on the disk, and not only in the kernel's cache.

After an fsync that failed, pages that were not written count as clean: the log reads as if it were whole, a later fsync
says yes, and the next power cut takes them (https://lwn.net/Articles/752063/). That outlives the process. Whoever
appends to such a log acknowledges commits behind a hole; whoever copies it into the file copies what the log will not
have after the cut, and half of that copy is a damaged file.

So every page is written once more with what it holds, and synced, before anything is built on it. Nothing is lost when
that fails half-way: each page of the disk is what it was, or what it was to be.
"""

import pathlib

import apsw

from fanout_dispatcher.journal.sqlite import wal

CHUNK = 64 << 10  # bytes; SQLite writes less than 128 KiB at a time
# A file by itself: opened as a log, it would be taken for one of a database that is open too.
FLAGS = apsw.SQLITE_OPEN_SUBJOURNAL | apsw.SQLITE_OPEN_READWRITE


def write_again(log: pathlib.Path, vfs: str | None, taken: int) -> None:
    """Write the *log* of a journal over itself, if there is one, of which SQLite accepts *taken* frames.

    What a crash left of a transaction behind them is struck out. The next transaction begins in its place, and if that
    one is shorter and cut off too, the rest of this one behind it would look like a commit that came after it.

    Raises apsw.Error.
    """
    if not log.exists() or not (size := log.stat().st_size):
        return
    file = apsw.VFSFile(vfs or "", str(log), [FLAGS, 0])
    try:
        for offset in range(0, size, CHUNK):
            file.xWrite(file.xRead(min(CHUNK, size - offset), offset), offset)
        for offset in wal.remnants(log, taken):
            file.xWrite(bytes(wal.FRAME), offset)
        file.xSync(apsw.SQLITE_SYNC_NORMAL)
    finally:
        file.xClose()
