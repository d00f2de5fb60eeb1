"""Splitting what another process sends into lines, within bounds.

Both planes follow streams of JSON lines: the watches of the API server, and the report. aiohttp's own readline gives up
at 128 KiB, and an object may have megabytes. Pure: the caller reads the pieces. Never holds more than one line of the
length that was asked for, and one piece.
"""

from collections.abc import Iterator


class LineTooLong(ValueError):
    """A line that is longer than it may be; a sentence."""


class Splitter:
    """Takes pieces of a stream and gives its lines."""

    def __init__(self, longest: int) -> None:
        """`longest`: bytes of a line, without its newline."""
        self._longest = longest
        self._rest = bytearray()

    def __repr__(self) -> str:
        return f"<Splitter rest={len(self._rest)} longest={self._longest}>"

    @property
    def between(self) -> bool:
        """Whether nothing of a line is left: a stream that ends elsewhere was cut off."""
        return not self._rest

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Give the lines that *piece* completes, without their newlines. Raises LineTooLong, complete or not."""
        start = 0
        while (end := piece.find(b"\n", start)) >= 0:
            self._add(piece[start:end])
            line = bytes(self._rest)
            self._rest.clear()
            yield line
            start = end + 1
        self._add(piece[start:])

    def _add(self, part: bytes) -> None:
        if len(self._rest) + len(part) > self._longest:
            raise LineTooLong(f"a line of more than {self._longest} bytes")
        self._rest += part
