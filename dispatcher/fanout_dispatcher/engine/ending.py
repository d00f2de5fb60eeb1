"""What a lane still owes when its target or route is gone: all of it is given up, due or not.

What waits for its key, or for people, is not pulled into a window for that: a target that comes back in time must find
its order, so those are given up where they lie, in one step with the look at them.
"""

import math
import typing

from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.journal.protocol import BLOCKED, Pulled
from fanout_dispatcher.policies.gate import NEVER

DUE: typing.Final = math.nextafter(BLOCKED, 0.0)  # all that is due at any time


class Ending:
    """Empties one lane; *give_up* is told each delivery, *ends* whether it is still to be emptied."""

    __slots__ = ("ends", "give_up", "index")

    def __init__(
        self, index: Index, *, give_up: typing.Callable[[Delivery], None], ends: typing.Callable[[], bool]
    ) -> None:
        self.index = index
        self.give_up = give_up
        self.ends = ends

    def step(self) -> None:
        """Give up what is at hand, and ask for more; the lane is woken when that is there."""
        for window in self.index.windows:
            while window.ready:
                self.give_up(window.take())
            if window.next_due < BLOCKED and not window.pulling:
                self.index.pull(window, DUE)
        if self._waiting() and self.index.searchable():
            self.index.oldest(self._looked)

    def _waiting(self) -> list[Window]:
        """The kinds of which all that is left waits for something else than its time."""
        return [window for window in self.index.windows if BLOCKED <= window.next_due < NEVER]

    def _looked(self, rows: list[Pulled]) -> None:
        if not self.ends():
            return
        for window in () if rows else self._waiting():
            window.next_due = NEVER
        for row in rows:
            self.give_up(self.index.claim(row))
