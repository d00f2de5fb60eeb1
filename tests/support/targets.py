"""Real HTTP targets inside the test's own loop, which remember what reached them.

A *frozen* target accepts connections and reads nothing, and ``cut`` drops every connection unread: so a request that a
killed dispatcher left in a socket buffer is never mistaken for a delivery.
"""

import asyncio
import typing

import httptools
import msgspec

from tests.support.listening import shut


class Got(msgspec.Struct):
    """One request: which event, if it is binary, when (loop time), in which life of the dispatcher, and its status."""

    event: str
    life: int
    attempt: int
    key: str
    body: bytes
    headers: dict[str, str]
    at: float
    status: int = 0  # 0: no answer was written

    @property
    def answered(self) -> bool:
        """An answer was written, whether it arrived or not."""
        return self.status > 0


RESET: typing.Final = 0  # in the place of a status: the connection is reset, unanswered
SILENT: typing.Final = -1  # nothing is ever said


class Target:
    """A target at ``url``; ``status`` is what it answers, or what ``choose`` says to each request."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.life = 0
        self.status = 204
        self.says = b""  # JSON: the body of a success, answered 200 then
        self.tells: dict[str, str] = {}  # headers of a success
        self.choose: typing.Callable[[Got], int] = lambda _: self.status
        self.delay = 0.0  # seconds that an answer takes
        self.closes = False  # the connection, after every answer, and says so
        self.frozen = False
        self.busy = 0  # requests that are not answered yet
        self.most = 0  # … at any moment
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
        await shut(self.server)
        self.cut()
        await asyncio.sleep(0)  # they are gone before the loop is


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
        loop, target = asyncio.get_running_loop(), self.target
        number, key = int(head["fanout-attempt"]), head["idempotency-key"]
        got = Got(head.get("ce-id", ""), target.life, number, key, self.body, head, at=loop.time())
        self.headers, self.body = {}, b""
        target.got.append(got)
        target.busy += 1
        target.most = max(target.most, target.busy)
        loop.call_later(target.delay, self.answer, got)

    def answer(self, got: Got) -> None:
        self.target.busy -= 1
        status = self.target.choose(got)
        if status == RESET:
            self.transport.abort()
        elif status != SILENT and not self.transport.is_closing():
            goodbye = b"connection: close\r\n" if self.target.closes else b""
            says = self.target.says if status < 300 else b""
            if says:
                status, goodbye = 200, goodbye + b"content-type: application/json\r\n"
            for name, value in self.target.tells.items() if status < 300 else ():
                goodbye += f"{name}: {value}\r\n".encode()
            head = b"HTTP/1.1 %d X\r\n%bcontent-length: %d\r\n\r\n" % (status, goodbye, len(says))
            self.transport.write(head + says)
            got.status = status
            if self.target.closes:
                self.transport.close()
