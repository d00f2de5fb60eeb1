"""What may stand in a request's head.

Headers were checked when they came in; here they are checked again before they leave, since what is sent is what
counts: no event, manifest or Secret can put a CR, LF or NUL on the wire, and so none can add a header or a request.
Grammar: RFC 9110 §5.1 (names), §5.5 (values).
"""

import re
import typing
from collections.abc import Callable

from fanout_crds.headers import CARRIED, encoded
from fanout_dispatcher.values.correlation import around_the_parent, request_id
from fanout_dispatcher.values.event import Head

_NAME = rb"[!#$%&'*+.^_`|~0-9A-Za-z-]++"
_CHARACTERS = rb"[\t\x20-\x7e\x80-\xff]*+"

# What an event's own block may say. A list of what it may not say would be longer, and six times as slow to look for.
_AN_EVENTS: typing.Final = sorted(map(re.escape, encoded(CARRIED)))

_name = re.compile(_NAME)
_value = re.compile(_CHARACTERS)
_block = re.compile(rb"(?:(?:ce-[a-z0-9]++|%b):%b\r\n)*+" % (b"|".join(_AN_EVENTS), _CHARACTERS))
_KNOWN_BLOCKS: typing.Final = 1024
_LONGEST_KNOWN: typing.Final = 1024
_REQUEST_ID: typing.Final = b"x-request-id:"
_NAMED: typing.Final = b"\r\n" + _REQUEST_ID


class Illegal(ValueError):
    """A header that must not leave; its text is a sentence without the header's value."""


def is_name(name: bytes) -> bool:
    """Say whether *name* is a header name."""
    return _name.fullmatch(name) is not None


def is_value(value: bytes) -> bool:
    """Say whether *value* holds only what a header's value may hold."""
    return _value.fullmatch(value) is not None


class Blocks:
    """Checks blocks of complete header lines, says how they leave, and remembers the last ones.

    An event's block goes to each of its targets, so remembering makes all this cost once per event and not per send
    (2.5 µs against 0.1, and 0.7 where there is a trace). One per dispatcher, bounded to about two megabytes.
    *span_ids* name attempts to a trace.
    """

    __slots__ = ("_known", "_span_ids")

    def __init__(self, span_ids: Callable[[], str]) -> None:
        self._known: dict[bytes, tuple[bytes, bytes]] = {}
        self._span_ids = span_ids

    def leaving(self, head: Head) -> bytes:
        """Give the event's own lines as one attempt sends them, with its parent-id where there is a trace.

        Raises Illegal unless they are header lines that an event may bring, as `cloudevents` writes them.
        """
        before, after = self._known.get(head.attributes) or self._look(head)
        return b"%b%b%b" % (before, self._span_ids().encode("ascii"), after) if after else before

    def _look(self, head: Head) -> tuple[bytes, bytes]:
        """Check the block, and give it up to its parent-id and from there on; without a trace all of it is before."""
        block = head.attributes
        if _block.fullmatch(block) is None:
            raise Illegal("the event's headers are not ones that may be sent")
        whole = block
        if head.id and _NAMED not in block and not block.startswith(_REQUEST_ID):
            whole += b"%b %b\r\n" % (_REQUEST_ID, request_id(head.id))
        parts = around_the_parent(whole) or (whole, b"")
        if len(block) <= _LONGEST_KNOWN:
            if len(self._known) >= _KNOWN_BLOCKS:
                self._known.clear()
            self._known[block] = parts
        return parts
