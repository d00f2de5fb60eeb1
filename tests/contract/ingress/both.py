"""Two data ports on loopback: ours, before an engine that does as it is told, and one made of aiohttp's server.

What they answer is read by h11, so that neither side's own reading is the measure.
"""

import asyncio
import collections.abc
import contextlib
import typing

import h11
import msgspec

from fanout_dispatcher.ingress.listener import listen
from fanout_dispatcher.ingress.settings import Settings
from tests.contract.ingress.client import PATIENCE, post
from tests.support.aiohttp_ingress import aiohttp_ingress
from tests.support.listening import shut
from tests.unit.dispatcher.ingress.stub import WALL, StubEngine

PATH: typing.Final = "/shop/orders"
IDLE: typing.Final = 75.0  # s; no test that does not say otherwise waits for it
MOST: typing.Final = 1024  # bytes of a body


class Port(msgspec.Struct, frozen=True):
    """What a test needs of either."""

    address: tuple[str, int]
    taken: collections.abc.Callable[[], list[bytes]]  # the bodies of what was accepted, in order
    hold: collections.abc.Callable[[], None]  # answer nothing that is accepted until released
    release: collections.abc.Callable[[], None]


class World(typing.Protocol):
    """Opens a data port."""

    def __call__(self, *, idle: float = IDLE) -> contextlib.AbstractAsyncContextManager[Port]:
        """*idle*: seconds to keep a connection that asks nothing."""


@contextlib.asynccontextmanager
async def ours(*, idle: float = IDLE) -> collections.abc.AsyncIterator[Port]:
    """The one that is promised to clients."""
    engine = StubEngine()
    settings = Settings(idle_seconds=idle)
    ingress = await listen(engine, ("127.0.0.1", 0), ids=lambda: "made-1", wall=lambda: WALL, settings=settings)

    def hold() -> None:
        engine.holding = True

    def release() -> None:
        engine.holding = False
        while engine.replies:
            engine.release()

    try:
        yield Port(ingress.addresses[0], lambda: [body for _, body in engine.taken], hold, release)
    finally:
        await shut(ingress.server)
        ingress.close()
        await ingress.port.gone.wait()


@contextlib.asynccontextmanager
async def twin(*, idle: float = IDLE) -> collections.abc.AsyncIterator[Port]:
    """The server of aiohttp."""
    async with aiohttp_ingress(PATH, most=MOST, idle=idle) as port:
        yield Port(port.address, lambda: port.bodies, port.open.clear, port.open.set)


class Client:
    """One connection, whose answers h11 takes apart."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.parser = h11.Connection(h11.CLIENT)
        self.rest = b""

    async def answer(self, method: str = "POST") -> h11.Response:
        """The next final answer, its body read."""
        self.parser = h11.Connection(h11.CLIENT)
        self.parser.send(h11.Request(method=method, target="/", headers=[("Host", "x")]))
        self.parser.send(h11.EndOfMessage())
        if self.rest:
            self.parser.receive_data(self.rest)
        final: h11.Response | None = None
        async with asyncio.timeout(PATIENCE):
            while True:
                event = self.parser.next_event()
                if event is h11.NEED_DATA:
                    self.parser.receive_data(await self.reader.read(65536))
                elif isinstance(event, h11.Response):
                    final = event
                elif isinstance(event, h11.EndOfMessage | h11.ConnectionClosed):
                    assert final is not None, "the connection ended without an answer"
                    self.rest = self.parser.trailing_data[0]
                    return final

    async def closed(self) -> bytes:
        """Wait until the server has closed; what it said until then."""
        said = self.rest
        async with asyncio.timeout(PATIENCE):
            with contextlib.suppress(ConnectionError):
                while piece := await self.reader.read(65536):
                    said += piece
        return said

    async def lives(self) -> bool:
        """Whether one more request is answered."""
        try:
            self.writer.write(post(b"last"))
            return (await self.answer()).status_code == 202
        except (AssertionError, ConnectionError, h11.RemoteProtocolError):
            return False


@contextlib.asynccontextmanager
async def client(port: Port) -> collections.abc.AsyncIterator[Client]:
    """Connect, and leave when the block ends."""
    reader, writer = await asyncio.open_connection(*port.address)
    try:
        yield Client(reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()
