"""What one client can make the loop do at once: every figure is CPU time of the loop's thread, the best of three."""

import asyncio
import collections.abc
import time

import pytest

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.port import Port
from fanout_dispatcher.ingress.protocol import Connection
from fanout_dispatcher.ingress.settings import Settings
from tests.unit.dispatcher.ingress.stub import WALL, StubEngine, Wire, connect, route

AT_MOST = 0.05  # s
LARGE = 16 * 1024 * 1024
HEAD = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"

MILLION_KEYS = b"{" + b",".join(b'"k%d":0' % number for number in range(1_000_000)) + b"}"


def cost(work: collections.abc.Callable[[], None]) -> float:
    """CPU seconds that *work* takes."""
    began = time.thread_time()
    work()
    return time.thread_time() - began


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[" * 100_000, 400),
        (b"[" * 100_000 + b"]" * 100_000, 400),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, 400),
        (MILLION_KEYS, 202),
        (b'{"a":1' + b',"a":1' * 1_000_000 + b"}", 202),
        (b'{"a":NaN}', 400),
        (b'["' + b"\\ud800" * 1_000_000 + b'"]', 400),
        (b'["' + b"\xff" * 1_000_000 + b'"]', 400),
        (b'["' + b"\\" * 1_000_001 + b'"]', 400),
        (b"1" * 1_000_000, 202),
        (b"1e" + b"9" * 1_000_000, 202),
        (b" " * 5_000_000 + b"1", 202),
    ],
    ids=[
        "open brackets", "100,000 deep", "100,000 objects deep", "1,000,000 keys",
        "the same key 1,000,000 times", "NaN",
        "lone surrogates", "no UTF-8", "escapes", "a long number", "a large exponent", "blanks",
    ],
)  # fmt: skip
async def test_a_json_bomb_costs_the_loop_next_to_nothing(body: bytes, status: int) -> None:
    data = HEAD % len(body) + body
    costs = []
    for _ in range(3):
        connection, wire, port = connect(StubEngine(route(max_body_size=LARGE)))
        read = [data[at : at + 262_144] for at in range(0, len(data), 262_144)]  # as the loop reads
        for part in read[:-1]:
            connection.data_received(part)
        costs.append(cost(lambda: connection.data_received(read[-1])))  # noqa: B023 - called at once
        port.close()

        assert wire.written.startswith(b"HTTP/1.1 %d " % status), wire.written
    assert min(costs) < AT_MOST


async def test_ten_thousand_idle_connections_cost_a_sweep_of_milliseconds_and_are_all_let_go() -> None:
    settings = Settings(connections_per_peer=10_000)
    loop = asyncio.get_running_loop()
    port = Port(loop, Acceptor(loop, StubEngine(), lambda: "made-1"), settings, lambda: WALL)
    wires = [Wire() for _ in range(10_000)]
    for wire in wires:
        Connection(port).connection_made(wire)

    sweeps = [cost(port.sweep) for _ in range(3)]
    kept = sum(not wire.closed for wire in wires)
    for guest in port.guests:
        guest.deadline -= settings.idle_seconds
    port.sweep()
    port.close()

    assert min(sweeps) < AT_MOST / 5
    assert kept == 10_000
    assert all(wire.closed for wire in wires)


async def test_one_more_than_ten_thousand_is_told_to_come_back() -> None:
    settings = Settings(connections_per_peer=20_000)
    loop = asyncio.get_running_loop()
    port = Port(loop, Acceptor(loop, StubEngine(), lambda: "made-1"), settings, lambda: WALL)
    wires = [Wire() for _ in range(10_001)]
    for wire in wires:
        Connection(port).connection_made(wire)
    port.close()

    assert wires[-1].written.startswith(b"HTTP/1.1 503 ")
    assert wires[-2].written == b""


@pytest.mark.parametrize(
    "data",
    [
        b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 1000,
        b"POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 1000,
        b"POST /shop/orders HTTP/1.1\r\n" + b"x: y\r\n" * 40_000,
        b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 40_000,
    ],
    ids=["1,000 pipelined", "1,000 refusals", "headers", "chunks of one byte"],
)
async def test_one_read_of_a_flood_costs_a_bounded_time(data: bytes) -> None:
    costs = []
    for _ in range(3):
        connection, _, port = connect(StubEngine())
        costs.append(cost(lambda: connection.data_received(data)))  # noqa: B023 - called at once
        port.close()

    assert min(costs) < AT_MOST


@pytest.mark.parametrize("path", [b"/shop/orders", b"/nowhere"], ids=["taken", "refused"])
async def test_a_flood_that_is_answered_at_once_lets_others_have_the_loop_in_between(path: bytes) -> None:
    connection, wire, port = connect(StubEngine())
    request = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" % path
    answered: list[int] = []

    connection.data_received(request * 3000)
    while not answered or answered[-1] < 3000:
        answered.append(wire.written.count(b"HTTP/1.1 "))
        assert wire.reading == (answered[-1] == 3000)
        await asyncio.sleep(0)
    port.close()

    assert len(answered) >= 4
    assert max(now - before for before, now in zip([0, *answered], answered, strict=False)) < 1000


async def test_a_client_gone_in_the_middle_of_a_flood_is_not_served_any_further() -> None:
    engine = StubEngine()
    connection, _, port = connect(engine)
    connection.data_received(b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n" * 3000)
    before = len(engine.taken)

    connection.connection_lost(None)
    await asyncio.sleep(0)
    port.close()

    assert before < 3000
    assert len(engine.taken) == before
