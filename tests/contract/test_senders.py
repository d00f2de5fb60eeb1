"""What every sender promises: ours, the scripted one of the simulations, and one made of aiohttp's client."""

import asyncio
import collections.abc
import contextlib

import pytest

from fanout_dispatcher.transport.memory import NEVER, ScriptedSender, always, status
from fanout_dispatcher.transport.protocol import Sender
from fanout_dispatcher.values.outcome import Delivered, Failed, Refused
from tests.support.aiohttp_sender import aiohttp_sender
from tests.unit.dispatcher.transport.support import Call, Pad, Script, event, meeting, peer, turns

SILENT = 0  # in place of a status: the target takes the request and never answers

World = collections.abc.Callable[[int], contextlib.AbstractAsyncContextManager[Sender]]


def saying(code: int) -> Script:
    """A target that answers with *code*."""

    async def script(call: Call) -> None:
        while True:
            await call.request()
            if code != SILENT:
                await call.answer(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nretry-after: 3\r\n\r\n" % code)

    return script


@contextlib.asynccontextmanager
async def sockets(code: int) -> collections.abc.AsyncIterator[Sender]:
    """Our sender, to a real server."""
    async with meeting(saying(code)) as (_, sender):
        yield sender


@contextlib.asynccontextmanager
async def client(code: int) -> collections.abc.AsyncIterator[Sender]:
    """The client of aiohttp, to the same server."""
    async with peer(saying(code)) as found, aiohttp_sender(found.url) as sender:
        yield sender


@contextlib.asynccontextmanager
async def memory(code: int) -> collections.abc.AsyncIterator[Sender]:
    """A sender whose target is a script."""
    reply = NEVER if code == SILENT else status(code, retry_after="3")
    yield ScriptedSender(asyncio.get_running_loop(), always(reply))


@pytest.fixture(params=[sockets, memory, client])
def world(request: pytest.FixtureRequest) -> World:
    made: World = request.param
    return made


@pytest.mark.parametrize("code", [200, 202, 204])
async def test_a_success_is_delivered(world: World, code: int) -> None:
    async with world(code) as sender:
        assert await Pad().send(sender) == Delivered(code)


@pytest.mark.parametrize("code", [302, 404, 410, 429, 503, 599])
async def test_any_other_status_is_a_failure_with_its_retry_after(world: World, code: int) -> None:
    async with world(code) as sender:
        assert await Pad().send(sender) == Failed(status=code, retry_after="3")


async def test_no_flight_lands_inside_start(world: World) -> None:
    async with world(200) as sender:
        pad = Pad()
        for _ in range(3):  # a fresh start, then ones with everything warm
            flight = pad.launch(sender)
            assert pad.outcomes[flight] == []
            await pad.outcome(flight)


async def test_every_flight_lands_exactly_once(world: World) -> None:
    async with world(200) as sender:
        pad = Pad()
        flights = [pad.launch(sender, event(b"x" * number)) for number in range(100)]
        for flight in flights:
            await pad.outcome(flight)
        await turns()

        assert [pad.outcomes[flight] for flight in flights] == [[Delivered(200)]] * 100


async def test_a_cancelled_flight_never_lands(world: World) -> None:
    async with world(200) as sender:
        pad = Pad()
        await pad.send(sender)
        flight = pad.launch(sender)
        sender.cancel(flight)
        await pad.send(sender)
        await turns()

        assert pad.outcomes[flight] == []


async def test_a_target_that_never_answers_holds_its_flight_until_it_is_cancelled(world: World) -> None:
    async with world(SILENT) as sender:
        pad = Pad()
        flight = pad.launch(sender)
        await turns()
        assert pad.outcomes[flight] == []
        sender.cancel(flight)
        await turns()

        assert pad.outcomes[flight] == []


async def test_cancelling_a_flight_that_has_landed_or_is_unknown_changes_nothing(world: World) -> None:
    async with world(200) as sender:
        pad = Pad()
        flight = pad.launch(sender)
        await pad.outcome(flight)
        sender.cancel(flight)
        sender.cancel(flight)

        assert await pad.send(sender) == Delivered(200)
        assert pad.outcomes[flight] == [Delivered(200)]


async def test_a_new_flight_may_start_from_within_a_landing(world: World) -> None:
    async with world(200) as sender:
        pad = _Chain(sender, 50)

        pad.launch(sender)

        await pad.over.wait()
        assert [len(landed) for landed in pad.outcomes.values()] == [1] * 50


class _Chain(Pad):
    """Starts the next flight while the last one lands, as an eager lane would."""

    def __init__(self, sender: Sender, length: int) -> None:
        super().__init__()
        self.sender = sender
        self.length = length
        self.over = asyncio.Event()

    def land(self, flight, outcome) -> None:  # type: ignore[no-untyped-def]
        super().land(flight, outcome)
        if len(self.outcomes) == self.length:
            self.over.set()
        else:
            self.launch(self.sender)


async def test_what_is_in_the_air_when_a_sender_closes_still_lands(world: World) -> None:
    async with world(200) as sender:
        pad = Pad()
        await pad.send(sender)
        flights = [pad.launch(sender) for _ in range(3)]
        sender.close()

        assert [await pad.outcome(flight) for flight in flights] == [Delivered(200)] * 3


async def test_a_closed_sender_asks_nobody(world: World) -> None:
    async with world(200) as sender:
        sender.close()
        sender.close()

        assert isinstance(await Pad().send(sender), Refused)
