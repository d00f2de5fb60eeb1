"""Ours and aiohttp's client, before the same target: what HTTP leaves no choice about, both read alike."""

import socket
import struct

import pytest

from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.contract.dial import Meet
from tests.unit.dispatcher.transport.support import OK, Call, Pad, answering, happened, turns

RESET = Failed(fault=Fault.RESET, detail="connection reset")
NO_HTTP = Failed(fault=Fault.PROTOCOL_ERROR, detail="not an HTTP answer")
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
DATE = b"Wed, 21 Oct 2026 07:28:00 GMT"


@pytest.mark.parametrize(
    ("answer", "outcome", "connections"),
    [
        (OK, Delivered(200), 1),
        (CHUNKED + b"5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nX-Sum: 1\r\n\r\n", Delivered(200), 1),
        (CHUNKED + b"002\r\nab\r\nA\r\n0123456789\r\n0\r\n\r\n", Delivered(200), 1),
        (b"HTTP/1.1 204 No Content\r\n\r\n", Delivered(204), 1),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 99999999\r\n\r\n", Delivered(204), 1),
        (b"HTTP/1.1 304 Not Modified\r\nContent-Length: 99999999\r\n\r\n", Failed(status=304), 1),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + OK, Delivered(200), 1),
        (b"HTTP/1.1 299 \r\nContent-Length: 0\r\n\r\n", Delivered(299), 1),
        (b"HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", Failed(status=302), 1),
        (b"HTTP/1.1 429 Slow\r\nretry-after: 7\r\nContent-Length: 0\r\n\r\n", Failed(status=429, retry_after="7"), 1),
        (
            b"HTTP/1.1 503 No\r\nRetry-After:  " + DATE + b" \r\nContent-Length: 0\r\n\r\n",
            Failed(status=503, retry_after=DATE.decode()),
            1,
        ),
        (b"HTTP/1.1 500 No\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\nHTTP", Failed(status=500), 1),
        (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", Delivered(200), 3),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n", Delivered(200), 3),
        (b"HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", Delivered(200), 1),
        (
            b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x08\x00",
            Delivered(200),
            1,
        ),
    ],
)
async def test_an_answer_means_what_it_says_and_the_connection_lives_as_long_as_it_says(
    meet: Meet, answer: bytes, outcome: Delivered | Failed, connections: int
) -> None:
    async with meet(answering(answer)) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(3)] == [outcome] * 3
        assert found.connections == connections


async def test_a_body_without_a_length_ends_with_its_connection(meet: Meet) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    async with meet(script) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2
        assert found.connections == 2


@pytest.mark.parametrize("abruptly", [False, True], ids=["closed", "reset"])
@pytest.mark.parametrize(
    "begun", [b"", b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nab", CHUNKED + b"5\r\nhello\r\n"]
)
async def test_an_answer_that_is_not_whole_is_no_success(meet: Meet, begun: bytes, abruptly: bool) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(begun)
        if abruptly:
            linger = struct.pack("ii", 1, 0)
            call.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)

    async with meet(script) as (_, sender):
        assert await Pad().send(sender) == RESET


@pytest.mark.parametrize(
    "data",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n\r\n",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: a\x00b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nnothing\r\nContent-Length: 0\r\n\r\n",
        CHUNKED + b"zz\r\n",
        CHUNKED + b"+2\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"1\r\nab\r\n0\r\n\r\n",
        CHUNKED + b"ffffffffffffffffff\r\n",
        bytes(range(256)) * 8,
    ],
)
async def test_what_is_no_http_is_said_to_be_none(meet: Meet, data: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(data)
        await call.hung_up()

    async with meet(script) as (_, sender):
        assert await Pad().send(sender) == NO_HTTP


async def test_a_port_nobody_listens_at_is_a_connect_failure(meet: Meet) -> None:
    async with meet(answering(OK)) as (found, sender):
        await found.close()

        assert await Pad().send(sender) == Failed(fault=Fault.CONNECT_FAILURE)


async def test_an_idle_connection_that_the_target_closed_is_replaced(meet: Meet) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)

    async with meet(script) as (found, sender):
        pad = Pad()
        assert await pad.send(sender) == Delivered(200)
        await happened(found.left)
        await turns()  # until our loop has seen it too

        assert await pad.send(sender) == Delivered(200)
        assert len(found.requests) == 2
