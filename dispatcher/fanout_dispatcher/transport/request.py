"""The request that a target is sent: its constant part is written once, the event's part for each attempt.

A Template holds one target's request line, Host, literal headers and credentials as one block of bytes. Rendering adds
the event's headers, the attempt's number, the Idempotency-Key and the body: one join, about a microsecond.

The Idempotency-Key is a digest of the target's name and the event's identity, so it is the same at each attempt, after
a restart and after a replay, and another one for each target. It is derived here, for every kind of request.
"""

import binascii
import hashlib
import re
import typing

from fanout_crds.headers import settable
from fanout_crds.plan import Target
from fanout_dispatcher.transport.headers import Blocks, Illegal, is_name, is_value
from fanout_dispatcher.transport.origin import Origin
from fanout_dispatcher.values.earlier import NOTHING_YET, Earlier
from fanout_dispatcher.values.event import Event

Request = tuple[bytes, bytes]  # what is sent first (head, and body when small), and the rest of the body

KEY_BYTES: typing.Final = 16
_JOINED: typing.Final = 16 * 1024  # up to here copying the body is cheaper than handing the kernel two pieces
_AGENT: typing.Final = b"user-agent: fanout\r\n"
_NOTHING: typing.Final = b""


class Digest(typing.Protocol):
    """A digest that can be continued: of a target's name, so that the name is hashed once and not for each event."""

    def copy(self) -> "Digest":
        """Begin another one where this one is."""

    def update(self, data: bytes, /) -> None:
        """Go on with *data*."""

    def digest(self) -> bytes:
        """What has been digested so far."""


class Template:
    """One target's request, compiled. Raises Illegal when the target's own headers cannot be sent."""

    __slots__ = ("_agent", "_blocks", "_exact", "_key", "_literal", "_prefixes", "_takes", "_top")

    def __init__(self, target: Target, origin: Origin, *, token: bytes | None, blocks: Blocks) -> None:
        own = literal(target)
        self._top = _top(origin, own, token)
        self._blocks = blocks
        self._literal = frozenset(name for name, _ in own)
        self._exact = frozenset(name.encode() for name in target.forward_headers if not name.endswith("*"))
        self._prefixes = tuple(name[:-1].encode() for name in target.forward_headers if name.endswith("*"))
        self._takes = bool(target.forward_headers)
        self._agent = _NOTHING if b"user-agent" in self._literal else _AGENT
        self._key = keyed_by(target.name)

    def render(self, event: Event, number: int, _: Earlier = NOTHING_YET) -> Request:
        """Write the request for attempt *number* of *event*. Raises Illegal when the event's headers cannot be sent.

        The event goes out as it came in, so what became of earlier targets is ignored here (see `mapping`).
        """
        head = event.head
        attributes = self._blocks.leaving(head)
        forwarded = self.forward(head.forwarded) if self._takes and head.forwarded else self._agent
        body = event.body
        tail = b"fanout-attempt: %d\r\nidempotency-key: %b\r\ncontent-length: %d\r\n\r\n" % (
            number,
            idempotency_key(self._key, head.identity),
            len(body),
        )
        if len(body) <= _JOINED:
            return b"".join((self._top, attributes, forwarded, tail, body)), _NOTHING
        return b"".join((self._top, attributes, forwarded, tail)), body

    def forward(self, headers: tuple[tuple[bytes, bytes], ...]) -> bytes:
        """Write those of the producer's headers that go along, and who we are."""
        lines = [self._agent]
        for given, value in headers:
            name = given.lower()
            if not (name in self._exact or name.startswith(self._prefixes)):
                continue
            if name in self._literal or not settable(name):
                continue
            if not (is_name(name) and is_value(value)):
                raise Illegal("a forwarded header is not one that may be sent")
            if name == b"user-agent":
                lines[0] = _NOTHING  # the producer's, in place of ours: there is one (RFC 9110 §10.1.5)
            lines.append(b"%b: %b\r\n" % (name, value))
        return b"".join(lines)


def keyed_by(target: str) -> Digest:
    """Begin the Idempotency-Keys of *target*, by its name."""
    return hashlib.blake2b(target.encode(), digest_size=KEY_BYTES)


def idempotency_key(target: Digest, identity: bytes) -> bytes:
    """Give the Idempotency-Key of the event with this *identity*, in hexadecimal.

    *target* is what `keyed_by` made. Identities all have one length, so no two pairs of name and identity read alike.
    """
    key = target.copy()
    key.update(identity)
    return binascii.hexlify(key.digest())


def literal(target: Target) -> list[tuple[bytes, bytes]]:
    """Take the headers written in the manifest, names in lower case."""
    found = []
    for shown, text in target.headers:
        name, value = shown.lower().encode(), text.encode()
        if not is_name(name):
            raise Illegal(f"{shown!r} is not a header name")
        if not settable(name):
            raise Illegal(f"the header {shown} is not one that a manifest may set")
        if not is_value(value):
            raise Illegal(f"the value of the header {shown} holds characters that a header cannot carry")
        found.append((name, value.strip()))
    return found


def _top(origin: Origin, own: list[tuple[bytes, bytes]], token: bytes | None) -> bytes:
    lines = [b"POST %b HTTP/1.1" % origin.path, b"host: %b" % origin.authority]
    lines += [b"%b: %b" % header for header in own]
    if token is not None:
        lines.append(b"authorization: Bearer %b" % bearer(token))
    return b"\r\n".join(lines) + b"\r\n"


def bearer(token: bytes) -> bytes:
    """Take a token as it can stand in a header. Raises Illegal."""
    stripped = token.strip()  # a Secret made by `echo` ends in a newline
    if not re.fullmatch(rb"[\x21-\x7e]+", stripped):
        raise Illegal("the bearer token is empty or holds characters that a header cannot carry")
    return stripped
