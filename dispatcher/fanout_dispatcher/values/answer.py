"""What a target answered, as far as somebody is going to look at it: a waiting caller, an expression, the journal.

Nearly all answers are counted and dropped. One that is kept is bounded: a few headers by name, and the first bytes of
the body; what was cut off is said, never hidden.
"""

import typing

import msgspec

from fanout_crds import headers

CAPTURED: typing.Final = headers.encoded(headers.CAPTURED)
LISTS: typing.Final = frozenset({b"cache-control", b"vary", b"link", b"content-encoding", b"content-language"})
HEADER_BYTES: typing.Final = 1024  # of one value; a longer one is left out


class Captured(msgspec.Struct, frozen=True, gc=False):
    """One answer that was kept. Header names are in lower case, those of ``CAPTURED``, each once.

    ``truncated``: the body had more bytes than the flight asked to keep. ``cached``: it was given to another delivery.
    """

    status: int
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False
    cached: bool = False

    @property
    def size(self) -> int:
        """Bytes of its body and headers."""
        return len(self.body) + sum(len(name) + len(value) for name, value in self.headers)

    def cut(self, most: int) -> "Captured":
        """The same with *most* bytes of its body: somebody else may have asked for more of it."""
        if len(self.body) <= most:
            return self
        return msgspec.structs.replace(self, body=self.body[:most], truncated=True)

    def whole(self, most: int) -> "Captured":
        """The same, but without its body where *most* bytes are not all of it: nobody reads a part of one."""
        if not self.truncated and len(self.body) <= most:
            return self
        return msgspec.structs.replace(self, body=b"", truncated=True)
