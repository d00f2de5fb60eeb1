"""How long an answer may be reused: the manifest's ttl, or less where the target says so (RFC 9111).

Ours is a shared cache (RFC 9111 §1.1), so it keeps nothing that is ``private``; it never revalidates, so it keeps
nothing that is ``no-cache``. A lifetime or date that cannot be parsed means: do not reuse. Unlike §3.5 it keeps
answers to requests with Authorization: the credentials are the route's own, the same for every event.
"""

import datetime
import email.utils
import re
import typing

from fanout_dispatcher.values.answer import Captured

Differs = typing.Callable[[str], bool]  # whether two requests with one cache key may differ in a header of that name

_DIRECTIVE: typing.Final = re.compile(r'([^\s,;="]+)(?:\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*))?')
_NEVER: typing.Final = frozenset({"no-store", "no-cache", "private"})  # also where they name only some fields
_PART: typing.Final = 206  # Partial Content: others ask for the whole


def lifetime(answer: Captured, ttl: float, differs: Differs, wall: float) -> float:
    """Give the seconds, from when the target was asked, in which *answer* may be reused: at most *ttl*, 0 for never.

    *wall* is now in seconds since the epoch, for an Expires without a Date.
    """
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
    """Read delta-seconds (RFC 9111 §1.2.2); 0 where they cannot be parsed."""
    return float(text[:10]) if text.isascii() and text.isdigit() else 0.0


def _date(text: str) -> float | None:
    """Read an HTTP date as seconds since the epoch; None where it is none."""
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    return (date if date.tzinfo is not None else date.replace(tzinfo=datetime.UTC)).timestamp()
