"""Which values of Secrets count although their file does not hold them just now.

Pure. What a faulty file lacks is no evidence, nor what a file lacks while it still changes: it may be between two
writes. Such a value stays as it was read last. A file that is good takes away what it does not hold any more, and one
that is removed all that it held, when a second look, `census.CONFIRM` seconds later, finds the same.
"""

import typing

import msgspec

from fanout_crds.manifests import Manifests, Secrets
from fanout_crds.references import SecretKey
from fanout_dispatcher.plans.census import CONFIRM


class Value(msgspec.Struct, frozen=True):
    """What a key of a Secret has, and the file that it was read from."""

    file: str
    content: bytes

    def __repr__(self) -> str:
        return f"Value({self.file}, {len(self.content)} bytes)"  # never what it is


class Keeping:
    """Remembers each value as it was read last, and since when one is missing."""

    def __init__(self) -> None:
        self._values: dict[SecretKey, Value] = {}
        self._missing: dict[SecretKey, float] = {}

    def take(self, found: Manifests, changed: typing.AbstractSet[str], now: float) -> tuple[Secrets, float]:
        """Give the Secrets that count, and the seconds after which to look again; 0: no need to.

        *changed* are the files that are not as they were at the last look.
        """
        read = {
            SecretKey(*name, key): Value(found.secret_places[name][0], content)
            for name, data in found.secrets.items()
            for key, content in data.items()
            if content  # an empty one is none (references.value)
        }
        faulty = {fault.file for fault in found.faults}
        lacking = {key: one for key, one in self._values.items() if key not in read}
        since = {key: now if one.file in changed else self._missing.get(key, now) for key, one in lacking.items()}
        waits = {key: CONFIRM - (now - since[key]) for key, one in lacking.items() if one.file not in faulty}
        kept = {key: one for key, one in lacking.items() if waits.get(key, CONFIRM) > 0}
        self._values, self._missing = read | kept, {key: since[key] for key in kept}
        secrets = {name: dict(data) for name, data in found.secrets.items()}
        for key, one in kept.items():
            secrets.setdefault((key.namespace, key.name), {})[key.key] = one.content
        return secrets, min((waits[key] for key in kept if key in waits), default=0.0)

    def __repr__(self) -> str:
        return f"Keeping({len(self._values)} values, missing={sorted(map(str, self._missing))})"
