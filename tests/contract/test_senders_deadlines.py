"""Ours and aiohttp's client, before targets that take their time: each flight ends by its deadline, with all it held.

A lane gives ours the deadline of an attempt (dial.py does as a lane does); the connect deadline is the sender's own.
"""

import asyncio

import pytest
import trustme

from fanout_dispatcher.transport.protocol import Sender
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome
from tests.contract.dial import Dial, Meet, Terms
from tests.support.black_hole import black_hole
from tests.unit.dispatcher.transport.support import OK, Call, Pad, Script, event, happened

SOON = 0.2  # s; a whole request has to fit in now and then, also on a busy machine
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def fault(outcome: Outcome) -> Fault | None:
    return outcome.fault if isinstance(outcome, Failed) else None


def stalling(begun: bytes = b"", dripped: bytes = b"") -> Script:
    """Answer the first connection that much, then a drop at a time; answer every other as it should be."""

    async def script(call: Call) -> None:
        await call.request()
        if call.number > 1:
            await call.answer(OK)
            return
        await call.answer(begun)
        while dripped:
            await call.answer(dripped)
            await asyncio.sleep(0.01)
        await call.hung_up()

    return script


@pytest.mark.parametrize(
    ("begun", "dripped"),
    [
        (b"", b""),
        (b"HTTP/1.1 200 OK\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", b""),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99999\r\n\r\n", b"x"),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x"),
        (CHUNKED, b"1\r\nx\r\n"),
        (CHUNKED + b"0\r\n", b""),
    ],
    ids=[
        "silence",
        "half a head",
        "a header that drips",
        "headers that drip",
        "an interim answer alone",
        "half a body",
        "a body that drips",
        "a body without an end",
        "chunks without an end",
        "no end of the trailer",
    ],
)
async def test_an_answer_that_is_not_whole_by_the_deadline_is_a_timeout_and_is_hung_up_on(
    meet: Meet, begun: bytes, dripped: bytes
) -> None:
    async with meet(stalling(begun, dripped), Terms(attempt=SOON, connections=1)) as (found, sender):
        pad = Pad()

        assert fault(await pad.send(sender)) is Fault.TIMEOUT
        await happened(found.left)
        assert await pad.send(sender) == Delivered(200)


async def test_a_target_that_does_not_read_is_a_timeout(meet: Meet) -> None:
    async def script(call: Call) -> None:
        call.writer.transport.pause_reading()  # type: ignore[attr-defined]  # it reads as well as it writes
        await call.peer.asked.wait()

    async with meet(script, Terms(attempt=SOON)) as (found, sender):
        assert fault(await Pad().send(sender, event(b"x" * 20_000_000))) is Fault.TIMEOUT
        found.asked.set()


async def test_waiting_for_a_connection_counts(meet: Meet) -> None:
    """Else each of a hundred would have its deadline only after the one before."""

    async def script(call: Call) -> None:
        await call.request()
        await call.hung_up()

    async with meet(script, Terms(attempt=SOON, connections=1)) as (_, sender):
        pad = Pad()
        async with asyncio.timeout(50 * SOON):
            flights = [pad.launch(sender) for _ in range(100)]
            outcomes = [await pad.outcome(flight) for flight in flights]

        assert [fault(outcome) for outcome in outcomes] == [Fault.TIMEOUT] * 100


async def ends_in_time(sender: Sender) -> None:
    """More flights than connections: each is a timeout, so each gave its place back."""
    pad = Pad()
    flights = [pad.launch(sender) for _ in range(3)]

    assert [fault(await pad.outcome(flight)) for flight in flights] == [Fault.TIMEOUT] * 3


async def test_a_port_that_does_not_answer_costs_the_connect_deadline(dial: Dial) -> None:
    with black_hole() as port:
        async with dial(f"http://127.0.0.1:{port}/", Terms(connect=SOON, connections=2)) as sender:
            await ends_in_time(sender)


@pytest.mark.parametrize("dripped", [b"", b"\0"], ids=["silence", "drops"])
async def test_a_handshake_that_never_ends_costs_the_connect_deadline(
    meet: Meet, authority: trustme.CA, dripped: bytes
) -> None:
    async def script(call: Call) -> None:
        await call.reader.read(1)
        await call.answer(b"\x16\x03\x03\x40\x00")  # a handshake record of 16 KiB, a byte at a time
        while dripped:
            await call.answer(dripped)
            await asyncio.sleep(0.01)
        await call.hung_up()

    terms = Terms(connect=SOON, connections=2, trusted=authority)
    async with meet(script, terms, host="payment.example") as (found, sender):
        await ends_in_time(sender)
        await happened(found.left)


async def test_the_connect_deadline_is_over_when_there_is_a_connection(meet: Meet) -> None:
    async def script(call: Call) -> None:
        while True:
            await call.request()
            await asyncio.sleep(2 * SOON)
            await call.answer(OK)

    async with meet(script, Terms(connect=SOON)) as (_, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2
