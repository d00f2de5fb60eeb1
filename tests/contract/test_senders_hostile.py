"""Ours and aiohttp's client, before answers that are too large, too early, too much, or end in an odd way."""

import asyncio
import socket
import struct

import pytest

from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.contract.dial import Meet, Terms
from tests.unit.dispatcher.transport.support import OK, PATIENCE, Call, Pad, answering, event, turns

RESET = Failed(fault=Fault.RESET, detail="connection reset")
TOO_LARGE = Failed(fault=Fault.ANSWER_TOO_LARGE, detail="answer too large")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-long: ", b"y" * 1024),
        (b"HTTP/1.1 200 ", b"O" * 1024),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"body" * 1024),
        (CHUNKED, b"1000\r\n" + b"z" * 0x1000 + b"\r\n"),
    ],
    ids=["headers", "one header", "reason", "a body without a length", "chunks"],
)
async def test_an_endless_answer_is_too_large_and_is_hung_up_on(meet: Meet, head: bytes, more: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(head)
        while True:
            await call.answer(more * 20)
            await asyncio.sleep(0)  # a socket takes megabytes before it has anybody wait

    async with meet(script) as (found, sender):
        assert await Pad().send(sender) == TOO_LARGE
        async with asyncio.timeout(PATIENCE):
            await found.left.wait()  # its writes fail


@pytest.mark.parametrize(
    ("headers", "outcome"),
    [
        (b"x-a: 1\r\n" * 99, Delivered(200)),
        (b"x-a: 1\r\n" * 100, TOO_LARGE),
        (b"x-a: " + b"1" * 32_000 + b"\r\n", Delivered(200)),
        (b"x-a: " + b"1" * 33_000 + b"\r\n", TOO_LARGE),
    ],
    ids=["100 headers", "101 headers", "32 kB", "33 kB"],
)
async def test_a_head_has_bounds_even_when_it_comes_in_one_piece(
    meet: Meet, headers: bytes, outcome: Delivered | Failed
) -> None:
    async with meet(answering(HEAD + headers + b"\r\n")) as (_, sender):
        assert await Pad().send(sender) == outcome


async def test_a_body_of_a_megabyte_is_read_and_its_connection_used_again(meet: Meet) -> None:
    body = b"x" * 1048576
    async with meet(answering(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))) as (
        found,
        sender,
    ):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2
        assert found.connections == 1


async def test_an_answer_in_drops_is_the_same_answer(meet: Meet) -> None:
    async def script(call: Call) -> None:
        while True:
            await call.request()
            for at in range(len(OK)):
                await call.answer(OK[at : at + 1])
                await asyncio.sleep(0)

    async with meet(script) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(3)] == [Delivered(200)] * 3
        assert found.connections == 1


async def test_an_answer_before_all_was_sent_lands_and_ends_the_connection(meet: Meet) -> None:
    async def script(call: Call) -> None:
        await call.reader.readuntil(b"\r\n\r\n")
        if call.number > 1:
            await call.answer(OK)
            await call.hung_up()
        await call.answer(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await call.peer.asked.wait()

    async with meet(script, Terms(connections=1)) as (found, sender):
        pad = Pad()

        assert await pad.send(sender, event(b"x" * 30_000_000)) == Failed(status=413)
        assert await pad.send(sender) == Delivered(200)
        found.asked.set()
        assert found.connections == 2


@pytest.mark.parametrize("extra", [OK, b"HTTP/1.1 500 No\r\n\r\n"])
async def test_an_answer_that_nobody_asked_for_closes_the_connection_and_is_nobodys(meet: Meet, extra: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK + extra if call.number == 1 else OK)
        await call.hung_up()

    async with meet(script) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2
        assert found.connections == 2


async def test_a_whole_answer_followed_by_a_reset_is_delivered(meet: Meet) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)
        linger = struct.pack("ii", 1, 0)  # RST, not FIN
        call.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with meet(script) as (_, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        (b"", RESET),
        (b"HTTP/1.1 2", RESET),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", RESET),
        (CHUNKED + b"5\r\nhello\r\n", RESET),
        (OK, Delivered(200)),
        (b"HTTP/1.1 200 OK\r\n\r\nuntil the end", Delivered(200)),
    ],
    ids=["nothing", "half a head", "half a body", "half the chunks", "a whole answer", "a body without a length"],
)
async def test_a_target_that_closes_its_half_alone_has_said_all_it_will(
    meet: Meet, said: bytes, outcome: Delivered | Failed
) -> None:
    """It goes on reading and never closes: the flight ends all the same, and so does the connection."""

    async def script(call: Call) -> None:
        await call.request()
        await call.answer(said)
        call.writer.write_eof()
        await call.hung_up()

    async with meet(script, Terms(connections=1)) as (found, sender):
        pad = Pad()
        outcomes = []
        for _ in range(2):
            outcomes.append(await pad.send(sender))
            async with asyncio.timeout(PATIENCE):
                await found.left.wait()
            found.left.clear()
            await turns()

        assert outcomes == [outcome] * 2
        assert found.connections == 2
