"""A value of an expression as text: in a header, or in a parameter of a query."""

import re
import typing

_VISIBLE: typing.Final = re.compile(r"[\t\x20-\x7e]*")


class NotAHeader(ValueError):
    """The value is none that a header can carry; the text is a sentence."""


def text(value: object) -> str | None:
    """Write a string, a number or a boolean; None, of null: it is left out."""
    match value:
        case bool():
            return "true" if value else "false"
        case None:
            return None
        case float() if value.is_integer() and abs(value) < 1e15:
            return f"{value:.0f}"
        case _:
            return str(value)


def header(value: object) -> bytes | None:
    """Write a header's value (RFC 9110 §5.5, visible ASCII); None: it is left out. Raises NotAHeader."""
    written = text(value)
    if written is None:
        return None
    if not _VISIBLE.fullmatch(written):
        raise NotAHeader("its value holds characters that a header cannot carry: visible ASCII only")
    return written.strip(" \t").encode("ascii")
