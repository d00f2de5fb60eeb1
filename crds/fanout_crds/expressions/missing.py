"""Where a key is missing that an expression reads: the runtime names the key and not what should have had it."""

import re
import typing
from collections.abc import Iterator, Mapping

from fanout_crds.expressions.reading import PARTED, Parts, Reads

_WORD: typing.Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def owners(key: str, reads: Reads, variables: Mapping[str, object]) -> tuple[str, ...]:
    """Name all that *reads* looks into for *key*, and that lack it; none where that cannot be told."""
    found = [one for name in PARTED for one in _lacking(name, getattr(reads, name), variables.get(name), key)]
    if key in reads.headers and _lacks(variables.get("headers"), key):
        found.append("headers")
    if not found and reads.event is None and _lacks(variables.get("event"), key):  # read whole: so only then
        found.append("event")
    return tuple(found)


def _lacks(strings: object, key: str) -> bool:
    return isinstance(strings, dict) and key not in strings


def _lacking(path: str, parts: Parts, value: object, key: str) -> Iterator[str]:
    if parts is None or not isinstance(value, dict):
        return
    for name, inner in parts.items():
        if name in value:
            yield from _lacking(_joined(path, name), inner, value[name], key)
        elif name == key:
            yield path


def _joined(path: str, name: str) -> str:
    return f"{path}.{name}" if _WORD.fullmatch(name) else f'{path}["{name}"]'
