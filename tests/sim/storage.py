"""What survives a simulated process: a journal in memory, or the real one on a disk that can fail.

Both can be killed. Only the embedded one knows a power cut: its disk forgets what was written and not synced, so an
fsync that is left out shows. Faults are asked for by share (of commits) or for a time.
"""

import pathlib
import random
import typing
from collections.abc import Callable

import apsw

from fanout_dispatcher.journal.clock import Clock
from fanout_dispatcher.journal.memory import MemoryJournal, Mishap
from fanout_dispatcher.journal.protocol import Batch, Journal
from fanout_dispatcher.journal.sqlite import SqliteJournal
from tests.support.journals import kill
from tests.support.sick_disk import NAME, SickDisk

FAULTS: typing.Final[dict[str, tuple[tuple[str, str], type[apsw.Error]]]] = {
    "sync fails": (("sync", "-wal"), apsw.IOError),
    "write fails": (("write", "-wal"), apsw.IOError),
    "disk full": (("write", "-wal"), apsw.FullError),
}


class Storage(typing.Protocol):
    """Where one worker's journal is, through all its lives."""

    def journal(self) -> Journal:
        """The journal of a new life, not open yet."""

    def end(self, *, power: bool) -> int:
        """The process is gone, and with *power* what was not synced: how many writes that took back."""

    def trouble(self, share: float, chance: random.Random) -> None:
        """From now on about so many commits fail; 0 = none."""

    def fired(self) -> dict[str, int]:
        """Which faults really happened."""


class MemoryStorage:
    """The twin in memory. *share* of its commits fail, in each of the ways in which one may."""

    def __init__(self, clock: Callable[[], Clock], *, seed: int = 0) -> None:
        self._journal = MemoryJournal(key=b"sim", clock=clock, mishap=self._mishap)
        self._chance = random.Random(f"mishaps/{seed}")
        self._fired: dict[str, int] = {}
        self.share = 0.0

    def journal(self) -> MemoryJournal:
        """The same one: committed state is in it."""
        return self._journal

    def end(self, *, power: bool) -> int:
        """Memory is as safe from power cuts as a disk that syncs."""
        self._journal.crash()
        return 0

    def trouble(self, share: float, chance: random.Random) -> None:
        """So many commits fail."""
        self.share = share

    def fired(self) -> dict[str, int]:
        """By kind of mishap."""
        return self._fired

    def _mishap(self, batch: Batch) -> Mishap | None:
        if self._chance.random() >= self.share:
            return None
        mishap = self._chance.choice(list(Mishap))
        name = f"commit {mishap.name.lower()}"
        self._fired[name] = self._fired.get(name, 0) + 1
        return mishap


class SqliteStorage:
    """The embedded journal in *folder*, on a disk of its own that fails on demand."""

    def __init__(self, folder: pathlib.Path, clock: Callable[[], Clock], *, seed: int = 0) -> None:
        self._path = folder / "journal.db"
        self._clock = clock
        self._disk = SickDisk(random.Random(f"pages/{seed}"))
        self._journal: SqliteJournal | None = None

    def journal(self) -> SqliteJournal:
        """A new life on the same file; a small log, so that checkpoints happen."""
        self._disk.heal()
        self._journal = SqliteJournal(
            self._path, clock=self._clock, new_key=lambda: b"k" * 32, ballast=0, log_pages=100, vfs=NAME
        )
        return self._journal

    def end(self, *, power: bool) -> int:
        """Drop the connection as the kernel would, then the disk's cache if the power fails."""
        assert self._journal is not None
        kill(self._journal)
        return self._disk.cut() if power else 0

    def trouble(self, share: float, chance: random.Random) -> None:
        """One of the faults from the next write or sync but a few on, until it is said to be over."""
        self._disk.heal()
        if share:
            (call, suffix), error = FAULTS[chance.choice(sorted(FAULTS))]
            self._disk.fail(call, suffix, error, after=chance.randrange(4))

    def fired(self) -> dict[str, int]:
        """By call and file."""
        return {f"disk {what}": self._disk.fired.count(what) for what in sorted(set(self._disk.fired))}

    def close(self) -> None:
        """Take the disk away."""
        self._disk.unregister()
