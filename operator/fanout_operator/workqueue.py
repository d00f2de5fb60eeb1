"""The work queue: keys to be reconciled, each by one worker at a time.

Events put keys in, from anywhere on the loop; how often a key was put while it waited does not matter, and one put
while it is being worked on is worked on once more afterwards. So a handler never runs twice at once for a key and
never misses what happened last. A key that is put ahead, since somebody waits for it, goes before all that are not. A
failure brings a key back after a wait that grows; the API server's own Retry-After is obeyed. It must never drop a key,
and one key's failure must never disturb another.
"""

import asyncio
import math
import random
import typing
from collections.abc import Awaitable, Callable

import structlog

from fanout_operator.backoff import Backoff
from fanout_operator.kube import FAILURES, TooMany, Unavailable

RETRY: typing.Final = Backoff(base=0.25, cap=60.0)
AWAY: typing.Final = 8.0  # seconds at most, when the API server did not answer: it is not the key's fault

log = structlog.get_logger()


class WorkQueue:
    """Coalescing keys in front of `handle`, which `workers` tasks call."""

    def __init__(
        self, name: str, handle: Callable[[str], Awaitable[None]], *, workers: int, rng: random.Random
    ) -> None:
        self.name = name
        self._handle = handle
        self._workers = workers
        self._rng = rng
        self._ahead: dict[str, None] = {}  # a set in order of arrival
        self._waiting: dict[str, None] = {}  # another; no key is in both
        self._running: set[str] = set()
        self._again: dict[str, bool] = {}  # what was put while it ran: whether ahead
        self._failures: dict[str, int] = {}
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.done = 0
        self.failed = 0

    def __repr__(self) -> str:
        return (
            f"<WorkQueue {self.name} ahead={len(self._ahead)} waiting={len(self._waiting)} "
            f"running={len(self._running)} later={len(self._timers)} done={self.done} failed={self.failed}>"
        )

    def __len__(self) -> int:
        return len(self._ahead) + len(self._waiting) + len(self._running)

    def put(self, key: str, *, ahead: bool = False) -> None:
        """Have a key worked on soon, or before all that are not put ahead; what it waits for otherwise is off."""
        timer = self._timers.pop(key, None)
        if timer:
            timer.cancel()
        if key in self._running:
            self._again[key] = ahead or self._again.get(key, False)
        elif ahead:
            self._waiting.pop(key, None)
            self._ahead[key] = None
        elif key not in self._ahead:
            self._waiting[key] = None
        self._arrived.set()
        self._idle.clear()

    def put_later(self, key: str, seconds: float) -> None:
        """Have a key worked on after a while, unless it is put before, or for sooner."""
        loop, timer = asyncio.get_running_loop(), self._timers.get(key)
        if key in self._ahead or key in self._waiting or (timer and timer.when() <= loop.time() + seconds):
            return
        if timer:
            timer.cancel()
        self._timers[key] = loop.call_later(seconds, self.put, key)

    def forget(self, key: str) -> None:
        """Start counting a key's failures anew."""
        self._failures.pop(key, None)

    async def drained(self) -> None:
        """Wait until nothing waits and nothing runs; keys put for later do not count."""
        await self._idle.wait()

    async def run(self) -> None:
        """Work until cancelled."""
        try:
            async with asyncio.TaskGroup() as group:
                for number in range(self._workers):
                    group.create_task(self._work(), name=f"{self.name}-{number}")
        finally:
            for timer in self._timers.values():
                timer.cancel()

    async def _work(self) -> None:
        while True:
            while not (self._ahead or self._waiting):
                self._arrived.clear()
                await self._arrived.wait()
            first = self._ahead or self._waiting
            key = next(iter(first))
            del first[key]
            self._running.add(key)
            try:
                await self._one(key)
            finally:
                self._finish(key)
            await asyncio.sleep(0)  # thousands of keys that need no IO must not keep the loop from all else

    async def _one(self, key: str) -> None:
        try:
            await self._handle(key)
        except FAILURES as fault:
            log.warning("work.failed", queue=self.name, key=key, fault=f"{type(fault).__name__}: {fault}")
            at_least = fault.retry_after if isinstance(fault, TooMany) else 0.0
            self._fail(key, at_least, at_most=AWAY if isinstance(fault, Unavailable) else math.inf)
        except Exception:  # a mistake of ours with one key must not stop the others; it is logged and tried again
            log.exception("work.broken", queue=self.name, key=key)
            self._fail(key)
        else:
            self._failures.pop(key, None)
            self.done += 1

    def _fail(self, key: str, at_least: float = 0.0, at_most: float = math.inf) -> None:
        self.failed += 1
        self._failures[key] = self._failures.get(key, 0) + 1
        self.put_later(key, max(at_least, min(at_most, RETRY.wait(self._failures[key], self._rng))))

    def _finish(self, key: str) -> None:
        self._running.discard(key)
        if key in self._again:
            self.put(key, ahead=self._again.pop(key))
        if not len(self):
            self._idle.set()
