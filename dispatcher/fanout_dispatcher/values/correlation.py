"""By what a request is found again in everybody's logs and traces: X-Request-Id, and W3C Trace Context.

Both come in and go on to every target. A trace is continued (Trace Context §3.2, §4.3): its id, flags and state stay,
and each attempt has a parent-id of its own, so that what a target records of a retry is told from what it recorded
before. No trace is begun here, neither where none came nor in place of one that cannot be read: its sampled flag would
decide for every target whether it records, and that is for whoever records to decide. The attributes of an event that
have these names are its own (CloudEvents' Distributed Tracing extension: where it started), and nobody touches them.
"""

import hashlib
import re
import typing

PARENT_BYTES: typing.Final = 8
OURS: typing.Final = 32  # digits of the id of an event that came without one (`ids`)
_KNOWN_FLAGS: typing.Final = 0b11  # sampled, and (Level 2) that the trace-id is random; the others have to be 0
_USUAL: typing.Final = re.compile(rb"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-0[0-3]")
_TRACEPARENT: typing.Final = re.compile(
    rb"(?!ff)([0-9a-f]{2})-((?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_LINE: typing.Final = b"\r\ntraceparent: 00-"
_IDS: typing.Final = re.compile(rb"[0-9a-f]{32}-([0-9a-f]{16})-")
_REQUEST_ID: typing.Final = re.compile(rb"[A-Za-z0-9._:/+=@~-]{1,128}")


def traceparent(said: bytes) -> bytes | None:
    """Read a traceparent; gives it as version 00 has it, and None for what is none (Trace Context §3.2.2, §3.2.4)."""
    if _USUAL.fullmatch(said):
        return said
    found = _TRACEPARENT.fullmatch(said)
    if found is None:
        return None
    version, ids, flags, more = found.groups()
    if version == b"00" and more is not None:
        return None
    return b"00-%b-%02x" % (ids, int(flags, 16) & _KNOWN_FLAGS)


def around_the_parent(block: bytes) -> tuple[bytes, bytes] | None:
    """Give what of an event's *block* of header lines stands before and after its parent-id; None without a trace.

    A block begins with the event's attributes, so that the line is never its first.
    """
    at = block.find(_LINE)
    found = None if at < 0 else _IDS.match(block, at + len(_LINE))
    return None if found is None else (block[: found.start(1)], block[found.end(1) :])


def repeatable(said: bytes) -> bool:
    """Say whether the X-Request-Id that somebody sent may stand in an answer, or in an attribute."""
    return _REQUEST_ID.fullmatch(said) is not None


def request_id(event_id: str) -> bytes:
    """Give an event that came without an X-Request-Id one: its own id, or a digest where that cannot stand there."""
    said = event_id.encode()
    if len(said) == OURS and said.isalnum():  # without looking closer, since nearly all are ours: 0.1 µs, not 0.6
        return said
    return said if repeatable(said) else hashlib.blake2b(said, digest_size=16).hexdigest().encode()
