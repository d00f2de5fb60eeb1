"""Ids for events that come without one, 128 random bits each as 32 hexadecimal digits; and shorter ones, of attempts.

They are cut from a pool, because asking the kernel for 16 bytes costs as much as for 4096 and is paid once per event.
They are names and no secrets: what authorises anything is the receipt's MAC. A pool must not be shared by a fork.
"""

import collections.abc
import typing

BYTES: typing.Final = 16
POOL: typing.Final = 256  # ids drawn at a time


class Ids:
    """Hands out ids of so many bytes; *random_bytes* is where chance comes from."""

    __slots__ = ("_bytes", "_left", "_random_bytes")

    def __init__(self, random_bytes: collections.abc.Callable[[int], bytes], *, size: int = BYTES) -> None:
        self._random_bytes = random_bytes
        self._bytes = size
        self._left: list[str] = []

    def __call__(self) -> str:
        """Give the next id."""
        if not self._left:
            size = self._bytes
            drawn = self._random_bytes(size * POOL)
            self._left = [drawn[at : at + size].hex() for at in range(0, len(drawn), size)]
        return self._left.pop()
