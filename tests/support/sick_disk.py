"""A disk that fails on demand: an apsw VFS over the real one.

`SickDisk.fail` says what the next writes or syncs of which file do. What really fired is counted, since a run in
which no fault fired proves nothing. `SickDisk.cut` is a power cut: of what was written since a file's last sync, page
by page, some is there and some is not.

A sync that fails does what it does on Linux: some of the pages were written, the others were not and count as clean
from then on. So the file reads as before, a later sync says yes and writes none of them, and what they held is gone
with the next power cut, unless somebody writes it again (https://lwn.net/Articles/752063/).
"""

import pathlib
import random
import threading
import time

import apsw

NAME = "sick"
BASE = "unix"  # not "the default": it may be the default itself
PAGE = 4096  # bytes that the kernel writes, or loses, together


class Cached:
    """What the kernel has of one file, and the disk has not."""

    def __init__(self, path: pathlib.Path) -> None:
        self.path = path
        self.size = path.stat().st_size  # on the disk
        self.pages: dict[int, bytes] = {}  # by number: what the disk has where it is something else
        self.dirty: set[int] = set()  # those that the next sync writes
        self.shorter = False  # since the last sync: what was written since then is not on the disk without that

    def touch(self, offset: int, length: int) -> None:
        """*length* bytes from *offset* on are about to change."""
        touched = range(offset // PAGE, -(-(offset + length) // PAGE))
        with self.path.open("rb") as file:
            for number in touched:
                if number not in self.pages:
                    file.seek(number * PAGE)
                    self.pages[number] = file.read(PAGE)
        self.dirty.update(touched)

    def sync(self) -> None:
        """What is dirty is written, and how long the file is."""
        self.size = self.path.stat().st_size
        self._written(self.dirty)
        self.pages = {number: page for number, page in self.pages.items() if number * PAGE < self.size}
        self.dirty.clear()
        self.shorter = False

    def sync_badly(self, chance: random.Random) -> None:
        """About half of what is dirty is written; the rest will not be, and nothing says so."""
        self._written(self._some(chance))
        self.dirty.clear()

    def cut(self, chance: random.Random) -> int:
        """The file is what the disk has of it, and some of what was about to be written; how many pages are gone."""
        self._written(self._some(chance))
        with self.path.open("r+b") as file:
            for number, page in self.pages.items():
                file.seek(number * PAGE)
                file.write(page.ljust(PAGE, b"\0"))
            file.truncate(self.size)
        return len(self.pages)

    def _some(self, chance: random.Random) -> set[int]:
        return set() if self.shorter else {number for number in sorted(self.dirty) if chance.random() < 0.5}

    def _written(self, pages: set[int]) -> None:
        for number in pages:
            del self.pages[number]


class SickDisk(apsw.VFS):
    """Registered under its name while it lives; hand ``vfs=NAME`` to a journal.

    *chance* says which pages it loses, *sync_takes* how many seconds a sync takes at least.
    """

    def __init__(self, chance: random.Random | None = None, sync_takes: float = 0.0) -> None:
        super().__init__(NAME, base=BASE)
        self._chance = chance or random.Random("sick disk")
        self._faults: dict[tuple[str, str], type[apsw.Error]] = {}
        self.fired: list[str] = []
        self.after = 0
        self.sync_takes = sync_takes
        self.calls = threading.RLock()  # held by a call that changes a file
        self._files: dict[str, Cached] = {}

    def fail(self, call: str, suffix: str, error: type[apsw.Error], *, after: int = 0) -> None:
        """From the call *after* the next on, *call* ("write", "sync") on files that end in *suffix* raises *error*."""
        self._faults[call, suffix] = error
        self.after = after

    def heal(self) -> None:
        """All is well again, but for pages that were lost already."""
        self._faults.clear()

    def unsynced(self) -> bool:
        """Whether a power cut may take something back."""
        return any(file.dirty for file in self._files.values())

    def cut(self) -> int:
        """The power fails; how many pages that takes back."""
        lost = sum(file.cut(self._chance) for file in self._files.values())
        self._files.clear()
        return lost

    def cached(self, name: str) -> Cached:
        """What the kernel has of a file."""
        if name not in self._files:
            self._files[name] = Cached(pathlib.Path(name))
        return self._files[name]

    def check(self, call: str, name: str) -> None:
        """Raise what was asked for."""
        for (wanted, suffix), error in self._faults.items():
            if wanted == call and name.endswith(suffix):
                self.after -= 1
                if self.after < 0:
                    self.fired.append(f"{call} {suffix}")
                    if call == "sync":
                        self.cached(name).sync_badly(self._chance)
                    raise error(f"{call} of {suffix} fails, as asked")

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> "SickFile":  # noqa: N802  apsw's name
        return SickFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802  apsw's name
        super().xDelete(filename, syncdir)
        self._files.pop(filename, None)


class SickFile(apsw.VFSFile):
    def __init__(self, disk: SickDisk, name: "str | apsw.URIFilename | None", flags: list[int]) -> None:
        super().__init__(BASE, name, flags)
        self._disk = disk
        self._name = name if isinstance(name, str) else "" if name is None else name.filename()

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  apsw's name
        with self._disk.calls:
            self._disk.check("write", self._name)
            self._disk.cached(self._name).touch(offset, len(data))
            super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802  apsw's name
        with self._disk.calls:
            self._disk.check("sync", self._name)
        time.sleep(self._disk.sync_takes)  # the power may fail meanwhile: SQLite itself lets no other thread run
        super().xSync(flags)
        with self._disk.calls:
            self._disk.cached(self._name).sync()

    def xTruncate(self, newsize: int) -> None:  # noqa: N802  apsw's name
        with self._disk.calls:
            size = pathlib.Path(self._name).stat().st_size
            if newsize < size:
                cached = self._disk.cached(self._name)
                cached.touch(newsize, size - newsize)
                cached.shorter = True
            super().xTruncate(newsize)
