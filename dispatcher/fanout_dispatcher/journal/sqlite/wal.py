"""Telling a write-ahead log that was cut by a crash from one that was damaged afterwards.

SQLite reads a log up to the first frame whose checksum is wrong and silently drops the rest. After a crash that is
right: the rest is the one transaction whose fsync never returned. But a transaction is only written when the one
before it is on stable storage. So a commit frame beyond the end of what SQLite takes, with another frame of the same
log behind it, means that a *committed* transaction is lost: the file was damaged, and going on would lose it for
good.

The format is in https://sqlite.org/fileformat2.html#walformat: a header of 32 bytes, then frames of a 24-byte header
and a page. Salts in both say to which turn of the log a frame belongs.
"""

import pathlib
import struct

HEADER = 32
FRAME = 24


def lost_commits(path: pathlib.Path, taken: int) -> int:
    """How many committed transactions of the log at *path* lie beyond the *taken* frames that SQLite accepts."""
    if not path.exists():
        return 0
    with path.open("rb") as log:
        header = log.read(HEADER)
        if len(header) < HEADER:
            return 0
        page_size = struct.unpack(">I", header[8:12])[0]
        lost, pending = 0, 0
        log.seek(HEADER + taken * (FRAME + page_size))
        while len(frame := log.read(FRAME)) == FRAME and frame[8:16] == header[16:24]:
            lost, pending = lost + pending, 0  # what was committed before this frame had been synced
            if frame[4:8] != b"\0\0\0\0":  # the database's size in pages: only on a commit frame
                pending = 1
            log.seek(page_size, 1)
    return lost
