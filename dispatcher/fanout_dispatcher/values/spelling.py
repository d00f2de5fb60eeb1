"""How the value of a ``ce-`` header spells a CloudEvents attribute: HTTP binding 1.0.2 §3.1.3.2.

One reader for the door and for expressions: an event must not have one id as its identity and another in its filters.
"""

import re
import typing
import urllib.parse

_ESCAPED: typing.Final = re.compile(r"\\(.)", re.DOTALL)


def unspelt(value: str, errors: str = "replace") -> str:
    """Undo first a quoted string, then percent-encoding; *errors* is what becomes of bytes that are no UTF-8.

    In a quoted string, which older producers sent, a backslash makes any character stand for itself (RFC 9110 §5.6.4).
    """
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    return urllib.parse.unquote(value, errors=errors) if "%" in value else value
