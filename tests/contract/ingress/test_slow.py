"""Clients that take their time: each is let go by a deadline of its own, with nobody's help (promise P31)."""

import asyncio
import socket
import typing

import pytest

from fanout_dispatcher.ingress.protocol import Connection
from tests.contract.ingress.client import PATIENCE, Wire, post, until
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import StubEngine

SHORT = {"head_seconds": 0.1, "body_seconds": 0.1, "idle_seconds": 0.1, "write_seconds": 0.1, "linger_seconds": 0.1}
BODY = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n"
CHUNKED = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"


async def drip(wire: Wire, data: bytes) -> None:
    """Send a byte now and then, for as long as anybody listens."""
    try:
        while True:
            await wire.send(data)
            await asyncio.sleep(0.01)
    except ConnectionError:
        pass  # which is what the server is there for


async def test_who_says_nothing_is_let_go_without_a_word(serve: Serve) -> None:
    client = await serve(**SHORT)
    wire = await client.connect()

    assert await wire.closed() == b""


async def test_who_only_sends_empty_lines_is_let_go(serve: Serve) -> None:
    client = await serve(**SHORT)
    wire = await client.connect()

    dripping = asyncio.create_task(drip(wire, b"\r\n"))

    assert await wire.closed() == b""
    await dripping


async def test_who_is_answered_at_once_is_not_idle(serve: Serve) -> None:
    client = await serve(head_seconds=0.1, idle_seconds=2.0)
    wire, silent = await client.connect(), await client.connect()
    leaving = asyncio.create_task(silent.closed())

    while not leaving.done():
        await wire.send(post(path="/nowhere"))
        assert (await wire.answer()).status == 404

    assert client.ingress.meter.expired == 1


@pytest.mark.parametrize(
    ("said", "dripped", "what"),
    [
        (b"POST /shop/or", b"", "head"),
        (b"POST /shop/orders HTTP/1.1\r\nHost: x\r\n", b"x-1: y\r\n", "head"),
        (b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nA: ", b"b", "head"),
        (BODY, b"", "body"),
        (BODY.replace(b"9", b"999"), b"x", "body"),
        (CHUNKED, b"", "body"),
        (CHUNKED, b"1\r\nx\r\n", "body"),
        (CHUNKED + b"1;", b"x", "body"),
        (CHUNKED + b"0\r\n", b"a: b\r\n", "body"),
    ],
)
async def test_half_a_request_is_answered_with_408(serve: Serve, said: bytes, dripped: bytes, what: str) -> None:
    """Its head may take longer than SHORT: on a busy machine that could be over before the first byte is read."""
    client = await serve(**SHORT | {"head_seconds": PATIENCE if what == "body" else 0.5})
    wire = await client.connect()
    await wire.send(said)

    dripping = asyncio.create_task(drip(wire, dripped)) if dripped else None

    answer = await wire.answer()
    assert answer.status == 408
    assert what in answer.json["detail"]
    assert answer.headers["connection"] == "close"
    await wire.closed()
    if dripping is not None:
        await dripping


async def test_a_slow_request_does_not_cost_the_answers_before_it(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve(**SHORT | {"head_seconds": PATIENCE})
    wire = await client.connect()

    await wire.send(post() + BODY)
    await until(lambda: client.ingress.meter.expired)
    engine.release()

    assert (await wire.answer()).status == 202
    assert (await wire.answer()).status == 408


async def test_who_does_not_read_is_cut_off(serve: Serve) -> None:
    client = await serve(**SHORT)
    wire = await client.connect()
    wire.writer.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    transport = wire.writer.transport
    typing.cast(asyncio.ReadTransport, transport).pause_reading()

    wire.writer.write(post(path="/" + "n" * 4000) * 4000)
    await client.ingress.port.gone.wait()

    assert client.ingress.meter.expired == 1


@pytest.mark.parametrize("goodbye", [b"", post(b"hi", "Connection: close")], ids=["idle", "closed"])
async def test_who_leaves_a_little_unread_is_cut_off_too(serve: Serve, goodbye: bytes) -> None:
    """Too little to choke on, so the connection counts as idle, or as closed; its bytes would be kept for ever."""
    client = await serve(**SHORT)
    port, loop = client.ingress.port, asyncio.get_running_loop()
    with socket.socket() as asking:
        asking.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        asking.setblocking(False)
        await loop.sock_connect(asking, client.ingress.addresses[0])
        await until(lambda: port.guests)
        guest = typing.cast(Connection, next(iter(port.guests)))
        guest.transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)

        await loop.sock_sendall(asking, post(path="/nowhere") * 100 + goodbye)
        await until(guest.transport.get_write_buffer_size)
        assert not guest.choked
        async with asyncio.timeout(PATIENCE):
            await port.gone.wait()

    assert client.ingress.meter.expired == 1


async def test_the_engine_may_take_its_time(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve(**SHORT)
    slow, other = await client.connect(), await client.connect()

    await slow.send(post())
    assert await other.closed() == b""  # its deadline has come and gone meanwhile
    engine.release()

    assert (await slow.answer()).status == 202


async def test_while_we_do_not_read_the_clients_deadline_does_not_run(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve(**SHORT, pipelined=1)
    wire, other = await client.connect(), await client.connect()

    await wire.send(post() + BODY)
    assert await other.closed() == b""
    await wire.send(b"123456789")
    engine.release()

    assert (await wire.answer()).status == 202
    await until(lambda: len(engine.taken) == 2)
    engine.release()
    assert (await wire.answer()).status == 202


async def test_too_many_connections_are_told_to_come_back(serve: Serve) -> None:
    client = await serve(connections=2)
    first, _ = await client.connect(), await client.connect()
    await first.send(post())
    await first.answer()

    third = await client.connect()

    answer = await third.answer()
    assert answer.status == 503
    assert answer.headers["retry-after"] == "1"
    assert await third.closed() == b""


async def test_one_peer_cannot_take_every_connection(serve: Serve) -> None:
    client = await serve(connections_per_peer=1)
    first = await client.connect()
    await first.send(post())
    await first.answer()

    second = await client.connect()
    assert (await second.answer()).status == 503

    await first.leave()
    await client.ingress.port.gone.wait()
    assert (await client.ask(post())).status == 202


async def test_bodies_that_arrive_at_once_are_bounded_together(serve: Serve) -> None:
    client = await serve(bodies_bytes=1000)
    one, two = await client.connect(), await client.connect()

    await one.send(post(b"x" * 900)[:-1])
    await until(lambda: client.ingress.port.bodies == 899)
    await two.send(post(b"x" * 900)[:-1])

    assert (await two.answer()).status == 503
    await one.send(b"x")
    assert (await one.answer()).status == 202
    assert client.ingress.port.bodies == 0


async def test_four_hundred_slow_clients_are_all_let_go(serve: Serve) -> None:
    client = await serve(**SHORT)
    for said in [b"", b"POST /", BODY, CHUNKED + b"1\r\n"] * 100:
        wire = await client.connect()
        await wire.send(said)

    await client.ingress.port.gone.wait()

    assert client.ingress.meter.expired >= 400
    assert client.ingress.port.bodies == 0
