"""What one dispatcher says of all its routes, by name, and no more than fits.

The names are another process's word: one that is broken, or not ours, could go on for ever. So a picture has a size,
counted in what it takes of our memory and not in lines, and what is beyond `LARGEST` is TooMuch. A dispatcher with
10,000 routes of 20 targets is below it.
"""

import typing
from collections.abc import Iterable, Iterator

from fanout_crds.report import RouteReport

LARGEST: typing.Final = 64 << 20  # bytes, about
ROUTE: typing.Final = 512  # bytes that a route takes beside the text of its line
TARGET: typing.Final = 128  # bytes that each of its targets takes


class TooMuch(Exception):
    """A dispatcher reports more than is kept; a sentence."""


class Picture:
    """The reports of one dispatcher."""

    def __init__(self) -> None:
        self._reports: dict[str, RouteReport] = {}
        self._sizes: dict[str, int] = {}
        self._size = 0

    def __repr__(self) -> str:
        return f"<Picture routes={len(self._reports)} bytes={self._size}>"

    def __iter__(self) -> Iterator[str]:
        return iter(self._reports)

    def get(self, route: str) -> RouteReport | None:
        """What is said of a route."""
        return self._reports.get(route)

    def put(self, report: RouteReport, length: int) -> None:
        """Take a line of so many bytes. Raises TooMuch, and is as before."""
        size = ROUTE + TARGET * len(report.targets) + length
        total = self._size - self._sizes.get(report.route, 0) + size
        if total > LARGEST:
            raise TooMuch(f"reports more than {LARGEST >> 20} MiB of routes, {len(self._reports)} so far")
        self._reports[report.route], self._sizes[report.route], self._size = report, size, total

    def drop(self, route: str) -> bool:
        """Forget a route; whether anything was said of it."""
        self._size -= self._sizes.pop(route, 0)
        return self._reports.pop(route, None) is not None

    def differing(self, other: "Picture") -> Iterable[str]:
        """The routes of which the two say different things."""
        return (route for route in {*self, *other} if self.get(route) != other.get(route))
