"""What goes between the worker that read a request and the one that owns its route, and where that is: a Unix socket.

A request goes whole: head as it was read, body, whom it came from. The answer comes back as bytes up to what only the
client's connection knows. Many are on their way at once, each under a number, and an answer overtakes those that take
longer. The socket lies in the data folder and is its owner's alone: whoever may write there is one of us.
"""

import os
import pathlib
import typing

import msgspec

from fanout_dispatcher.ingress.request import Lines


class Handed(msgspec.Struct, frozen=True, kw_only=True, tag=True, array_like=True, gc=False):
    """A request, down to where its events are taken; the fields are those of `ingress.request.Request`."""

    number: int
    method: bytes
    path: str
    query: bytes
    lines: Lines
    old: bool
    echo: bytes
    peer: str
    body: bytes


class Left(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """The client of request *number* is gone."""

    number: int


class Over(msgspec.Struct, frozen=True, tag=True, array_like=True, gc=False):
    """Nothing more is handed on; what was is still answered. An end of the stream could not be told from a death."""


class Said(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The answer to request *number*: see `ingress.answer.Answer`."""

    number: int
    head: bytes
    body: bytes


Down = Handed | Left | Over

encode: typing.Final = msgspec.msgpack.Encoder().encode
read_down: typing.Final[typing.Callable[[bytes], Down]] = msgspec.msgpack.Decoder(Down).decode
read_said: typing.Final = msgspec.msgpack.Decoder(Said).decode


class Sockets:
    """The sockets of the workers that share the folder *data*.

    A socket's path has at most 107 bytes, and that of the folder may have more: so it is named by a descriptor.
    """

    def __init__(self, data: pathlib.Path) -> None:
        self._folder = os.open(data, os.O_RDONLY | os.O_DIRECTORY)

    def of(self, worker: int) -> pathlib.Path:
        """The path of a worker's socket, for this process."""
        return pathlib.Path(f"/proc/self/fd/{self._folder}/worker-{worker}.sock")

    def close(self) -> None:
        """Name nothing any more."""
        os.close(self._folder)
