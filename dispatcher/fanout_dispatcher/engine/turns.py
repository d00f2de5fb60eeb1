"""Whose turn it is within one lane: a delivery that is tried again, or a fresh one.

A retry goes first when it may: its event is the older one, and its time has come. But never two in a row while a
fresh delivery waits: a target that fails most attempts would otherwise be asked for nothing but retries, and what came
in since would wait for all of them. Where no retry may go, the fresh have the lane to themselves.
"""

from fanout_dispatcher.engine.gates import Gates
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.window import EMPTY, Window


class Turns:
    """Chooses between the two windows of one lane, and has them filled from the index."""

    __slots__ = ("gates", "index", "last", "resumes_at")

    def __init__(self, index: Index, gates: Gates) -> None:
        self.index = index
        self.gates = gates
        self.last: Window | None = None
        self.resumes_at: float = EMPTY  # after ``next`` gave None: when there may be one

    def next(self, now: float) -> Window | None:
        """The window to take from, which has something ready; None: there is none before ``resumes_at``."""
        fresh, again = self.index.windows
        if fresh.next_due <= now and fresh.wants(now):
            self.index.pull(fresh, now)
        if again.next_due <= now and again.wants(now):
            self.index.pull(again, now)
        if again.ready and not (fresh.ready and self.last is again) and self.gates.retries_at(now) <= now:
            return again
        if fresh.ready:
            return fresh
        retries_at = self.gates.retries_at(now) if again.ready else again.comes_at()
        self.resumes_at = min(retries_at, fresh.comes_at())
        return None

    def take(self, window: Window) -> Delivery:
        """The first delivery of *window*: so it has had its turn."""
        self.last = window
        return window.take()
