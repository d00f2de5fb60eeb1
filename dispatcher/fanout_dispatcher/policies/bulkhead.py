"""Bulkhead: at most so many attempts at one target in flight at once.

A slow target then occupies its own slots and no more: the rest of the process does not notice. The slots outlive a
change of plan, so that the flights of the old plan and those of the new one together stay under the limit.
"""

from fanout_dispatcher.policies.gate import NEVER, Crossing
from fanout_dispatcher.values.outcome import Outcome


class Bulkhead:
    """Counts flights; full means: ask again after a landing."""

    def __init__(self, max_concurrent: int) -> None:
        self.limit = max_concurrent
        self.in_flight = 0

    def __repr__(self) -> str:
        return f"<Bulkhead {self.in_flight}/{self.limit}>"

    def opens_at(self, now: float) -> float:
        """Open while a slot is free."""
        return now if self.in_flight < self.limit else NEVER

    def enter(self, flight: Crossing, now: float) -> None:
        """Take a slot."""
        self.in_flight += 1

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """Give it back, whatever the outcome."""
        self.in_flight -= 1
