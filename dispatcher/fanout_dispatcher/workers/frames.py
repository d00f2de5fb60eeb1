"""Frames: messages on a stream of bytes, each behind its length in four bytes."""

import collections.abc
import struct
import typing

LENGTH: typing.Final = struct.Struct(">I")


def frame(text: bytes) -> bytes:
    """Write one message as it goes over the stream."""
    return LENGTH.pack(len(text)) + text


class Frames:
    """What has arrived of a stream and is not complete yet."""

    def __init__(self) -> None:
        self._buffer = bytearray()

    def feed(self, data: bytes) -> collections.abc.Iterator[bytes]:
        """Every message that is complete with *data*; to be read to the end."""
        self._buffer += data
        start = 0
        while len(self._buffer) - start >= LENGTH.size:
            (size,) = LENGTH.unpack_from(self._buffer, start)
            end = start + LENGTH.size + size
            if len(self._buffer) < end:
                break
            text = bytes(memoryview(self._buffer)[start + LENGTH.size : end])
            start = end
            yield text
        del self._buffer[:start]
