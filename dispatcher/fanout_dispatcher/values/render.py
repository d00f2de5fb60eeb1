"""Views as the JSON that people read: times as RFC 3339 in UTC, attempts by field name.

Everything that shows a view over HTTP (status URL, admin API, CLI) goes through here, so that a time looks the same
everywhere.
"""

import datetime
import typing

import msgspec

TIMES: typing.Final = frozenset({"accepted", "at", "due", "heldUntil"})
HISTORY: typing.Final = ("at", "outcome", "seconds")


def render(view: msgspec.Struct) -> bytes:
    """Encode *view* as JSON."""
    return msgspec.json.encode(plain(view))


def plain(view: msgspec.Struct) -> object:
    """Turn *view* into plain dicts and lists with every time written out."""
    return _legible(msgspec.to_builtins(view))


def _legible(value: object) -> object:
    match value:
        case dict():
            return {key: _field(key, one) for key, one in value.items()}
        case list() | tuple():
            return [_legible(one) for one in value]
        case _:
            return value


def _field(key: str, value: object) -> object:
    if key in TIMES and isinstance(value, int | float):
        return rfc3339(value)
    if key == "history" and isinstance(value, list | tuple):
        return [_legible(dict(zip(HISTORY, attempt, strict=True))) for attempt in value]
    return _legible(value)


def rfc3339(wall: float) -> str:
    """Write *wall* (seconds since the epoch) with milliseconds: ``2026-11-23T01:04:00.250Z``."""
    text = datetime.datetime.fromtimestamp(wall, datetime.UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
