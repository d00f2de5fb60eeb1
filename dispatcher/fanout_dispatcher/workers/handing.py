"""Hands a request on to the worker that owns its route, and its answer back to the client.

A connection to an owner is made when it is first needed, and again after it has ended. What cannot be handed on is
refused at once, and nothing of it was accepted. Of what was under way when the owner ended nobody knows, and its client
is told so: whoever sends it again under its key learns what became of it. A client that goes is gone for the owner too.
"""

import asyncio
import pathlib
import typing

from fanout_dispatcher.engine.acceptance import count
from fanout_dispatcher.ingress import problems
from fanout_dispatcher.ingress.answer import Answer
from fanout_dispatcher.ingress.exchange import Exchange
from fanout_dispatcher.values.answers import Turned
from fanout_dispatcher.workers.frames import Frames, frame
from fanout_dispatcher.workers.handed import Handed, Left, Over, Sockets, encode, read_said

MOST: typing.Final = 64 << 20  # bytes that an owner has not read yet: beyond them it gets nothing more for now
SOON: typing.Final = 1  # second: an owner is away for about as long
ENDED: typing.Final = (
    "the worker that takes these events ended before it answered, and is being started again: whether the event was"
    " accepted is not known. Send it again, under the same key if it has one"
)


def _not_accepted(reason: str, why: str) -> Turned:
    return Turned(status=503, reason=reason, detail=f"{why}: nothing was accepted, send it again", retry_after=SOON)


AWAY: typing.Final = _not_accepted("OwnerAway", "the worker that takes these events is being started again")
BEHIND: typing.Final = _not_accepted("OwnerAway", "the worker that takes these events does not keep up")
ENDING: typing.Final = _not_accepted("ShuttingDown", "this dispatcher is shutting down")


class Handing:
    """All owners that this worker knows; called with a request that one of them has to take."""

    def __init__(self, sockets: Sockets) -> None:
        self._sockets = sockets
        self._owners: dict[int, Owner] = {}
        self._ending = False

    def __call__(self, owner: int, exchange: Exchange) -> None:
        """Hand the request of *exchange* on."""
        if self._ending:
            return refuse(exchange, ENDING)
        if owner not in self._owners:
            self._owners[owner] = Owner(self._sockets.of(owner))
        return self._owners[owner].take(exchange)

    def end(self) -> None:
        """Hand on nothing more; what is under way is still answered."""
        self._ending = True
        for owner in self._owners.values():
            owner.end()

    def close(self) -> None:
        """Wait for nothing."""
        self._ending = True
        for owner in self._owners.values():
            owner.close()


class Owner(asyncio.Protocol):
    """The way to one owner: at most one connection at a time."""

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._frames = Frames()
        self._asked: dict[int, Exchange] = {}
        self._last = 0
        self._ending = False

    def __repr__(self) -> str:
        return f"<Owner at {self._path}, {len(self._asked)} asked, connected={self._transport is not None}>"

    def take(self, exchange: Exchange) -> None:
        """Hand on a request, now or once there is a connection."""
        number = self._last = self._last + 1
        if self._transport is not None and self._transport.get_write_buffer_size() > MOST:
            return refuse(exchange, BEHIND)
        exchange.caller = Client(self, number)
        self._asked[number] = exchange
        if self._transport is not None:
            self._send(number, exchange)
        elif self._connecting is None:
            self._connecting = self._loop.create_task(self._connect())
        return None

    def left(self, number: int) -> None:
        """The client of a request is gone."""
        if self._asked.pop(number, None) is not None and self._transport is not None:
            self._transport.write(frame(encode(Left(number))))

    def end(self) -> None:
        """Say that nothing more comes."""
        self._ending = True
        if self._transport is not None:
            self._transport.write(frame(encode(Over())))

    def close(self) -> None:
        """End the connection."""
        if self._connecting is not None:
            self._connecting.cancel()
        if self._transport is not None:
            self._transport.abort()

    async def _connect(self) -> None:
        try:
            await self._loop.create_unix_connection(lambda: self, str(self._path))
        except OSError:
            pass  # there is no transport then
        finally:
            self._connecting = None
        if self._transport is None:  # or it has been lost again, and what came since is still here
            asked, self._asked = self._asked, {}
            for exchange in asked.values():
                refuse(exchange, AWAY)

    def _send(self, number: int, exchange: Exchange) -> None:
        assert self._transport is not None
        request = exchange.request
        handed = Handed(
            number=number,
            method=request.method,
            path=request.path,
            query=request.query,
            lines=request.lines,
            old=request.old,
            echo=request.echo,
            peer=request.peer,
            body=request.body,
        )
        self._transport.write(frame(encode(handed)))

    # --- asyncio.Protocol -------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Send what has waited for this."""
        self._transport = typing.cast(asyncio.Transport, transport)
        self._frames = Frames()
        for number, exchange in self._asked.items():
            self._send(number, exchange)
        if self._ending:
            self.end()

    def data_received(self, data: bytes) -> None:
        """Pass answers on."""
        for text in self._frames.feed(data):
            said = read_said(text)
            exchange = self._asked.pop(said.number, None)
            if exchange is not None:  # else its client is gone
                exchange.caller = None
                exchange.respond(Answer(said.head, said.body))

    def connection_lost(self, exc: Exception | None) -> None:
        """The owner is gone: of what it was handed nobody knows."""
        self._transport = None
        asked, self._asked = self._asked, {}
        for exchange in asked.values():
            exchange.caller = None
            exchange.refuse(problems.OWNER_AWAY(ENDED, headers=problems.retry_after(SOON)))


class Client:
    """A client whose request was handed on (`ingress.engine.Caller`)."""

    __slots__ = ("_number", "_owner")

    def __init__(self, owner: Owner, number: int) -> None:
        self._owner = owner
        self._number = number

    def leave(self) -> None:
        """It has hung up."""
        self._owner.left(self._number)


def refuse(exchange: Exchange, turned: Turned) -> None:
    """Turn a request away, and count it where its route's others are."""
    exchange.caller = None
    route = exchange.request.route
    assert route is not None, "only what has a route is handed on"
    exchange.refuse(problems.turned(count(route.meter, turned)))
