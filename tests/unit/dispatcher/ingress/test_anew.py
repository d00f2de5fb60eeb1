"""A request that is begun when its route is not in force any more is judged again, once and by what is in force."""

import asyncio

import msgspec
import pytest

from fanout_crds.plan import AcceptRate
from fanout_dispatcher.policies.turnstile import Turnstile
from tests.unit.dispatcher.ingress.stub import StubEngine, StubRoute, connect, route

RATE = AcceptRate(requests=1, per=3600.0, burst=1, key="Route")
CHUNKED = b"POST /shop/orders HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n[1, 2\r\n"
END = b"1\r\n]\r\n0\r\n\r\n"


def replaced(engine: StubEngine, before: StubRoute, after: StubRoute) -> None:
    """What an engine does when a plan comes into force."""
    before.standing.in_force = False
    engine.routes = {after.plan.path: after}


def limited(turnstile: Turnstile | None = None) -> StubRoute:
    return msgspec.structs.replace(route(), turnstile=turnstile or Turnstile(RATE))


async def answer(before: StubRoute, after: StubRoute) -> tuple[bytes, StubEngine]:
    """What is answered to a request that began under *before* and ends under *after*."""
    engine = StubEngine(before)
    connection, wire, port = connect(engine)
    connection.data_received(CHUNKED)
    replaced(engine, before, after)
    connection.data_received(END)
    port.close()
    return wire.written, engine


async def test_a_body_in_chunks_that_is_too_large_by_now_is_refused() -> None:
    said, engine = await answer(route(), route(max_body_size=5))

    assert said.startswith(b"HTTP/1.1 413 ")
    assert b"the body has 6 bytes; this route takes 5" in said
    assert engine.taken == []


async def test_one_that_was_let_in_by_a_limit_is_not_counted_again() -> None:
    before = limited()

    said, engine = await answer(before, limited(before.turnstile))

    assert said.startswith(b"HTTP/1.1 202 ")
    assert said.count(b"ratelimit: ") == 1
    assert len(engine.taken) == 1


async def test_a_limit_that_is_new_counts_it() -> None:
    after = limited()
    assert after.turnstile is not None
    after.turnstile.ask(b"", asyncio.get_running_loop().time())

    said, engine = await answer(route(), after)

    assert said.startswith(b"HTTP/1.1 429 ")
    assert engine.taken == []


@pytest.mark.parametrize("method", ["PUT", "GET"])
async def test_a_method_that_is_not_accepted_any_more_is_refused(method: str) -> None:
    after = msgspec.structs.replace(
        route(), plan=msgspec.structs.replace(route().plan, methods=(method,)), posted=False
    )

    said, engine = await answer(route(), after)

    assert said.startswith(b"HTTP/1.1 405 ")
    assert engine.taken == []
