"""A client that sends exactly the bytes it is given and takes answers apart."""

import asyncio
import json
import socket
import struct
import typing

import msgspec

from fanout_dispatcher.ingress.listener import Ingress
from tests.support.listening import shut

PATIENCE = 20.0  # seconds; only a broken server makes a test wait so long


async def until(condition: typing.Callable[[], object]) -> None:
    """Wait for something that only the server's insides can tell."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 - the product has no event for it, nor should it for tests alone
            await asyncio.sleep(0.002)


class Answer(msgspec.Struct, frozen=True):
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, typing.Any]:
        found = json.loads(self.body)
        assert isinstance(found, dict)
        return found


class Wire:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        """Raises ConnectionError when nobody reads any more."""
        if self.writer.transport.is_closing():
            raise ConnectionResetError("the other end has closed")  # uvloop would raise RuntimeError
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, bodiless: bool = False) -> Answer:
        """The next answer."""
        async with asyncio.timeout(PATIENCE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode("ascii")
            first, *lines = head.rstrip("\r\n").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            assert len(headers) == len(lines), "a header is repeated"
            status = int(first.removeprefix("HTTP/1.1 ")[:3])
            length = 0 if bodiless or status < 200 else int(headers["content-length"])
            return Answer(status, headers, await self.reader.readexactly(length))

    async def closed(self) -> bytes:
        """Wait until the server closes; what it said until then."""
        said = b""
        async with asyncio.timeout(PATIENCE):
            try:
                while chunk := await self.reader.read(65536):
                    said += chunk
            except ConnectionResetError:
                pass  # we were still sending when it closed
        return said

    def reset(self) -> None:
        """Be gone at once, without a goodbye."""
        raw = self.writer.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def leave(self) -> None:
        self.writer.close()
        try:
            await self.writer.wait_closed()
        except ConnectionError:
            pass  # the server was quicker


class Client:
    """Connects to one data port."""

    def __init__(self, ingress: Ingress) -> None:
        self.ingress = ingress
        self.wires: list[Wire] = []

    async def connect(self, come_from: str | None = None) -> Wire:
        """Connect, from another of this machine's own addresses where it is said."""
        host, port = self.ingress.addresses[0]
        address = None if come_from is None else (come_from, 0)
        wire = Wire(*await asyncio.open_connection(host, port, local_addr=address))
        self.wires.append(wire)
        return wire

    async def close(self) -> None:
        """Leave no socket behind, on either side."""
        for wire in self.wires:
            await wire.leave()
        await shut(self.ingress.server)
        self.ingress.close()
        await self.ingress.port.gone.wait()
        await self.ingress.server.wait_closed()

    async def ask(self, data: bytes, *, bodiless: bool = False, come_from: str | None = None) -> Answer:
        """Send *data* on a connection of its own and take the one answer."""
        wire = await self.connect(come_from)
        await wire.send(data)
        return await wire.answer(bodiless=bodiless)


def post(body: bytes = b"hi", *headers: str, path: str = "/shop/orders", version: str = "1.1") -> bytes:
    """A plain POST of *body*."""
    lines = [f"POST {path} HTTP/{version}", "Host: data.example", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def chunked(*chunks: bytes, headers: str = "", end: bytes = b"0\r\n\r\n") -> bytes:
    """A plain POST in chunks."""
    head = f"POST /shop/orders HTTP/1.1\r\nHost: data.example\r\nTransfer-Encoding: chunked\r\n{headers}\r\n".encode()
    return head + b"".join(b"%x\r\n%b\r\n" % (len(one), one) for one in chunks) + end
