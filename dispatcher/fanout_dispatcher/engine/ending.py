"""Empties a lane whose target or route is gone: every delivery that it still owes is given up, due or not.

A delivery that waits for an earlier one of its key, or for people, is not pulled into a window first. It is read and
given up in one step, so that a target that comes back meanwhile finds the order of the rest as it was.
"""

import math
import typing

from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.journal.protocol import BLOCKED, Pulled
from fanout_dispatcher.policies.gate import NEVER

DUE: typing.Final = math.nextafter(BLOCKED, 0.0)  # later than any time at which a row can be due


class Ending:
    """Empties one lane: *give_up* is called with each delivery, *ends* says whether the lane is still to be emptied."""

    __slots__ = ("ends", "give_up", "index")

    def __init__(
        self, index: Index, *, give_up: typing.Callable[[Delivery], None], ends: typing.Callable[[], bool]
    ) -> None:
        self.index = index
        self.give_up = give_up
        self.ends = ends

    def step(self) -> None:
        """Give up what is in the windows, and pull more from the index; the lane is pumped when that has come."""
        for window in self.index.windows:
            while window.ready:
                self.give_up(window.take())
            if window.next_due < BLOCKED and not window.pulling:
                self.index.pull(window, DUE)
        if self._waiting() and self.index.searchable():
            self.index.oldest(self._looked)

    def _waiting(self) -> list[Window]:
        """Give the windows whose remaining rows all wait for something other than a time."""
        return [window for window in self.index.windows if BLOCKED <= window.next_due < NEVER]

    def _looked(self, rows: list[Pulled]) -> None:
        """Give up the *rows* that were found; where there are none, nothing waits any more."""
        if not self.ends():
            return
        for window in () if rows else self._waiting():
            window.next_due = NEVER
        for row in rows:
            self.give_up(self.index.claim(row))
