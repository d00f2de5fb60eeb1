"""Telling a write-ahead log that was cut by a crash from one that was damaged afterwards.

SQLite reads a log up to the first frame whose checksum is wrong and silently drops the rest. After a crash that is
right: the rest is the one transaction whose fsync never returned. But a transaction is only written when the one
before it is on stable storage. So a commit frame beyond the end of what SQLite takes, with another frame of the same
log behind it, means that a *committed* transaction is lost: the file was damaged, and going on would lose it for
good.

SQLite also takes no frame at all when the log's header is broken, and deletes any log that lies beside an empty file.
So both are looked at before it opens them. A header may be torn by a power cut: when a log is begun anew. But then
all that the frames behind it hold has been copied into the file before.

The format is in https://sqlite.org/fileformat2.html#walformat: a header of 32 bytes, then frames of a 24-byte header
and a page. Salts in both say to which turn of the log a frame belongs.
"""

import pathlib
import struct
import typing

HEADER = 32
FRAME = 24
_MAGIC = {0x377F0682: "<", 0x377F0683: ">"}  # in the first four bytes: in which order checksums read their words
_PAGE_SIZE = slice(16, 18)  # in the header of a database


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


def remnants(path: pathlib.Path, taken: int) -> list[int]:
    """Where frames of the log's turn lie beyond the *taken* ones: what a crash left of a transaction."""
    found: list[int] = []
    with path.open("rb") as log:
        header = log.read(HEADER)
        if len(header) < HEADER:
            return found
        page_size = struct.unpack(">I", header[8:12])[0]
        at = HEADER + taken * (FRAME + page_size)
        log.seek(at)
        while len(frame := log.read(FRAME)) == FRAME and frame[8:16] == header[16:24]:
            found.append(at)
            at = log.seek(page_size, 1)
    return found


def hidden_commits(log: pathlib.Path, database: pathlib.Path) -> int:
    """How many transactions of *log* SQLite would not see for its broken header, though *database* lacks them."""
    if not log.exists() or log.stat().st_size <= HEADER or not database.stat().st_size:
        return 0
    with log.open("rb") as frames, database.open("rb") as pages:
        if _readable(frames.read(HEADER)):
            return 0
        size = int.from_bytes(pages.read(100)[_PAGE_SIZE], "big")
        page_size = 65536 if size == 1 else size  # https://sqlite.org/fileformat2.html#page_size
        commits, latest = _turn(frames, page_size)
        for number, at in latest.items():
            frames.seek(at)
            pages.seek((number - 1) * page_size)
            if frames.read(page_size) != pages.read(page_size):
                return commits
    return 0


def _readable(header: bytes) -> bool:
    """Whether SQLite takes the *header* of a log."""
    order = _MAGIC.get(int.from_bytes(header[:4], "big"))
    if order is None:
        return False
    one = two = 0
    for first, second in struct.iter_unpack(f"{order}II", header[:24]):
        one = (one + first + two) & 0xFFFFFFFF
        two = (two + second + one) & 0xFFFFFFFF
    return header[24:] == struct.pack(">II", one, two)


def _turn(log: typing.BinaryIO, page_size: int) -> tuple[int, dict[int, int]]:
    """What the turn of the log's first frame has committed: how many transactions, and where each page was last."""
    commits, latest, pending = 0, dict[int, int](), dict[int, int]()
    salts = None
    while page_size and len(frame := log.read(FRAME)) == FRAME and (salts is None or frame[8:16] == salts):
        salts = frame[8:16]
        pending[int.from_bytes(frame[:4], "big")] = log.tell()
        if frame[4:8] != b"\0\0\0\0":
            commits += 1
            latest |= pending
            pending = {}
        log.seek(page_size, 1)
    return commits, latest
