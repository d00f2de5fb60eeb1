"""What is kept of the URL that an event was sent to: segments of its path, and parameters of its query.

Only what an expression of the route reads is kept with the event, as with headers (decision 0004): a query may hold
secrets. Percent-encoding is decoded once and must give UTF-8 text: a path that does not matches no route, and a query
that does not is Unreadable. Of a parameter that comes twice the first counts.
"""

import re
import typing
import urllib.parse

import msgspec

Texts = tuple[tuple[str, str], ...]  # names with their values
LONGEST: typing.Final = 8192  # characters of a path that is looked at by its segments
MOST: typing.Final = 256  # parameters of a query, wanted or not
_CONTROL: typing.Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_NONE: typing.Final = frozenset({"", ".", ".."})


class Unreadable(ValueError):
    """The query cannot be read; the text is a sentence for whoever sent it."""


class Parameters(msgspec.Struct, frozen=True, kw_only=True):
    """What one route keeps: its path's names with the numbers of their segments, and names of query parameters."""

    segments: tuple[tuple[str, int], ...]
    query: frozenset[str] | None  # None: all of them

    def read(self, path: str, query: bytes) -> tuple[Texts, Texts]:
        """Give what is kept of *path*, which matches the route's, and of *query*. Raises Unreadable."""
        found = segments(path) or () if self.segments else ()
        return tuple((name, found[place]) for name, place in self.segments), self._of(query)

    def _of(self, query: bytes) -> Texts:
        if not query or self.query == frozenset():
            return ()
        first: dict[str, str] = {}
        for name, value in _pairs(query):
            if self.query is None or name in self.query:
                first.setdefault(name, value)
        return tuple(first.items())


def segments(path: str) -> tuple[str, ...] | None:
    """Split *path*, percent-encoded as it came, and decode each segment by itself, so that none hides a slash.

    None where a segment is empty, ``.`` or ``..``, holds a control character or is no UTF-8: it matches no template.
    """
    if len(path) > LONGEST or not path.isascii():
        return None
    try:
        found = tuple(urllib.parse.unquote(one, errors="strict") for one in path[1:].split("/"))
    except UnicodeDecodeError:
        return None
    if any(one in _NONE or _CONTROL.search(one) for one in found):
        return None
    return found


def _pairs(query: bytes) -> list[tuple[str, str]]:
    """Read ``application/x-www-form-urlencoded``, as a form or ``URLSearchParams`` writes it."""
    if query.count(b"&") >= MOST:
        raise Unreadable(f"the query has more than {MOST} parameters")
    try:
        pairs = urllib.parse.parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
    except UnicodeDecodeError:
        raise Unreadable("the query is not percent-encoded UTF-8") from None
    if any("\0" in text for pair in pairs for text in pair):
        raise Unreadable("the query holds a NUL character, which expressions cannot take")
    return pairs
