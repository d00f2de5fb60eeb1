"""A disk that fails on demand: an apsw VFS over the real one.

`SickDisk.fail` says what the next writes or syncs of which file do. What really fired is counted, since a run in
which no fault fired proves nothing. `SickDisk.cut` is a power cut: what was written since a file's last sync is gone.
"""

import pathlib

import apsw

NAME = "sick"


class SickDisk(apsw.VFS):
    """Registered under its name while it lives; hand ``vfs=NAME`` to a journal."""

    def __init__(self) -> None:
        super().__init__(NAME, base="")
        self._faults: dict[tuple[str, str], type[apsw.Error]] = {}
        self.fired: list[str] = []
        self.after = 0
        self._undo: dict[str, list[tuple[int, bytes, int]]] = {}  # file -> (offset, what was there, its size then)

    def fail(self, call: str, suffix: str, error: type[apsw.Error], *, after: int = 0) -> None:
        """From the call *after* the next on, *call* ("write", "sync") on files that end in *suffix* raises *error*."""
        self._faults[call, suffix] = error
        self.after = after

    def heal(self) -> None:
        """All is well again."""
        self._faults.clear()

    def cut(self) -> int:
        """The power fails: every file is again what it was at its last sync. How many writes that takes back."""
        lost = 0
        for name, writes in self._undo.items():
            lost += len(writes)
            for offset, before, size in reversed(writes):
                with pathlib.Path(name).open("r+b") as file:
                    file.seek(offset)
                    file.write(before)
                    file.truncate(size)
        self._undo.clear()
        return lost

    def written(self, name: str, offset: int, length: int) -> None:
        """Remember what a write is about to replace."""
        path = pathlib.Path(name)
        with path.open("rb") as file:
            file.seek(offset)
            before = file.read(length)
        self._undo.setdefault(name, []).append((offset, before, path.stat().st_size))

    def synced(self, name: str) -> None:
        """What was written to a file is on stable storage."""
        self._undo.pop(name, None)

    def check(self, call: str, name: str) -> None:
        """Raise what was asked for."""
        for (wanted, suffix), error in self._faults.items():
            if wanted == call and name.endswith(suffix):
                self.after -= 1
                if self.after < 0:
                    self.fired.append(f"{call} {suffix}")
                    raise error(f"{call} of {suffix} fails, as asked")

    def xOpen(self, name: "str | apsw.URIFilename | None", flags: list[int]) -> "SickFile":  # noqa: N802  apsw's name
        return SickFile(self, name, flags)


class SickFile(apsw.VFSFile):
    def __init__(self, disk: SickDisk, name: "str | apsw.URIFilename | None", flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        self._name = name if isinstance(name, str) else "" if name is None else name.filename()

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802  apsw's name
        self._disk.check("write", self._name)
        self._disk.written(self._name, offset, len(data))
        super().xWrite(data, offset)

    def xSync(self, flags: int) -> None:  # noqa: N802  apsw's name
        self._disk.check("sync", self._name)
        super().xSync(flags)
        self._disk.synced(self._name)

    def xTruncate(self, newsize: int) -> None:  # noqa: N802  apsw's name
        size = pathlib.Path(self._name).stat().st_size
        self._disk.written(self._name, newsize, max(0, size - newsize))
        super().xTruncate(newsize)
