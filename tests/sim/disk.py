"""The journal's thread in virtual time: each job waits, runs, and waits again before anybody hears of it.

So a crash may find a commit not yet written, and one that is written although its producers never heard. What is
committed is written down on the way through, with the moment from which on it could not contain any more.
"""

import asyncio
import random
import typing
from collections import deque

from fanout_dispatcher.journal.disk import Done, Job, result_of
from fanout_dispatcher.journal.protocol import Batch, Journal

T = typing.TypeVar("T")
ROW = 5e-6  # seconds that a row of a batch takes: a flooded journal is a slow one


class Watched:
    """A journal that tells *committed* of each commit: the batch and what it raised, if anything."""

    def __init__(self, journal: Journal, committed: typing.Callable[[Batch, Exception | None], None]) -> None:
        self._journal = journal
        self._committed = committed
        self.rows = 0  # of the last commit

    def __getattr__(self, name: str) -> typing.Any:
        return getattr(self._journal, name)

    def commit(self, batch: Batch) -> None:
        """Pass it on."""
        self.rows = len(batch.events) + len(batch.due) + len(batch.progress) + len(batch.finished)
        try:
            self._journal.commit(batch)
        except Exception as fault:
            self._committed(batch, fault)
            raise
        self._committed(batch, None)


class WorldDisk:
    """Runs jobs one after the other; *latency* (s, from … to) is drawn for the wait before and the wait after."""

    def __init__(self, journal: Watched, *, chance: random.Random, latency: tuple[float, float]) -> None:
        self._journal = journal
        self._chance = chance
        self._jobs: deque[tuple[Job[typing.Any], Done[typing.Any]]] = deque()
        self.latency = latency
        self.phase = "idle"  # waiting: the job is not done yet; done: it is, and nobody has heard

    def run(self, job: Job[T], done: Done[T]) -> None:
        """Queue *job* behind the others."""
        self._jobs.append((job, done))
        if self.phase == "idle":
            self._next()

    def _next(self) -> None:
        self.phase = "waiting"
        asyncio.get_running_loop().call_later(self._wait(), self._work)

    def _work(self) -> None:
        job, done = self._jobs.popleft()
        self.phase = "done"
        self._journal.rows = 0
        result = result_of(job, typing.cast(Journal, self._journal))
        wait = self._wait() + ROW * self._journal.rows
        asyncio.get_running_loop().call_later(wait, self._tell, done, result)

    def _tell(self, done: Done[T], result: T | Exception) -> None:
        self.phase = "idle"
        if self._jobs:
            self._next()
        done(result)

    def _wait(self) -> float:
        return self._chance.uniform(*self.latency) / 2
