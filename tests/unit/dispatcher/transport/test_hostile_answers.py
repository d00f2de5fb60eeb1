"""Targets that break off, never end, or do not speak HTTP, where we are stricter than the twin in tests/contract."""

import socket
import struct

import pytest

from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.unit.dispatcher.transport.support import Call, Pad, answering, meeting, turns

RESET = Failed(fault=Fault.RESET, detail="connection reset")
TOO_LARGE = Failed(fault=Fault.ANSWER_TOO_LARGE, detail="answer too large")
NO_HTTP = Failed(fault=Fault.PROTOCOL_ERROR, detail="not an HTTP answer")
CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def test_a_body_without_a_length_that_ends_in_a_reset_is_a_reset_whatever_the_status_was() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(b"HTTP/1.1 200 OK\r\n\r\nab")
        linger = struct.pack("ii", 1, 0)  # RST, not FIN
        call.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        await call.reset()

    async with meeting(script) as (_, sender):
        assert await Pad().send(sender) == RESET


@pytest.mark.parametrize(
    "data",
    [
        b"HTTP/1.1 099 Low\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\n" * 40,
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
    ("begun", "more"),
    [(CHUNKED + b"1;", b"e" * 1024), (CHUNKED + b"0\r\n", b"x-trailer: 1\r\n" * 50)],
    ids=["a chunk extension", "trailers"],
)
async def test_framing_without_an_end_is_too_large_and_is_hung_up_on(begun: bytes, more: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(begun)
        while True:
            await call.answer(more)

    async with meeting(script) as (found, sender):
        assert await Pad().send(sender) == TOO_LARGE
        await found.left.wait()  # its writes fail


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


@pytest.mark.parametrize("zeros", [1, 20, 5000])
async def test_a_length_is_as_large_as_its_number_however_many_zeros_it_begins_with(zeros: int) -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: " + b"0" * zeros + b"5\r\n\r\nhello"

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
