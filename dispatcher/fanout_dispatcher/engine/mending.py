"""After a failed commit: when the next one is tried, and what the journal does before that.

After an *ambiguous* failure the journal is repaired first, so that an event whose producer was told 503 cannot appear
after all. Each try waits twice as long as the one before, up to a bound: a disk that is ill shall not be hurried, and a
repair writes the whole log again. A full one is not ill: it is tried once a second, and asked as often whether it takes
events again when all else can be written.
"""

import asyncio
import typing

from fanout_dispatcher.journal.disk import Disk
from fanout_dispatcher.journal.faults import JournalFull

RETRY_FIRST: typing.Final = 0.2  # seconds until a failed commit is tried again, doubling …
RETRY_LONGEST: typing.Final = 5.0  # … up to this
RETRY_FULL: typing.Final = 1.0  # … or this while it is only full: so soon is room that was made used again
STEADY: typing.Final = 30.0  # seconds; trouble that is back sooner goes on where it was: a full disk must not flap


class Mending:
    """One committer's; *commit* is its next try.

    That comes even where nothing is left to write: only a commit shows that commits work again.
    """

    def __init__(self, disk: Disk, loop: asyncio.AbstractEventLoop, commit: typing.Callable[[], None]) -> None:
        self.disk = disk
        self.loop = loop
        self.commit = commit
        self.pause = RETRY_FIRST
        self.well_since = -STEADY
        self.next: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        return f"<Mending pause={self.pause:g}s>"

    def began(self) -> None:
        """A commit has failed, after one that worked."""
        if self.loop.time() - self.well_since > STEADY:
            self.pause = RETRY_FIRST

    def ended(self) -> None:
        """A commit has worked, after one that failed."""
        self.well_since = self.loop.time()
        self.close()

    def again(self, fault: Exception, repair: list[int] | None = None) -> None:
        """After *fault* wait, take the events *repair* back where that is asked for, and commit.

        A repair that fails is repeated.
        """
        longest = RETRY_FULL if isinstance(fault, JournalFull) else RETRY_LONGEST
        self.close()
        self.next = self.loop.call_later(min(self.pause, longest), self._try, repair)
        self.pause = min(self.pause * 2, longest)

    def ask_later(self, ask: typing.Callable[[], None], seconds: float = RETRY_FULL) -> None:
        """A journal that is full to events and nothing else is to be asked again in a while."""
        self.close()
        self.next = self.loop.call_later(seconds, ask)

    def close(self) -> None:
        """Try and ask no more."""
        if self.next is not None:
            self.next.cancel()
            self.next = None

    def _try(self, repair: list[int] | None) -> None:
        if repair is None:
            return self.commit()
        self.disk.run(
            lambda journal: journal.repair(repair),
            lambda answer: self.again(answer, repair) if isinstance(answer, Exception) else self.commit(),
        )
