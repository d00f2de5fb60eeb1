"""Where a journal's calls run: a thread in production, the loop itself in tests and simulations.

A journal blocks on the disk, so the loop never calls it. It hands a *disk* a job and a callback; jobs run one after
the other in the order handed in, and each result, a value or the exception that the job raised, comes back on the
loop. The callback may hand in the next job.
"""

import asyncio
import queue
import random
import threading
import typing
from collections import deque
from collections.abc import Callable

from fanout_dispatcher.journal.protocol import Journal

T = typing.TypeVar("T")
Job = Callable[[Journal], T]
Done = Callable[[T | Exception], None]


class Disk(typing.Protocol):
    """Runs jobs against one journal, first in, first out."""

    def run(self, job: Job[T], done: Done[T]) -> None:
        """Run *job* soon; *done* gets what it returned or raised, on the loop, never inside this call."""


def result_of(job: Job[T], journal: Journal) -> T | Exception:
    """The result of *job* as a value: the named edge where a journal's exceptions become values."""
    try:
        return job(journal)
    except Exception as fault:  # noqa: BLE001  whatever it is, the caller that waits on the loop must hear of it
        return fault


class ThreadDisk:
    """One daemon thread that owns the journal: SQLite's connection is used by it alone."""

    def __init__(self, journal: Journal, loop: asyncio.AbstractEventLoop) -> None:
        self._journal = journal
        self._loop = loop
        self._jobs: queue.SimpleQueue[Callable[[], Callable[[], None]] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="journal", daemon=True)

    def __repr__(self) -> str:
        return f"ThreadDisk(waiting={self._jobs.qsize()}, alive={self._thread.is_alive()})"

    def start(self) -> None:
        """Start the thread; jobs handed in before wait for it."""
        self._thread.start()

    def run(self, job: Job[T], done: Done[T]) -> None:
        """Queue *job* behind the others."""

        def step() -> Callable[[], None]:
            result = result_of(job, self._journal)
            return lambda: done(result)

        self._jobs.put(step)

    async def stop(self) -> None:
        """Run what is queued, deliver its results, then end the thread."""
        if not self._thread.is_alive():
            return
        drained = asyncio.Event()
        self._jobs.put(lambda: drained.set)
        await drained.wait()
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (step := self._jobs.get()) is not None:
            deliver = step()
            try:
                self._loop.call_soon_threadsafe(deliver)
            except RuntimeError:  # the loop is closed: nobody is left to hear of it
                return


class LoopDisk:
    """Runs each job on the loop after a latency drawn from *rng*: the same seed gives the same order of everything.

    The job runs when its latency is over, not when it is handed in, so that a crash in between finds it undone.
    """

    def __init__(
        self, journal: Journal, *, rng: random.Random | None = None, latency: tuple[float, float] = (0.0, 0.0)
    ) -> None:
        self._journal = journal
        self._rng = rng
        self._latency = latency
        self._waiting: deque[Callable[[], None]] = deque()
        self._timer: asyncio.Handle | None = None

    def __repr__(self) -> str:
        return f"LoopDisk(waiting={len(self._waiting)})"

    def run(self, job: Job[T], done: Done[T]) -> None:
        """Queue *job* behind the others."""
        self._waiting.append(lambda: done(result_of(job, self._journal)))
        if self._timer is None:
            self._schedule()

    def stop(self) -> None:
        """Forget what waits, as a crash would."""
        self._waiting.clear()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _schedule(self) -> None:
        loop = asyncio.get_running_loop()
        seconds = self._rng.uniform(*self._latency) if self._rng is not None else self._latency[0]
        self._timer = loop.call_later(seconds, self._step) if seconds > 0 else loop.call_soon(self._step)

    def _step(self) -> None:
        self._timer = None
        job = self._waiting.popleft()
        if self._waiting:
            self._schedule()
        job()


async def ask(disk: Disk, job: Job[T]) -> T:
    """Run *job* and wait for what it returns. Raises what it raises."""
    answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()

    def done(result: T | Exception) -> None:
        if answer.done():
            return  # whoever asked was cancelled
        if isinstance(result, Exception):
            answer.set_exception(result)
        else:
            answer.set_result(result)

    disk.run(job, done)
    return await answer
