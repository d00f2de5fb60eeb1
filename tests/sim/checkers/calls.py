"""The calls that a circuit looks back on: whether the failed or the slow among them are too many.

A Count window holds the last so many calls. A Time window of ten buckets forgets up to a tenth of its time early, so it
may begin in several places, and each of these judges for itself.
"""

import typing

from fanout_crds.plan import CircuitBreaker

GRAIN = 1e-6


class Call(typing.NamedTuple):
    """One call that was evidence."""

    at: float
    failed: bool
    slow: bool


class Calls:
    """What was counted since the circuit last changed, by one rule."""

    def __init__(self) -> None:
        self.made: list[Call] = []
        self.in_a_row = 0  # failures

    def clear(self) -> None:
        """Begin anew."""
        self.made.clear()
        self.in_a_row = 0

    def add(self, call: Call, rule: CircuitBreaker) -> tuple[bool, bool]:
        """Count one more; whether the circuit *must* open with it, and whether it *may*.

        Only a call that raises a rate can bring it to its threshold.
        """
        self.made.append(call)
        self.in_a_row = self.in_a_row + 1 if call.failed else 0
        if not call.failed and not call.slow:
            return False, False
        judged = [self._too_many(cut, rule) for cut in self._cuts(call.at, rule)]
        return 0 < rule.consecutive_failures <= self.in_a_row or all(judged), any(judged)

    def _cuts(self, now: float, rule: CircuitBreaker) -> list[int]:
        """Where the window may begin: exactly, or up to a bucket later."""
        size = rule.window.size
        if rule.window.type == "Count":
            return [max(0, len(self.made) - int(size))]
        first = _first(self.made, now - size - GRAIN)
        del self.made[:first]
        last = _first(self.made, now - 0.9 * size + GRAIN)
        return list(range(last + 1))

    def _too_many(self, cut: int, rule: CircuitBreaker) -> bool:
        seen = self.made[cut:]
        if len(seen) < rule.minimum_calls:
            return False
        failures, slow = sum(one.failed for one in seen), sum(one.slow for one in seen)
        return (self.made[-1].failed and failures * 100 >= rule.failure_rate_threshold * len(seen)) or (
            self.made[-1].slow and slow * 100 >= rule.slow_call_rate_threshold * len(seen)
        )


def _first(calls: list[Call], at: float) -> int:
    return next((place for place, one in enumerate(calls) if one.at > at), len(calls))
