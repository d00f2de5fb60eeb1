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


@pytest.mark.parametrize("extra", [b"garbage", b"H"])
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
