"""Where a journal may lie: a folder that can be written, on a file system of this machine.

Locks and fsync of network file systems do not hold what SQLite builds on them, so those are refused.
"""

import errno
import os
import pathlib

from fanout_dispatcher.journal.faults import JournalRefused

_NAMES = "nfs nfs4 cifs smb3 smbfs afs ceph glusterfs fuse.glusterfs fuse.sshfs fuse.s3fs lustre"
NETWORK = frozenset(_NAMES.split())
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
    kind = file_system(path.resolve(), pathlib.Path("/proc/self/mountinfo").read_text(encoding="utf-8"))
    if kind in NETWORK:
        raise JournalRefused(
            f"journal {path} lies on a network file system ({kind}), which cannot promise that"
            " a commit is kept; use a local disk"
        )


def file_system(path: pathlib.Path, mounts: str) -> str:
    """The kind of file system that *path* is on, by the text of /proc/self/mountinfo."""
    best, kind = -1, ""
    for line in mounts.splitlines():
        left, _, right = line.partition(" - ")
        point = left.split(" ")[4].encode().decode("unicode_escape")  # a space in a path is \040 there
        if path.is_relative_to(point) and len(point) >= best:
            best, kind = len(point), right.split(" ")[0]
    return kind


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
