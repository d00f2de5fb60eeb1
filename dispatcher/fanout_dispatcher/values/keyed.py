"""What identifies a repetition of an event: digests of 16 bytes, so that long keys cost no more, and none can be read.

A key belongs to its route: the same key on another route is another one. Where keys are counted and deleted, a route is
known by its *door*, a number.
"""

import hashlib

import msgspec

from fanout_dispatcher.values.event import Head

SIZE = 16  # bytes of a digest


class Keyed(msgspec.Struct, frozen=True, gc=False):
    """An event with the digest of its idempotency key, and the fingerprint of the request that it came with."""

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
