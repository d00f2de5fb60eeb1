"""Takes the requests that other workers hand on, as if each had come in at a port of this one.

They are judged and begun by an acceptor, like all others; only reading them, and what concerns their clients'
connections, is with the worker that they came to.
"""

import asyncio
import contextlib
import pathlib
import socket
import stat
import typing

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.exchange import Exchange
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.values.desk import PortMeter
from fanout_dispatcher.workers.frames import Frames, frame
from fanout_dispatcher.workers.handed import Handed, Left, Over, Said, encode, read_down


class Hearing:
    """An open socket for other workers."""

    def __init__(self, acceptor: Acceptor, meter: PortMeter, path: pathlib.Path) -> None:
        self.acceptor = acceptor
        self.meter = meter
        self._path = path
        self._server: asyncio.Server
        self._guests: set[Guest] = set()  # those that may hand on more
        self._all: set[Guest] = set()
        self._ended = asyncio.Event()
        self._ended.set()

    @classmethod
    async def at(cls, path: pathlib.Path, acceptor: Acceptor, meter: PortMeter) -> typing.Self:
        """Listen at *path*, in the place of a process that has ended; what is refused is counted by *meter*."""
        made = cls(acceptor, meter, path)
        loop = asyncio.get_running_loop()
        made._server = await loop.create_unix_server(lambda: Guest(made), sock=_bound(path))
        return made

    async def part(self, seconds: float) -> None:
        """Serve on until no other worker will hand on anything more; at most so many *seconds*."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._ended.wait(), seconds)

    def close(self) -> None:
        """End; whoever is not answered yet is told that by the connection's end."""
        self._server.close()
        self._path.unlink(missing_ok=True)
        for guest in list(self._all):
            guest.close()

    def enter(self, guest: "Guest") -> None:
        """Another worker begins to hand on."""
        self._all.add(guest)
        self._guests.add(guest)
        self._ended.clear()

    def end(self, guest: "Guest") -> None:
        """It hands on nothing more."""
        self._guests.discard(guest)
        if not self._guests:
            self._ended.set()

    def leave(self, guest: "Guest") -> None:
        """It is gone."""
        self._all.discard(guest)
        self.end(guest)


class Guest(asyncio.Protocol):
    """Another worker."""

    def __init__(self, hearing: Hearing) -> None:
        self._hearing = hearing
        self._frames = Frames()
        self._open: dict[int, Exchange] = {}
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Come in."""
        self._transport = typing.cast(asyncio.Transport, transport)
        self._hearing.enter(self)

    def data_received(self, data: bytes) -> None:
        """Begin what was handed on."""
        for text in self._frames.feed(data):
            match read_down(text):
                case Handed() as handed:
                    self._begin(handed)
                case Left(number):
                    exchange = self._open.pop(number, None)
                    if exchange is not None:
                        exchange.leave()
                case Over():
                    self._hearing.end(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """It is gone, and all its clients with it; their events are kept."""
        for exchange in self._open.values():
            exchange.leave()
        self._open.clear()
        self._hearing.leave(self)

    def said(self, number: int, exchange: Exchange) -> None:
        """Send an answer back."""
        assert exchange.answer is not None, "told when there is one"
        if self._open.pop(number, None) is not None:
            self._transport.write(frame(encode(Said(number, exchange.answer.head, exchange.answer.body))))

    def refused(self, refusal: Refusal) -> None:
        """Count a no by its kind, where the port's are."""
        refused, kind = self._hearing.meter.refused, (refusal.problem.slug, refusal.problem.status)
        refused[kind] = refused.get(kind, 0) + 1

    def close(self) -> None:
        """End the connection, once all that was said is sent."""
        self._transport.close()

    def _begin(self, handed: Handed) -> None:
        request = Request(
            method=handed.method,
            path=handed.path,
            lines=handed.lines,
            fields=dict(handed.lines),
            keep_alive=True,  # whether it is, the other worker knows
            old=handed.old,
            body=handed.body,
            echo=handed.echo,
            query=handed.query,
            peer=handed.peer,
        )
        exchange = self._open[handed.number] = Exchange(Client(self, handed.number), request)
        acceptor = self._hearing.acceptor
        request.refusal = acceptor.open(request)
        acceptor.begin(exchange)


class Client:
    """A client at another worker (`ingress.exchange.Line`)."""

    __slots__ = ("_guest", "_number")

    def __init__(self, guest: Guest, number: int) -> None:
        self._guest = guest
        self._number = number

    def refused(self, refusal: Refusal) -> None:
        """Its request is turned away, which is counted."""
        self._guest.refused(refusal)

    def answered(self, exchange: Exchange) -> None:
        """Its answer is there; in whose turn it is written, the other worker knows."""
        self._guest.said(self._number, exchange)


def _bound(path: pathlib.Path) -> socket.socket:
    """Make a socket in the place of an old one; before it listens nobody gets in."""
    path.unlink(missing_ok=True)
    made = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    made.bind(str(path))
    path.chmod(stat.S_IRUSR | stat.S_IWUSR)
    return made
