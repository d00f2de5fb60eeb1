"""A file beside the journal that holds nothing but space: thrown away when the disk is full, so that settling goes on.

What is kept free by counting can be taken by anybody else on the disk; what a file holds cannot. Once it has been
thrown away it comes back when there is room for twice as much. Room that comes back in pieces is gathered in it, where
none of them is enough.
"""

import os
import pathlib


def ballast_of(path: pathlib.Path) -> pathlib.Path:
    """Where the ballast of the journal at *path* lies."""
    return path.with_name(f"{path.name}-ballast")


class Ballast:
    """*size* bytes beside the journal at *path*, and more while room is gathered in it; 0 = none at all."""

    def __init__(self, path: pathlib.Path, size: int) -> None:
        self.path = ballast_of(path)
        self.size = size
        self.held = 0  # bytes

    def __repr__(self) -> str:
        return f"Ballast({self.path}, held={self.held})"

    def take(self) -> None:
        """Have all of it, if it is there already or there is plenty of room; a failure only means: not now."""
        if self.held >= self.size:
            return
        try:
            self.held = self.held or self._left_behind()
            if self.held < self.size and self._plenty():
                self.held = self._allocated(self.held, self.size - self.held)
        except OSError:
            self.drop()

    def add(self, more: int) -> None:
        """Hold so many bytes more, so that nobody else takes them; a failure only means: not now."""
        if not self.size:
            return
        try:
            self.held = self._allocated(self.held, more)
        except OSError:  # a part of it may be there: room that is held and not counted would be lost for good
            self.held = self._there()

    def drop(self) -> bool:
        """Give the space back; whether there was any."""
        held, self.held = self.held, 0
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return False
        return held > 0

    def _left_behind(self) -> int:
        if self._there() > self.size:  # of a life with fewer journals, or one that was gathering room
            os.truncate(self.path, self.size)
        return self._there()

    def _there(self) -> int:
        try:
            found = self.path.stat()
        except FileNotFoundError:
            return 0
        return min(found.st_size, found.st_blocks * 512)

    def _plenty(self) -> bool:
        disk = os.statvfs(self.path.parent)
        return bool(disk.f_bavail * disk.f_frsize >= 2 * self.size)

    def _allocated(self, before: int, more: int) -> int:
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, before, more)
        finally:
            os.close(file)
        return before + more
