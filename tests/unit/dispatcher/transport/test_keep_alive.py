"""One connection, many flights: when it is used again, and when it must not be."""

import asyncio
import socket
import struct
import typing

import pytest

from fanout_dispatcher.transport.senders import HttpSenders
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault
from tests.unit.dispatcher.transport.support import (
    LAPTOP,
    OK,
    PATIENCE,
    Call,
    Pad,
    answering,
    event,
    meeting,
    peer,
    policy,
    sending,
    span_ids,
    target,
    turns,
)

RESET = Failed(fault=Fault.RESET, detail="connection reset")


async def test_flights_in_turn_share_one_connection() -> None:
    async with meeting(answering(OK)) as (found, sender):
        pad = Pad()

        outcomes = [await pad.send(sender) for _ in range(20)]

        assert outcomes == [Delivered(200)] * 20
        assert found.connections == 1
        assert repr(sender) == "<HttpSender open=1 idle=1 waiting=0>"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n3;x=y\r\nabc\r\n0\r\nx-sum: 1\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\ncontent-length: 99999999\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK,
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n",
        b"HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n",
    ],
    ids=["chunked", "204", "204 with a length", "interim answers", "HTTP/1.0 keep-alive", "no reason phrase"],
)
async def test_an_answer_that_ends_by_itself_leaves_the_connection_usable(answer: bytes) -> None:
    async with meeting(answering(answer)) as (found, sender):
        pad = Pad()

        outcomes = [await pad.send(sender) for _ in range(3)]

        assert all(isinstance(outcome, Delivered) for outcome in outcomes)
        assert found.connections == 1


@pytest.mark.parametrize("size", [1, 2, 7])
async def test_an_answer_in_small_pieces_is_the_same_answer(size: int) -> None:
    async def script(call: Call) -> None:
        while True:
            await call.request()
            for at in range(0, len(OK), size):
                await call.answer(OK[at : at + size])
                await asyncio.sleep(0)

    async with meeting(script) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(3)] == [Delivered(200)] * 3
        assert found.connections == 1


async def test_different_answers_are_never_taken_for_the_usual_one() -> None:
    unavailable = b"HTTP/1.1 503 No\r\ncontent-length: 2\r\nretry-after: 7\r\n\r\nok"
    async with meeting(answering(OK, OK, unavailable, OK, unavailable, unavailable, OK)) as (found, sender):
        pad = Pad()

        outcomes = [await pad.send(sender) for _ in range(7)]

        yes, no = Delivered(200), Failed(status=503, retry_after="7")
        assert outcomes == [yes, yes, no, yes, no, no, yes]
        assert found.connections == 1


async def test_a_body_that_reads_like_the_usual_answer_is_still_a_body() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)
        await call.request()
        await call.answer(b"HTTP/1.1 500 No\r\ncontent-length: %d\r\n\r\n" % len(OK))
        await turns()
        await call.answer(OK)
        await call.hung_up()

    async with meeting(script) as (_, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200), Failed(status=500)]


@pytest.mark.parametrize("status", [300, 302, 401, 404, 408, 409, 410, 413, 429, 500, 501, 503, 599, 999])
async def test_every_final_status_that_is_not_a_success_is_a_failure_with_that_status(status: int) -> None:
    async with meeting(answering(b"HTTP/1.1 %d X\r\ncontent-length: 0\r\nlocation: /x\r\n\r\n" % status)) as (
        _,
        sender,
    ):
        assert await Pad().send(sender) == Failed(status=status)


@pytest.mark.parametrize("value", ["0", "1000000000", "Wed, 21 Oct 2026 07:28:00 GMT", "soon"])
async def test_retry_after_is_handed_on_as_it_came(value: str) -> None:
    answer = f"HTTP/1.1 429 Slow\r\nRetry-After: {value}\r\ncontent-length: 0\r\n\r\n".encode()
    async with meeting(answering(answer)) as (_, sender):
        assert await Pad().send(sender) == Failed(status=429, retry_after=value)


async def test_a_body_that_ends_with_the_connection_is_delivered_at_its_end() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(b"HTTP/1.1 200 OK\r\n\r\nuntil the end")

    async with meeting(script) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2
        assert found.connections == 2


async def test_connection_close_is_obeyed() -> None:
    async with meeting(answering(b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 0\r\n\r\n")) as (
        found,
        sender,
    ):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(3)] == [Delivered(200)] * 3
        assert found.connections == 3


@pytest.mark.parametrize("extra", [OK, b"HTTP/1.1 500 No\r\n\r\n", b"garbage", b"H"])
async def test_bytes_after_an_answer_close_the_connection_and_are_nobodys_answer(extra: bytes) -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK + extra if call.number == 1 else OK)
        await call.hung_up()

    async with meeting(script) as (found, sender):
        pad = Pad()

        assert [await pad.send(sender) for _ in range(2)] == [Delivered(200)] * 2
        assert found.connections == 2


async def test_bytes_on_an_idle_connection_close_it() -> None:
    more = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)
        if call.number == 1:
            await more.wait()
            await call.answer(b"HTTP/1.1 500 Nobody Asked\r\ncontent-length: 0\r\n\r\n")
        await call.hung_up()

    async with meeting(script) as (found, sender):
        pad = Pad()
        await pad.send(sender)
        more.set()
        await found.left.wait()

        assert await pad.send(sender) == Delivered(200)
        assert found.connections == 2


async def test_an_idle_connection_that_the_target_closed_is_not_used_again() -> None:
    async def script(call: Call) -> None:
        await call.request()
        await call.answer(OK)

    async with meeting(script) as (found, sender):
        pad = Pad()
        for _ in range(5):
            assert await pad.send(sender) == Delivered(200)
            await found.left.wait()
            found.left.clear()
            await turns()

        assert found.connections == 5


async def test_a_reset_after_our_bytes_is_an_ambiguous_failure_and_is_not_repeated() -> None:
    async def script(call: Call) -> None:
        if call.number == 1:
            await call.request()
            await call.answer(OK)
        await call.request()
        await call.reset()

    async with meeting(script) as (found, sender):
        pad = Pad()
        await pad.send(sender)

        assert await pad.send(sender) == RESET
        assert len(found.requests) == 2  # the second was sent once


@pytest.mark.parametrize(("abruptly", "idled"), [(False, 3600.0), (True, 0.0)], ids=["closed, cool", "reset, warm"])
async def test_a_connection_that_ended_unseen_is_replaced_before_a_byte_is_sent(abruptly: bool, idled: float) -> None:
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        async with sending(target(f"http://127.0.0.1:{listener.getsockname()[1]}/")) as sender:
            pad = Pad()
            first = pad.launch(sender)
            with await _serve(loop, listener) as one:
                await pad.outcome(first)
                sender._idle[0].used -= idled
                if abruptly:
                    one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            second = pad.launch(sender)  # in the same turn: our loop cannot have seen the end
            with await _serve(loop, listener):
                assert await pad.outcome(second) == Delivered(200)


async def _serve(loop: asyncio.AbstractEventLoop, listener: socket.socket) -> socket.socket:
    """Accept a connection and answer its first request."""
    async with asyncio.timeout(PATIENCE):
        connection, _ = await loop.sock_accept(listener)
    connection.setblocking(False)
    await loop.sock_recv(connection, 65536)
    await loop.sock_sendall(connection, OK)
    return connection


async def test_no_send_sets_a_timer() -> None:
    loop = asyncio.get_running_loop()
    set_at: list[object] = []

    class Watched:
        """The loop, whose timers are counted."""

        def __getattr__(self, name: str) -> object:
            if name in {"call_later", "call_at"}:
                set_at.append(name)
            return getattr(loop, name)

    async with peer(answering(OK)) as found:
        senders = HttpSenders(typing.cast("asyncio.AbstractEventLoop", Watched()), LAPTOP, span_ids=span_ids)
        sender = senders(target(found.url), {})
        pad = Pad()
        for _ in range(100):
            assert await pad.send(sender) == Delivered(200)
        sender.close()
        await turns()

    assert len(set_at) <= 1  # the sweep over idle connections


async def test_more_flights_than_connections_wait_their_turn_and_all_land() -> None:
    async with meeting(answering(OK), settings=policy(concurrent=4)) as (found, sender):
        pad = Pad()

        flights = [pad.launch(sender) for _ in range(200)]

        assert [await pad.outcome(flight) for flight in flights] == [Delivered(200)] * 200
        assert found.connections == 4
        assert repr(sender) == "<HttpSender open=4 idle=4 waiting=0>"


async def test_flights_at_once_have_a_connection_each() -> None:
    gate = asyncio.Event()

    async def script(call: Call) -> None:
        await call.request()
        if len(call.peer.requests) == 8:
            gate.set()
        await gate.wait()
        await call.answer(OK)
        await call.hung_up()

    async with meeting(script) as (found, sender):
        pad = Pad()
        flights = [pad.launch(sender) for _ in range(8)]

        assert [await pad.outcome(flight) for flight in flights] == [Delivered(200)] * 8
        assert found.connections == 8


async def test_after_a_restart_of_the_target_flights_arrive_again() -> None:
    async with peer(answering(OK)) as found, sending(target(found.url)) as sender:
        pad = Pad()
        await pad.send(sender)
        await found.close()
        refused = await pad.send(sender)
        await found.open(found.port)

        assert isinstance(refused, Failed)
        assert await pad.send(sender) == Delivered(200)


async def test_idle_connections_are_closed_after_a_while() -> None:
    async with meeting(answering(OK)) as (found, sender):
        pad = Pad()
        await pad.send(sender)
        sender._idle[0].used -= 3600
        sender._sweep()

        await found.left.wait()
        assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"


@pytest.mark.parametrize("size", [0, 1, 16 * 1024, 16 * 1024 + 1, 1024 * 1024, 5_000_000])
async def test_a_body_of_any_size_arrives_byte_for_byte(size: int) -> None:
    body = bytes(at * 7 % 251 for at in range(min(size, 65521))) * (size // 65521 + 1)
    body = body[:size]
    async with meeting(answering(OK)) as (found, sender):
        pad = Pad()

        outcomes = [await pad.send(sender, event(body)) for _ in range(2)]

        assert outcomes == [Delivered(200)] * 2
        assert [request.partition(b"\r\n\r\n")[2] == body for request in found.requests] == [True, True]
        assert found.connections == 1


async def test_an_answer_before_all_was_sent_lands_and_ends_the_connection() -> None:
    async def script(call: Call) -> None:
        await call.reader.readuntil(b"\r\n\r\n")
        await call.answer(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
        await call.peer.asked.wait()

    async with meeting(script) as (found, sender):
        pad = Pad()

        outcome = await pad.send(sender, event(b"x" * 30_000_000))

        found.asked.set()
        assert outcome == Failed(status=413)
        assert repr(sender) == "<HttpSender open=0 idle=0 waiting=0>"
