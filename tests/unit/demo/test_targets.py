"""The demo's targets beside whatever else runs on the machine: only the demo's own orders count."""

import typing
from collections.abc import AsyncIterator

import httpx
import pytest

from demo import ports
from demo.stage import order
from demo.targets import Target

OURS = {"Fanout-Attempt": "1", "Idempotency-Key": "k"}


@pytest.fixture
async def crm() -> AsyncIterator[Target]:
    with ports.placed() as targets:
        await targets["crm"].open()
        yield targets["crm"]
        await targets["crm"].close()


async def post(url: str, **what: typing.Any) -> int:
    async with httpx.AsyncClient(trust_env=False) as http:
        return (await http.post(url, **what)).status_code


async def test_an_order_of_the_demo_is_taken_and_noted(crm: Target) -> None:
    status = await post(crm.url, json=order(8, "paid"), headers=OURS)

    assert status == 200
    assert [(arrival.order, arrival.key) for arrival in crm.arrivals] == [(8, "k")]


@pytest.mark.parametrize(
    "body",
    [
        *(b"", b"{", b"7", b"[]", b"\xff", b"[" * 50_000),
        b'{"id": 7, "total": 99}',
        b'{"id": "7", "status": "paid", "total": 1}',
    ],
    ids=range(8),
)
async def test_a_body_that_is_no_order_of_the_demo_is_answered_404_and_noted_nowhere(crm: Target, body: bytes) -> None:
    status = await post(crm.url, content=body, headers=OURS)

    assert (status, crm.arrivals) == (404, [])


async def test_a_request_without_the_headers_of_a_delivery_is_answered_404(crm: Target) -> None:
    status = await post(crm.url, json=order(8, "paid"))

    assert (status, crm.arrivals) == (404, [])


async def test_the_examples_own_path_is_nobodys_here(crm: Target) -> None:
    status = await post(f"http://127.0.0.1:{crm.port}/events", json=order(8, "paid"), headers=OURS)

    assert (status, crm.arrivals) == (404, [])


async def test_a_target_that_is_down_refuses_and_its_port_stays_its_own() -> None:
    with ports.placed() as targets:
        warehouse = targets["warehouse"]
        with pytest.raises(httpx.ConnectError):
            await post(warehouse.url)

        await warehouse.open()
        status = await post(warehouse.url, json=order(8, "paid"), headers=OURS)
        await warehouse.close()

    assert status == 200
