"""What all windows of one process hold together: a bound on memory, however many lanes have a backlog.

Each window is bounded by itself, and that is enough for a few lanes. Ten thousand targets that are down at once would
fill as many windows, and nobody would be served any better for it. So beyond a common bound a window keeps next to
nothing in memory: a few deliveries, so that no lane starves, and the rest waits in the index. Well before it is reached
the lanes that may not send give back what they have, so that those that may do not notice.
"""

import typing

DELIVERIES: typing.Final = 1 << 16  # about 1 KB each besides the body
BYTES: typing.Final = 128 << 20  # of bodies and kept answers; what several windows hold counts for each of them


class Stock:
    """Counts for one process. ``roomy``: the common bound is not reached."""

    __slots__ = ("bytes", "deliveries", "most", "most_bytes", "roomy")

    def __init__(self, most: int = DELIVERIES, most_bytes: int = BYTES) -> None:
        self.most = most
        self.most_bytes = most_bytes
        self.deliveries = 0
        self.bytes = 0
        self.roomy = True

    def __repr__(self) -> str:
        return f"<Stock {self.deliveries}/{self.most} deliveries, {self.bytes}/{self.most_bytes} bytes>"

    @property
    def crowded(self) -> bool:
        """Whether what stands still should go back into the index."""
        return 4 * self.deliveries > 3 * self.most or 4 * self.bytes > 3 * self.most_bytes

    def came(self, size: int) -> None:
        """A delivery of *size* bytes is in a window."""
        self.deliveries += 1
        self.bytes += size
        self.roomy = self.deliveries < self.most and self.bytes < self.most_bytes

    def went(self, size: int) -> None:
        """It is not any more."""
        self.deliveries -= 1
        self.bytes -= size
        self.roomy = self.deliveries < self.most and self.bytes < self.most_bytes
