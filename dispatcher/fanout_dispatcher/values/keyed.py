"""By what a repetition of an event is known: digests, so that a key of any length costs the same and none can be read.

Keys are of their route: the same key on another route is another key. A route's *door* stands for it where its keys are
counted.
"""

import hashlib

import msgspec

from fanout_dispatcher.values.event import Head

SIZE = 16  # bytes of a digest


class Keyed(msgspec.Struct, frozen=True, gc=False):
    """An event under the idempotency key that it came with; the fingerprint is of what must come with that again."""

    door: int
    key: bytes
    fingerprint: bytes
    head: Head
    body: bytes


def door(route: str) -> int:
    """The number of a route's door, a signed integer of 64 bits."""
    return int.from_bytes(hashlib.blake2b(route.encode(), digest_size=8).digest(), "big", signed=True)


def digest(*parts: bytes) -> bytes:
    """Digest *parts*, each after its length, so that none poses as two."""
    made = hashlib.blake2b(digest_size=SIZE)
    for part in parts:
        made.update(b"%d:" % len(part))
        made.update(part)
    return made.digest()
