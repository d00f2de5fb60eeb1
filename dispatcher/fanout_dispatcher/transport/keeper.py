"""Keeps a part of an answer while it is read: for flights that ask for it, and for no other.

It stands between the parser and the reader (answer.py), which goes on deciding what the answer means. The parser makes
an object of each piece of a body only for whoever wants it; so a reader without a keeper pays nothing for this.
"""

import typing

from fanout_dispatcher.values.answer import CAPTURED, HEADER_BYTES, LISTS, Captured

_AT_WORST: typing.Final = {b"cache-control": b"no-store", b"vary": b"*"}  # what one that is too long to be kept may say


class Reader(typing.Protocol):
    """The parser's callbacks of a reader."""

    def on_message_begin(self) -> None:
        """An answer begins, perhaps one that nobody asked for."""

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""

    def on_headers_complete(self) -> None:
        """A head is complete: an interim one, or the final one."""

    def on_message_complete(self) -> None:
        """The last byte is here."""


class Keeper:
    """Takes the parser's callbacks for *reader* and keeps up to *limit* bytes of each body."""

    __slots__ = (
        "_body",
        "_final",
        "_headers",
        "_left",
        "_limit",
        "_truncated",
        "on_message_complete",
        "reader",
    )

    def __init__(self, reader: Reader, limit: int) -> None:
        self.reader = reader
        self._limit = limit
        self.on_message_complete = reader.on_message_complete
        self.reset()

    def reset(self) -> None:
        """Get ready for the next answer."""
        self._body: list[bytes] = []
        self._headers: dict[bytes, bytes] = {}
        self._left = self._limit
        self._truncated = False
        self._final = False

    def captured(self, status: int) -> Captured:
        """What was kept of the answer that has ended."""
        headers = tuple((name.decode("ascii"), value.decode("latin-1")) for name, value in self._headers.items())
        return Captured(status, headers, b"".join(self._body), self._truncated)

    # What httptools calls.

    def on_message_begin(self) -> None:
        """Forget an interim answer's headers: they are not the final one's."""
        self.reader.on_message_begin()
        self._headers.clear()
        self._final = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Keep it if its name is one of those; of several a list, or the first (RFC 9110 §5.3), and no trailer."""
        self.reader.on_header(name, value)
        lower = name.lower()
        if lower not in CAPTURED or self._final:
            return
        value, before = value.strip(), self._headers.get(lower)
        if before is not None:
            value = b", ".join((before, value)) if lower in LISTS else before
        if len(value) <= HEADER_BYTES:
            self._headers[lower] = value
        elif lower in _AT_WORST:
            self._headers[lower] = _AT_WORST[lower]

    def on_headers_complete(self) -> None:
        """Take no more of them: what comes after the body is a trailer."""
        self.reader.on_headers_complete()
        self._final = True

    def on_body(self, piece: bytes) -> None:
        """Keep what fits."""
        if len(piece) > self._left:
            self._truncated = True
            piece = piece[: self._left]
        self._left -= len(piece)
        if piece:
            self._body.append(piece)
