"""Where a journal may lie: a folder that can be written, on a file system of this machine.

Locks and fsync of network file systems do not hold what SQLite builds on them, so those are refused.
"""

import errno
import os
import pathlib
import re

from fanout_dispatcher.journal.faults import JournalRefused

_NAMES = "nfs nfs4 cifs smb3 smbfs afs ceph glusterfs fuse.glusterfs fuse.sshfs fuse.s3fs lustre"
NETWORK = frozenset(_NAMES.split())
MOUNTS = pathlib.Path("/proc/self/mountinfo")
_OCTAL = re.compile(rb"\\([0-7]{3})")
WHY = {
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EROFS: "the file system is read-only",
    errno.ENOSPC: "the disk is full",
    errno.ENOTDIR: "a part of the path is a file",
    errno.EISDIR: "it is a folder",
}


def log_of(path: pathlib.Path) -> pathlib.Path:
    """Where SQLite keeps the log of the journal at *path*."""
    return path.with_name(f"{path.name}-wal")


def prepare(path: pathlib.Path) -> None:
    """Make the folder and the file of a journal where missing, for this user alone; refuse what cannot hold one."""
    log = log_of(path)
    try:
        _make_folder(path.parent)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        if log.exists():  # one that cannot be written looks to SQLite like damage, and is none
            os.close(os.open(log, os.O_RDWR | os.O_CLOEXEC))
        _sync_folder(path.parent)
    except OSError as fault:
        why = WHY.get(fault.errno or 0, os.strerror(fault.errno or 0))
        raise JournalRefused(
            f"journal {path} cannot be written: {why} ({fault.filename}); give a folder of yours by --data"
        ) from fault
    kind = file_system(path.resolve(), MOUNTS.read_bytes())
    if kind in NETWORK:
        raise JournalRefused(
            f"journal {path} lies on a network file system ({kind}), which cannot promise that"
            " a commit is kept; use a local disk"
        )


def file_system(path: pathlib.Path, mounts: bytes) -> str:
    """The kind of file system that *path* is on, by what is in /proc/self/mountinfo.

    Names in it are bytes of any encoding, or of none; of them only white space and the backslash are written otherwise.
    """
    best, kind = -1, ""
    for line in filter(None, mounts.split(b"\n")):
        left, _, right = line.partition(b" - ")
        point = os.fsdecode(_OCTAL.sub(_byte, left.split(b" ")[4]))
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), os.fsdecode(right.split(b" ")[0])
    return kind


def _byte(octal: re.Match[bytes]) -> bytes:
    return bytes([int(octal[1], 8) & 0xFF])


def identity(path: pathlib.Path) -> tuple[int, ...]:
    """Which files lie at the path of a journal and of its log; others, or none, are not those that are open."""
    try:
        files = [path.stat(), log_of(path).stat()]
    except OSError:
        return ()
    return tuple(number for file in files for number in (file.st_dev, file.st_ino))


def _make_folder(folder: pathlib.Path) -> None:
    if folder.is_dir():
        return
    _make_folder(folder.parent)
    folder.mkdir(mode=0o700, exist_ok=True)
    _sync_folder(folder.parent)


def _sync_folder(folder: pathlib.Path) -> None:
    """Without this a power cut may take the new name away, and with it what was committed under it."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
