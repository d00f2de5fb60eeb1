"""A value of an expression as JSON, as CEL maps its types (cel-spec, "JSON Data Conversion").

A map of CEL has no order, and the runtime gives its keys in another one each time. They are written sorted: what is
sent again under the same key is the same, byte for byte.
"""

import base64
import datetime
import math
import typing

import msgspec

_encode: typing.Final = msgspec.json.Encoder(order="deterministic").encode


class NotJson(ValueError):
    """The value is none that JSON has; the text is a sentence."""


def written(value: object) -> bytes:
    """Write *value*. Raises NotJson."""
    return _encode(_plain(value))


def _plain(value: object) -> object:
    match value:
        case dict():
            return {_key(key): _plain(one) for key, one in value.items()}
        case list():
            return [_plain(one) for one in value]
        case float() if not math.isfinite(value):
            raise NotJson("it gives a number that JSON does not have (infinite, or none)")
        case bytes() | bytearray():
            return base64.b64encode(value).decode("ascii")
        case datetime.datetime():
            return value.astimezone(datetime.UTC).isoformat().replace("+00:00", "Z")
        case datetime.timedelta():
            return f"{value.total_seconds():.9f}".rstrip("0").rstrip(".") + "s"
        case None | bool() | int() | float() | str():
            return value
        case _:
            raise NotJson("it gives something that JSON does not have, such as a type")


def _key(key: object) -> str:
    match key:
        case bool():
            return "true" if key else "false"
        case str() | int():
            return str(key)
        case _:
            raise NotJson("a key of a map is neither a string nor a whole number nor a boolean")
