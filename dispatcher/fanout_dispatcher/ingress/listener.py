"""Opens the data port, drains it and closes it.

ingress = await listen(engine, "127.0.0.1", 8080, ids=ids, wall=wall)
...
await ingress.drain(seconds)
"""

import asyncio
import errno
import socket
import typing

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.engine import Engine
from fanout_dispatcher.ingress.port import Counts, Port
from fanout_dispatcher.ingress.protocol import Connection
from fanout_dispatcher.ingress.settings import Settings

DEFAULTS: typing.Final = Settings()

_SENTENCES: typing.Final = {
    errno.EADDRINUSE: "address already in use: stop the other process or choose another port",
    errno.EADDRNOTAVAIL: "this machine has no such address",
    errno.EACCES: "permission denied: choose a port above 1023",
}


class CannotListen(Exception):
    """The port could not be opened; the text is a sentence for whoever started us."""


class Ingress:
    """An open data port."""

    def __init__(self, server: asyncio.Server, port: Port) -> None:
        self.server = server
        self.port = port
        self.addresses = tuple(one.getsockname() for one in server.sockets)

    @property
    def counts(self) -> Counts:
        """What came in so far."""
        return self.port.counts

    @property
    def connected(self) -> int:
        """How many connections are open."""
        return len(self.port.guests)

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
) -> Ingress:
    """Open the data port at a host and port, or on a socket that was handed down.

    *ids* names plain requests, *wall* gives the time for the Date header. Raises CannotListen.
    """
    loop = asyncio.get_running_loop()
    port = Port(loop, Acceptor(loop, engine, ids), settings, wall)
    try:
        if isinstance(at, socket.socket):
            server = await loop.create_server(lambda: Connection(port), sock=at, backlog=settings.backlog)
        else:
            server = await loop.create_server(lambda: Connection(port), *at, backlog=settings.backlog)
    except OSError as wrong:
        port.close()
        if isinstance(at, socket.socket):
            raise
        raise CannotListen(unopened("--listen", *at, wrong)) from wrong
    return Ingress(server, port)


def unopened(flag: str, host: str, port: int, wrong: OSError) -> str:
    """Say why *flag* could not be followed and what to do."""
    shown = f"[{host}]" if ":" in host else host
    sentence = _SENTENCES.get(wrong.errno or 0) or wrong.strerror or str(wrong)
    return f"{flag} {shown}:{port}: {sentence}"
