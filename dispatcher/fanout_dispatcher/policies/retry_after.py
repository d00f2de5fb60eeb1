"""Retry-After: when the target itself says when to come back (RFC 9110 §10.2.3: seconds, or an HTTP-date)."""

import datetime
import email.utils
import math
import typing

LONGEST: typing.Final = 10  # digits; more are not even converted: a megabyte of them is an attack


def retry_after(value: str | None, wall: float) -> float | None:
    """Seconds from now that *value* asks for, never negative; None when it is absent or makes no sense.

    *wall* is the wall-clock time in seconds since the epoch: a date can be read against nothing else. A number too
    large to mean anything still means "not soon" (as RFC 9111 §1.2.2 has it for ages), so it is infinite, not absent.
    """
    if value is None:
        return None
    text = value.strip()
    if text.isascii() and text.isdigit():
        digits = text.lstrip("0") or "0"
        return float(digits) if len(digits) <= LONGEST else math.inf
    try:
        date = email.utils.parsedate_to_datetime(text)
    except (ValueError, IndexError, TypeError, OverflowError):
        return None
    if date.tzinfo is None:
        date = date.replace(tzinfo=datetime.UTC)
    return max(0.0, date.timestamp() - wall)
