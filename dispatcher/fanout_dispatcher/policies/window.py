"""Sliding windows of calls, and of the failed and the slow among them: by time or by count (as in resilience4j)."""

import collections
import typing

from fanout_crds import plan

BUCKETS: typing.Final = 10


class TimeWindow:
    """The calls of the last *size* seconds, in ten buckets: a bucket that has grown old leaves as a whole."""

    def __init__(self, size: float) -> None:
        self.span = size / BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.buckets: collections.deque[list[int]] = collections.deque()  # [number, calls, failures, slow]
        self.calls = 0
        self.failures = 0
        self.slow = 0

    def record(self, failed: bool, slow: bool, now: float) -> None:
        """Count one call."""
        number = int(now / self.span)
        buckets = self.buckets
        if not buckets or buckets[-1][0] != number:
            while buckets and buckets[0][0] <= number - BUCKETS:
                _, calls, failures, slowly = buckets.popleft()
                self.calls -= calls
                self.failures -= failures
                self.slow -= slowly
            buckets.append([number, 0, 0, 0])
        newest = buckets[-1]
        newest[1] += 1
        newest[2] += failed
        newest[3] += slow
        self.calls += 1
        self.failures += failed
        self.slow += slow


class CountWindow:
    """The last *size* calls."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.ring: collections.deque[tuple[bool, bool]] = collections.deque()  # failed, slow
        self.calls = 0
        self.failures = 0
        self.slow = 0

    def record(self, failed: bool, slow: bool, now: float) -> None:
        """Count one call."""
        if self.calls == self.size:
            failure, slowly = self.ring.popleft()
            self.failures -= failure
            self.slow -= slowly
            self.calls -= 1
        self.ring.append((failed, slow))
        self.calls += 1
        self.failures += failed
        self.slow += slow


Window = TimeWindow | CountWindow


def window(rule: plan.Window) -> Window:
    """The window that *rule* asks for."""
    return TimeWindow(rule.size) if rule.type == "Time" else CountWindow(int(rule.size))
