"""Sliding windows of success and failure, by time or by count (resilience4j's two kinds)."""

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
        self.buckets: collections.deque[list[int]] = collections.deque()  # [number, calls, failures]
        self.calls = 0
        self.failures = 0

    def record(self, failed: bool, now: float) -> None:
        """Count one call."""
        number = int(now / self.span)
        buckets = self.buckets
        if not buckets or buckets[-1][0] != number:
            while buckets and buckets[0][0] <= number - BUCKETS:
                _, calls, failures = buckets.popleft()
                self.calls -= calls
                self.failures -= failures
            buckets.append([number, 0, 0])
        newest = buckets[-1]
        newest[1] += 1
        newest[2] += failed
        self.calls += 1
        self.failures += failed


class CountWindow:
    """The last *size* calls."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.ring: collections.deque[bool] = collections.deque()
        self.calls = 0
        self.failures = 0

    def record(self, failed: bool, now: float) -> None:
        """Count one call."""
        if self.calls == self.size:
            self.failures -= self.ring.popleft()
            self.calls -= 1
        self.ring.append(failed)
        self.calls += 1
        self.failures += failed


Window = TimeWindow | CountWindow


def window(rule: plan.Window) -> Window:
    """The window that *rule* asks for."""
    return TimeWindow(rule.size) if rule.type == "Time" else CountWindow(int(rule.size))
