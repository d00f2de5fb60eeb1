"""Targets that break HTTP or break off: each takes connections on a port of its own and does one thing wrong, for ever.

An *ailment* is a coroutine that gets a connection whose request head has been read, and may do with it what it likes;
when it returns, the connection is dropped.
"""

import asyncio
import collections.abc
import email.utils
import functools
import socket
import struct
import typing

from tests.support.listening import shut

CHUNKED: typing.Final = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
BLOCK: typing.Final = b"4000\r\n" + b"z" * 0x4000 + b"\r\n"
RST: typing.Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing resets
TEN_GIB: typing.Final = b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n"

Ailment = collections.abc.Callable[[asyncio.StreamReader, asyncio.StreamWriter], collections.abc.Awaitable[None]]


class SickTarget:
    """A target at ``url`` with one ailment; ``asked`` counts the requests that reached it."""

    def __init__(self, name: str, ailment: Ailment) -> None:
        self.name = name
        self.ailment = ailment
        self.asked = 0
        self.url = ""
        self.server: asyncio.Server
        self.tasks: set[asyncio.Task[None]] = set()

    async def open(self) -> "SickTarget":
        """Listen on a free loopback port."""
        self.server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/{self.name}"
        return self

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        await shut(self.server)
        await asyncio.sleep(0)  # the task of a connection that has just been made is one of ours
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = typing.cast("asyncio.Task[None]", asyncio.current_task())
        self.tasks.add(task)
        try:
            while not writer.is_closing():
                await reader.readuntil(b"\r\n")
                self.asked += 1
                await self.ailment(reader, writer)
        except (OSError, EOFError, asyncio.LimitOverrunError, asyncio.CancelledError):
            return
        finally:
            self.tasks.discard(task)
            writer.transport.abort()


async def _whole(reader: asyncio.StreamReader) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).lower()
    length = next((int(line[15:]) for line in head.split(b"\r\n") if line.startswith(b"content-length:")), 0)
    await reader.readexactly(length)


async def hang(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Take everything and say nothing."""
    while await reader.read(1 << 16):
        pass
    raise EOFError


async def reset_request(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset in the middle of the request."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RST)
    raise EOFError


async def reset_answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Reset in the middle of the answer."""
    await _whole(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf")
    await asyncio.sleep(0.01)
    await reset_request(reader, writer)


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer a byte a second."""
    await _whole(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
    while not writer.is_closing():
        writer.write(b"x")
        await asyncio.sleep(1.0)


async def endless(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, head: bytes, more: bytes) -> None:
    """Answer without end."""
    await _whole(reader)
    writer.write(head)
    while not writer.is_closing():
        writer.write(more)
        await writer.drain()
        await asyncio.sleep(0)


async def busy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, retry_after: str) -> None:
    """Answer 429 and say when to come again."""
    await _whole(reader)
    writer.write(f"HTTP/1.1 429 X\r\nretry-after: {retry_after}\r\ncontent-length: 0\r\n\r\n".encode())


async def leave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer well, and close without a word of warning."""
    await _whole(reader)
    writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    raise EOFError


async def half_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close our half, and go on reading as if somebody had been answered."""
    await _whole(reader)
    writer.write_eof()
    await hang(reader, writer)


AILMENTS: typing.Final[dict[str, Ailment]] = {
    "hung": hang,
    "reset-request": reset_request,
    "reset-answer": reset_answer,
    "drip": drip,
    "ten-gib": functools.partial(endless, head=TEN_GIB, more=b"z" * 0x4000),
    "endless-chunks": functools.partial(endless, head=CHUNKED, more=BLOCK),
    "endless-interim": functools.partial(endless, head=b"", more=b"HTTP/1.1 102 Processing\r\n\r\n"),
    "endless-head": functools.partial(endless, head=b"HTTP/1.1 200 OK\r\n", more=b"x-more: and more\r\n"),
    "429-0": functools.partial(busy, retry_after="0"),
    "429-1e9": functools.partial(busy, retry_after="1000000000"),
    "429-date": functools.partial(busy, retry_after=email.utils.formatdate(2e9, usegmt=True)),
    "429-garbage": functools.partial(busy, retry_after="soon, perhaps \xe4"),
    "leaves": leave,
    "half-closed": half_close,
}  # fmt: skip
