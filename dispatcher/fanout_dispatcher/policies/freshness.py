"""How long an answer may be used again, as far as its target has a say in it (RFC 9111).

The manifest names a time; what the target says counts where it is stricter. Ours is a shared cache: it keeps nothing
that is private, and since it never asks whether an answer still holds, nothing that would have to be asked about.
What cannot be read is taken for a no. That a request had credentials is no reason against: they are the route's own,
the same for everybody.
"""

import datetime
import email.utils
import re
import typing

from fanout_dispatcher.values.answer import Captured

Differs = typing.Callable[[str], bool]  # whether requests with one key may differ in a header of that name

_DIRECTIVE: typing.Final = re.compile(r'([^\s,;="]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?')
_NEVER: typing.Final = frozenset({"no-store", "no-cache", "private"})  # with field names, too: all of it is meant
_PART: typing.Final = 206  # Partial Content: not the whole that others ask for


def lifetime(answer: Captured, ttl: float, differs: Differs, wall: float) -> float:
    """Seconds, from when it was asked for on, in which *answer* may be used again: *ttl* or less, 0 for never."""
    said = dict(answer.headers)
    directives = _directives(said.get("cache-control", ""))
    if answer.truncated or answer.status == _PART or not _NEVER.isdisjoint(directives):
        return 0.0
    if any(name == "*" or differs(name) for name in _names(said.get("vary", ""))):
        return 0.0
    fresh = _fresh(directives, said, wall)
    return ttl if fresh is None else max(0.0, min(ttl, fresh - _seconds(said.get("age", "0"))))


def _directives(text: str) -> dict[str, str]:
    """Read Cache-Control. Of a directive that comes twice the smaller value counts (RFC 9111 §4.2.1)."""
    found: dict[str, str] = {}
    for name, value in _DIRECTIVE.findall(text):
        name, value = name.lower(), value.strip('"')
        found[name] = min(found.get(name, value), value, key=_seconds)
    return found


def _names(text: str) -> typing.Iterator[str]:
    return (name for one in text.split(",") if (name := one.strip().lower()))


def _fresh(directives: dict[str, str], said: dict[str, str], wall: float) -> float | None:
    """The lifetime that the target gave its answer; None where it said nothing of one (RFC 9111 §4.2.1)."""
    for name in ("s-maxage", "max-age"):
        if name in directives:
            return _seconds(directives[name])
    if "expires" not in said:
        return None
    expires = _date(said["expires"])
    dated = _date(said["date"]) if "date" in said else wall
    return 0.0 if expires is None or dated is None else expires - dated


def _seconds(text: str) -> float:
    """Read delta-seconds; what is none is a lifetime of nothing, and an age that nobody can vouch for is none."""
    return float(text[:10]) if text.isascii() and text.isdigit() else 0.0


def _date(text: str) -> float | None:
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return (date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)).timestamp()
