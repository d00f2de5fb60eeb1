"""A connection's life: keep-alive, pipelining, 100 Continue, half a close, a client that has gone, and the drain."""

import asyncio

import pytest

from fanout_dispatcher.ingress.listener import CannotListen, listen
from tests.contract.ingress.client import post, until
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import WALL, StubEngine

GET = b"GET /-/events/r9 HTTP/1.1\r\nHost: x\r\n\r\n"
EXPECT = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n"


async def taken(engine: StubEngine, count: int) -> None:
    await until(lambda: len(engine.taken) >= count)


async def test_answers_leave_in_the_order_of_the_requests(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve()
    wire = await client.connect()

    await wire.send(post(b"1") + GET + post(b"2") + post(path="/nowhere") + post(b"3"))
    await taken(engine, 3)
    for turn in (2, 1, 0):
        engine.replies.rotate(-turn)
        engine.release()
        engine.replies.rotate(turn)

    statuses = [(await wire.answer()) for _ in range(5)]
    assert [one.status for one in statuses] == [202, 404, 202, 404, 202]
    assert [one.json["receipt"] for one in statuses if one.status == 202] == ["r1", "r2", "r3"]


async def test_a_thousand_pipelined_requests_are_answered_sixteen_at_a_time(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve()
    wire = await client.connect()
    most = 0

    sending = asyncio.create_task(wire.send(b"".join(post(b"%d" % number) for number in range(1000))))
    for number in range(1000):
        await taken(engine, number + 1)
        most = max(most, len(engine.replies))
        engine.release()

    assert [(await wire.answer()).json["receipt"] for _ in range(1000)] == [f"r{number + 1}" for number in range(1000)]
    assert [body for _, body in engine.taken] == [b"%d" % number for number in range(1000)]
    assert most == 16
    await sending


async def test_a_connection_is_used_again_until_the_client_closes_it(serve: Serve) -> None:
    client = await serve()
    wire = await client.connect()

    for _ in range(3):
        await wire.send(post())
        assert "connection" not in (await wire.answer()).headers
    await wire.send(post(b"x", "Connection: close") + post())

    assert (await wire.answer()).headers["connection"] == "close"
    assert await wire.closed() == b""


@pytest.mark.parametrize(
    ("headers", "manner"), [([], "close"), (["Connection: keep-alive"], "keep-alive"), (["Connection: close"], "close")]
)
async def test_http_1_0_closes_unless_asked_to_stay(serve: Serve, headers: list[str], manner: str) -> None:
    client = await serve()

    answer = await client.ask(post(b"x", *headers, version="1.0"))

    assert answer.status == 202
    assert answer.headers["connection"] == manner


async def test_continue_comes_after_the_answers_before_it(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve()
    wire = await client.connect()

    await wire.send(post() + EXPECT)
    await taken(engine, 1)
    engine.release()

    assert [(await wire.answer()).status for _ in range(2)] == [202, 100]
    await wire.send(b"hi")
    await taken(engine, 2)


async def test_who_sends_the_body_anyway_is_not_told_to_go_on(serve: Serve) -> None:
    client = await serve()

    assert (await client.ask(EXPECT + b"hi")).status == 202


async def test_a_client_that_waits_for_continue_is_refused_before_its_body(serve: Serve) -> None:
    client = await serve()
    wire = await client.connect()

    await wire.send(EXPECT.replace(b"/shop/orders", b"/nowhere"))

    assert (await wire.answer()).status == 404
    assert await wire.closed() == b""


async def test_a_client_that_closes_its_half_still_gets_its_answer(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve()
    wire = await client.connect()

    await wire.send(post() + post())
    wire.writer.write_eof()
    await taken(engine, 2)
    engine.release()
    engine.release()

    assert [(await wire.answer()).status for _ in range(2)] == [202, 202]
    assert await wire.closed() == b""


async def test_a_request_cut_short_is_no_event(serve: Serve, engine: StubEngine) -> None:
    client = await serve()
    wire = await client.connect()

    await wire.send(post(b"hello")[:-1])
    wire.writer.write_eof()

    assert (await wire.answer()).status == 400
    assert await wire.closed() == b""
    assert engine.taken == []


async def test_a_client_gone_before_the_answer_harms_nobody(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve()
    wire = await client.connect()
    await wire.send(post(b"kept") + GET)
    await taken(engine, 1)

    wire.reset()
    await client.ingress.port.gone.wait()
    engine.release()

    assert [body for _, body in engine.taken] == [b"kept"]
    engine.holding = False
    assert (await client.ask(post())).status == 202


async def test_a_client_gone_in_the_middle_of_a_body_leaves_nothing(serve: Serve, engine: StubEngine) -> None:
    client = await serve()
    wire = await client.connect()
    await wire.send(post(b"x" * 900)[:-1])
    await until(lambda: client.ingress.port.bodies)

    wire.reset()
    await client.ingress.port.gone.wait()

    assert client.ingress.port.bodies == 0
    assert client.ingress.port.peers == {}
    assert engine.taken == []


async def test_a_drain_answers_what_was_asked_and_then_closes(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve()
    idle, busy, half = await client.connect(), await client.connect(), await client.connect()
    await busy.send(post(b"1") + post(b"2"))
    await half.send(post(b"3")[:-1])
    await taken(engine, 2)
    await until(lambda: client.ingress.meter.connected == 3 and half_arrived(client.ingress.port.guests))

    draining = asyncio.create_task(client.ingress.drain(20))

    assert await idle.closed() == b""
    engine.release()
    assert "connection" not in (await busy.answer()).headers
    engine.release()
    assert (await busy.answer()).headers["connection"] == "close"
    await half.send(b"3")
    await taken(engine, 3)
    engine.release()
    assert (await half.answer()).headers["connection"] == "close"
    assert await busy.closed() == await half.closed() == b""
    await busy.leave()
    await half.leave()
    assert await draining == 0
    with pytest.raises(ConnectionRefusedError):
        await client.connect()


def half_arrived(guests: object) -> bool:
    assert isinstance(guests, dict)
    return any(guest.intake.begun and guest.intake.phase for guest in guests)


async def test_a_drain_ends_when_its_time_is_up(serve: Serve, engine: StubEngine) -> None:
    engine.holding = True
    client = await serve()
    wire = await client.connect()
    await wire.send(post())
    await taken(engine, 1)

    assert await client.ingress.drain(0.05) == 1
    assert await wire.closed() == b""


async def test_a_port_in_use_is_reported_with_what_to_do(serve: Serve, engine: StubEngine) -> None:
    client = await serve()
    host, port = client.ingress.addresses[0]

    with pytest.raises(CannotListen) as caught:
        await listen(engine, (host, port), ids=str, wall=lambda: WALL)

    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: address already in use: stop the other process or choose another port"
    )


async def test_what_came_in_is_counted(serve: Serve) -> None:
    client = await serve()

    await client.ask(post())
    await client.ask(post(path="/nowhere"))
    await client.ask(b"GET /-/events/nothing HTTP/1.1\r\nHost: data.example\r\n\r\n")

    meter = client.ingress.meter
    assert (meter.connections, meter.requests) == (3, 3)
    assert meter.refused == {("no-route", 404): 1, ("no-event", 404): 1}
