"""Real HTTP targets inside the test's own loop, which remember what reached them.

A *frozen* target accepts connections and reads nothing, and ``cut`` drops every connection unread: so a request that a
killed dispatcher left in a socket buffer is never mistaken for a delivery.
"""

import asyncio
import typing

import httptools
import msgspec


class Got(msgspec.Struct):
    """One request: which event, in which life of the dispatcher, and whether its answer was written."""

    event: str
    life: int
    attempt: int
    key: str
    body: bytes
    headers: dict[str, str]
    answered: bool = False


class Target:
    """A target at ``url``; ``status`` is what it answers."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.life = 0
        self.status = 204
        self.delay = 0.0  # seconds that an answer takes
        self.frozen = False
        self.got: list[Got] = []
        self.connections: set[_Connection] = set()
        self.server: asyncio.Server
        self.url = ""

    async def open(self) -> "Target":
        """Listen on a free loopback port."""
        loop = asyncio.get_running_loop()
        self.server = await loop.create_server(lambda: _Connection(self), "127.0.0.1", 0)
        port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/{self.name}"
        return self

    def freeze(self) -> None:
        """Read nothing from now on."""
        self.frozen = True
        for one in self.connections:
            one.transport.pause_reading()

    def cut(self) -> None:
        """Drop every connection with whatever is unread in it, and thaw."""
        for one in list(self.connections):
            one.transport.abort()
        self.frozen = False

    async def close(self) -> None:
        """Stop listening and drop every connection."""
        self.server.close()
        await asyncio.sleep(0.02)  # a connection that was being accepted becomes one of ours …
        self.cut()
        await asyncio.sleep(0.02)  # … and is gone with the others before the loop is


class _Connection(asyncio.Protocol):
    def __init__(self, target: Target) -> None:
        self.target = target
        self.parser = httptools.HttpRequestParser(self)
        self.headers: dict[bytes, bytes] = {}
        self.body = b""
        self.transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = typing.cast(asyncio.Transport, transport)
        self.target.connections.add(self)
        if self.target.frozen:
            self.transport.pause_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        self.target.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        if not self.target.frozen:  # what was read before the freeze took hold is as unread as the rest
            self.parser.feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.lower()] = value

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        head = {name.decode(): value.decode() for name, value in self.headers.items()}
        got = Got(
            head["ce-id"], self.target.life, int(head["fanout-attempt"]), head["idempotency-key"], self.body, head
        )
        self.headers, self.body = {}, b""
        self.target.got.append(got)
        asyncio.get_running_loop().call_later(self.target.delay, self.answer, got)

    def answer(self, got: Got) -> None:
        self.transport.write(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\n\r\n" % self.target.status)
        got.answered = True
