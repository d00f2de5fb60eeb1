"""Targets that break off, never end, or do not speak HTTP: each costs its own flight and nothing else."""

import socket
import struct

import pytest

from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.unit.dispatcher.transport.support import OK, Call, Pad, answering, meeting, policy, turns

RESET = Failed(fault=Fault.RESET, detail="connection reset")
TOO_LARGE = Failed(fault=Fault.ANSWER_TOO_LARGE, detail="answer too large")
NO_HTTP = Failed(fault=Fault.PROTOCOL_ERROR, detail="not an HTTP answer")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    "begun",
    [
        b"",
        b"HTTP/1.1 2",
        b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab",
        CHUNKED + b"5\r\nhello\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nab",
    ],
    ids=["nothing", "half a head", "a body with a length", "chunks", "a body without a length"],
)
async def test_a_reset_before_the_last_byte_is_a_reset_whatever_the_status_was(begun: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        if begun:
            await call.answer(begun)
            await call.peer.asked.wait()
        linger = struct.pack("ii", 1, 0)  # RST, not FIN
        call.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await call.reset()

    async with meeting(script) as (_, sender):
        assert await Pad().send(sender) == RESET


@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nab", CHUNKED + b"5\r\nhello\r\n"]
)
async def test_an_orderly_end_before_the_last_byte_is_a_reset(begun: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(begun)

    async with meeting(script) as (_, sender):
        assert await Pad().send(sender) == RESET


async def test_a_whole_answer_followed_by_a_reset_is_delivered() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)
        await call.reset()

    async with meeting(script) as (_, sender):
        assert await Pad().send(sender) == Delivered(200)


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: a\x00b\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"ffffffffffffffffff\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40,
        bytes(range(256)) * 8,
    ],
)
async def test_what_is_not_an_http_answer_is_a_protocol_error(data: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(data)
        await call.hung_up()

    async with meeting(script) as (_, sender):
        assert await Pad().send(sender) == NO_HTTP


@pytest.mark.parametrize(
    ("head", "more"),
    [
        (b"HTTP/1.1 200 OK\r\n", b"x-more: and more\r\n"),
        (b"HTTP/1.1 200 OK\r\nx-long: ", b"y" * 1024),
        (b"HTTP/1.1 200 ", b"O" * 1024),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"body" * 1024),
        (CHUNKED, b"1000\r\n" + b"z" * 0x1000 + b"\r\n"),
        (CHUNKED + b"1;", b"e" * 1024),
        (CHUNKED + b"0\r\n", b"x-trailer: 1\r\n"),
    ],
    ids=["headers", "one header", "reason", "a body without a length", "chunks", "a chunk extension", "trailers"],
)
async def test_an_endless_answer_is_too_large_and_is_hung_up_on(head: bytes, more: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(head)
        while True:
            await call.answer(more)

    async with meeting(script) as (found, sender):
        assert await Pad().send(sender) == TOO_LARGE
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
async def test_a_head_has_bounds_even_when_it_comes_in_one_piece(headers: bytes, outcome: Delivered | Failed) -> None:
    async with meeting(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n" + headers + b"\r\n")) as (_, sender):
        assert await Pad().send(sender) == outcome


async def test_endless_interim_answers_are_bounded() -> None:
    async def script(call: Call) -> None:
        await call.request()
        while True:
            await call.answer(b"HTTP/1.1 102 Processing\r\n\r\n")

    async with meeting(script) as (found, sender):
        assert await Pad().send(sender) == NO_HTTP
        await found.left.wait()


async def test_an_answer_that_declares_10_gib_is_too_large_before_its_body() -> None:
    async with meeting(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 10737418240\r\n\r\n")) as (_, sender):
        assert await Pad().send(sender) == TOO_LARGE


async def test_an_answer_of_a_megabyte_is_drained_and_its_connection_used_again() -> None:
    async with meeting(answering(b"HTTP/1.1 200 OK\r\ncontent-length: 1048576\r\n\r\n" + b"x" * 1048576)) as (
        found,
        sender,
    ):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2
        assert found.connections == 1


async def test_a_gzip_bomb_is_a_few_bytes() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x8b\x08\x00"
    async with meeting(answering(answer)) as (_, sender):
        assert await Pad().send(sender) == Delivered(200)


@pytest.mark.parametrize("begun", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nab"], ids=["silent", "dripping"])
async def test_a_cancelled_flight_never_lands_and_its_connection_is_dropped(begun: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        if begun:
            await call.answer(begun)
        await call.hung_up()

    async with meeting(script) as (found, sender):
        pad = Pad()
        flight = pad.launch(sender)
        await found.asked.wait()
        sender.cancel(flight)

        await found.left.wait()
        await turns()
        assert pad.outcomes[flight] == []
        assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"


async def test_a_cancelled_flight_makes_room_for_one_that_waits() -> None:
    async def script(call: Call) -> None:
        await call.request()
        if call.number > 1:
            await call.answer(OK)
        await call.hung_up()

    async with meeting(script, settings=policy(concurrent=1)) as (found, sender):
        pad = Pad()
        stuck, waiting = pad.launch(sender), pad.launch(sender)
        await found.asked.wait()
        sender.cancel(stuck)

        assert await pad.outcome(waiting) == Delivered(200)
        assert pad.outcomes[stuck] == []
