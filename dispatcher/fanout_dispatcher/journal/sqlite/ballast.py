"""A file beside the journal that holds nothing but space: thrown away when the disk is full, so that settling goes on.

What is kept free by counting can be taken by anybody else on the disk; what a file holds cannot. Once it has been
thrown away it comes back when there is room for twice as much.
"""

import os
import pathlib


class Ballast:
    """Up to *size* bytes beside the journal at *path*; 0 = none."""

    def __init__(self, path: pathlib.Path, size: int) -> None:
        self.path = path.with_name(f"{path.name}-ballast")
        self.size = size
        self.held = 0  # bytes

    def __repr__(self) -> str:
        return f"Ballast({self.path}, held={self.held})"

    def take(self) -> None:
        """Have it, if it is there from an earlier life or there is plenty of room; a failure only means: not now."""
        if self.held or not self.size:
            return
        try:
            self.held = self._left_behind() or self._allocated()
        except OSError:
            self.drop()

    def drop(self) -> bool:
        """Give the space back; whether there was any."""
        held, self.held = self.held, 0
        try:
            self.path.unlink(missing_ok=True)
        except OSError:
            return False
        return held > 0

    def _left_behind(self) -> int:
        if not self.path.exists():
            return 0
        found = self.path.stat()
        return min(found.st_size, found.st_blocks * 512)

    def _allocated(self) -> int:
        disk = os.statvfs(self.path.parent)
        if disk.f_bavail * disk.f_frsize < 2 * self.size:
            return 0
        file = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            os.posix_fallocate(file, 0, self.size)
        finally:
            os.close(file)
        return self.size
