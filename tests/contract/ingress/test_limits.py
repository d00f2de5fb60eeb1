"""A route's limit at its door: who is counted together, what each answer tells, and that nothing else pays for it."""

import msgspec
import pytest

from fanout_crds.plan import AcceptRate
from fanout_dispatcher.policies.turnstile import Turnstile
from tests.contract.ingress.client import post
from tests.contract.ingress.conftest import Serve
from tests.unit.dispatcher.ingress.stub import StubEngine, StubRoute, route

A_LONG_ONE = "x" * 4000


def limited(engine: StubEngine, **changes: object) -> StubRoute:
    """Give the engine's route a limit: one request an hour, and *changes*."""
    rate = msgspec.structs.replace(AcceptRate(requests=1, per=3600.0, burst=1, key="Route"), **changes)
    made = msgspec.structs.replace(route(), turnstile=Turnstile(rate))
    engine.routes = {made.plan.path: made}
    return made


async def test_beyond_the_limit_a_request_is_answered_429_with_the_time_to_return(
    serve: Serve, engine: StubEngine
) -> None:
    made = limited(engine)
    client = await serve()

    first, second = await client.ask(post()), await client.ask(post())

    assert (first.status, second.status) == (202, 429)
    assert second.headers["content-type"] == "application/problem+json"
    assert second.json["type"].endswith("/rate-limited")
    assert second.headers["retry-after"] == "3600"
    assert second.headers["ratelimit"] == '"route";r=0;t=3600'
    assert "more than 1 requests in 3600s came in" in second.json["detail"]
    assert (len(engine.taken), made.meter.turned) == (1, {"RateLimited": 1})


async def test_every_answer_tells_what_is_left(serve: Serve, engine: StubEngine) -> None:
    limited(engine, requests=6, per=60.0, burst=3)
    client = await serve()

    answers = [await client.ask(post()) for _ in range(2)]

    assert [one.headers["ratelimit-policy"] for one in answers] == ['"route";q=3;w=30'] * 2
    assert [one.headers["ratelimit"].partition(";t=")[0] for one in answers] == ['"route";r=2', '"route";r=1']


async def test_whoever_asks_what_is_allowed_spends_nothing(serve: Serve, engine: StubEngine) -> None:
    limited(engine)
    client = await serve()

    options = await client.ask(b"OPTIONS /shop/orders HTTP/1.1\r\nHost: x\r\n\r\n", bodiless=True)

    assert (options.status, "ratelimit" in options.headers) == (204, False)
    assert (await client.ask(post())).status == 202


async def test_the_connection_lives_on_after_a_429(serve: Serve, engine: StubEngine) -> None:
    limited(engine)
    client = await serve()
    wire = await client.connect()

    statuses = []
    for _ in range(3):
        await wire.send(post())
        statuses.append((await wire.answer()).status)

    assert statuses == [202, 429, 429]


async def test_all_connections_of_one_address_are_one_client_and_those_of_another_are_another(
    serve: Serve, engine: StubEngine
) -> None:
    limited(engine, key="Client")
    client = await serve()
    another = "127.0.0.2"

    assert [(await client.ask(post())).status for _ in range(2)] == [202, 429]
    assert [(await client.ask(post(), come_from=another)).status for _ in range(2)] == [202, 429]


@pytest.mark.parametrize("tenant", ["a", A_LONG_ONE])
async def test_a_header_tells_who_is_counted_together(serve: Serve, engine: StubEngine, tenant: str) -> None:
    limited(engine, key="Header", header="x-tenant")
    client = await serve()

    asked = [post(b"1", f"X-Tenant: {one}") for one in (tenant, tenant, f"{tenant}b")]

    assert [(await client.ask(one)).status for one in asked] == [202, 429, 202]


async def test_without_the_header_requests_are_counted_together(serve: Serve, engine: StubEngine) -> None:
    limited(engine, key="Header", header="x-tenant")
    client = await serve()

    assert [(await client.ask(one)).status for one in (post(), post(b"1", "X-Tenant: a"), post())] == [202, 202, 429]


async def test_a_route_without_a_limit_tells_nothing(serve: Serve) -> None:
    client = await serve()

    answer = await client.ask(post())

    assert not [name for name in answer.headers if name.startswith("ratelimit")]
