"""Opens the data port, drains it and closes it.

    ingress = await listen(engine, ("127.0.0.1", 8080), ids=ids, wall=wall)
    ...
    await ingress.drain(seconds)

A worker opens none: it is handed a socket that listens already, and serves on that.
"""

import asyncio
import socket
import typing

from fanout_dispatcher.ingress.accept import Acceptor, HandOn, nobody
from fanout_dispatcher.ingress.engine import Engine
from fanout_dispatcher.ingress.port import Port
from fanout_dispatcher.ingress.protocol import Connection
from fanout_dispatcher.ingress.settings import Settings
from fanout_dispatcher.values.address import Address
from fanout_dispatcher.values.desk import PortMeter

DEFAULTS: typing.Final = Settings()


class CannotListen(Exception):
    """The port could not be opened; the text is a sentence for whoever started us."""


class Ingress:
    """An open data port."""

    def __init__(self, server: asyncio.Server, port: Port) -> None:
        self.server = server
        self.port = port
        self.addresses = tuple(one.getsockname() for one in server.sockets)

    @property
    def meter(self) -> PortMeter:
        """What came in so far, and who is connected."""
        return self.port.meter

    async def part(self, seconds: float) -> None:
        """Serve on, with every answer the last of its connection, until nobody is connected or *seconds* are over."""
        await self.port.part(seconds)

    async def drain(self, seconds: float) -> int:
        """Take no new connection, answer what was asked, close; how many had to be cut off after *seconds*."""
        self.server.close()
        return await self.port.drain(seconds)

    def close(self) -> None:
        """Close at once: unanswered requests stay unanswered."""
        self.server.close()
        self.port.close()


async def listen(
    engine: Engine,
    at: tuple[str, int] | socket.socket,
    *,
    ids: typing.Callable[[], str],
    wall: typing.Callable[[], float],
    settings: Settings = DEFAULTS,
    hand_on: HandOn = nobody,
) -> Ingress:
    """Open the data port at a host and port, or on a socket that was handed down.

    *ids* names plain requests, *wall* gives the time for the Date header; *hand_on* gets what another worker has to
    take. Raises CannotListen.
    """
    loop = asyncio.get_running_loop()
    port = Port(loop, Acceptor(loop, engine, ids, hand_on), settings, wall)
    try:
        if isinstance(at, socket.socket):
            server = await loop.create_server(lambda: Connection(port), sock=at, backlog=settings.backlog)
        else:
            server = await loop.create_server(lambda: Connection(port), *at, backlog=settings.backlog)
    except OSError as wrong:
        port.close()
        if isinstance(at, socket.socket):
            raise
        raise CannotListen(Address(*at).unopened(wrong)) from wrong
    return Ingress(server, port)
