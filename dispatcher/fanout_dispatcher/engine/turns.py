"""Whose turn it is within one lane: a delivery that was tried, or a fresh one.

A retry goes first when it may: its event is the older one, and its time has come. But never two in a row while a
fresh delivery waits: a target that fails most attempts would otherwise be asked for nothing but retries, and what came
in since would wait for all of them. Where no retry may go, the fresh have the lane to themselves.
"""

from fanout_dispatcher.engine.gates import Gates
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.policies.gate import NEVER


class Turns:
    """Chooses between the two windows of one lane, and has them filled from the index."""

    __slots__ = ("gates", "index", "last", "resumes_at")

    def __init__(self, index: Index, gates: Gates) -> None:
        self.index = index
        self.gates = gates
        self.last: Window | None = None
        self.resumes_at: float = NEVER  # after ``next`` gave None: when there may be one

    def next(self, now: float) -> Window | None:
        """The window to take from, which has something ready; None: there is none before ``resumes_at``."""
        fresh, tried = self.index.windows
        # the time first, though wants() looks at it too: nearly always there is nothing to pull, and no call to make
        if fresh.next_due <= now and fresh.wants(now):
            self.index.pull(fresh, now)
        if tried.next_due <= now and tried.wants(now):
            self.index.pull(tried, now)
        if tried.ready and not (fresh.ready and self.last is tried) and self.gates.retries_at(now) <= now:
            return tried
        if fresh.ready:
            return fresh
        retries_at = self.gates.retries_at(now) if tried.ready else tried.comes_at()
        self.resumes_at = min(retries_at, fresh.comes_at())
        return None

    def take(self, window: Window) -> Delivery:
        """The first delivery of *window*: so it has had its turn."""
        self.last = window
        return window.take()
