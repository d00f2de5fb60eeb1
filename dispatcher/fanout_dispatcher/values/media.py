"""Media types, as far as anybody here has to know them."""

import re
import typing

_JSON: typing.Final = re.compile(rb"[^;]*[/+]json[ \t]*(?:;.*)?", re.IGNORECASE | re.DOTALL)


def is_json(content_type: bytes) -> bool:
    """Tell whether a media type is JSON: ``application/json``, ``text/json``, anything ``+json``."""
    return content_type == b"application/json" or _JSON.fullmatch(content_type) is not None
