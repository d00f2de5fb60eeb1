"""Batches to a target: the real command, real HTTP, a real kill."""

import asyncio
import json
import typing

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually, view
from tests.support.ledger import metrics
from tests.support.targets import Got

Json = typing.Any


def events(got: Got) -> list[Json]:
    """What is in a batch."""
    found: list[Json] = json.loads(got.body)
    return found


async def post(bench: Bench, listen: str, number: int) -> str:
    answer = await bench.client.post(
        f"{listen}/shop/order-placed",
        content=b'{"order": %d}' % number,
        headers={
            "content-type": "application/json",
            "ce-specversion": "1.0",
            "ce-id": str(number),
            "ce-source": "/shop",
            "ce-type": "order.placed",
        },
    )
    assert answer.status_code == 202, answer.text
    receipt: str = answer.json()["receipt"]
    return receipt


async def test_a_target_gets_batches_and_one_poisoned_event_is_all_that_dies(bench: Bench) -> None:
    a = await bench.target("a")
    a.choose = lambda got: 422 if any(one["data"]["order"] == 5 for one in events(got)) else 204
    batch = {"maxEvents": 8, "maxWait": "30s"}
    bench.route({"name": "a", "url": a.url, "policy": {"batch": batch}})
    process = await bench.started()

    receipts = await asyncio.gather(*(post(bench, process.listen, number) for number in range(16)))

    async def settled() -> bool:
        states = [(await view(bench, process, receipt))["a"]["state"] for receipt in receipts]
        return "Pending" not in states

    await eventually(settled)
    states = [(await view(bench, process, receipt))["a"]["state"] for receipt in receipts]
    assert [number for number, state in enumerate(states) if state == "Dead"] == [5]
    taken = [one for got in a.got if got.status == 204 for one in events(got)]
    assert sorted(one["data"]["order"] for one in taken) == [number for number in range(16) if number != 5]
    assert max(len(events(got)) for got in a.got) == 8
    assert {got.headers["content-type"] for got in a.got} == {"application/cloudevents-batch+json"}
    assert all(b'"data":{"order": %d}' % one["data"]["order"] in got.body for got in a.got for one in events(got))
    assert len({one["idempotencykey"] for one in taken}) == 15
    counted = await metrics(process)
    requests = sum(got.status == 204 for got in a.got)
    assert counted("fanout_delivered_total") == 15, "deliveries, and not the requests that they went in"
    assert counted("fanout_attempts_total", outcome="Delivered") == requests


async def test_what_waits_for_company_is_there_after_a_kill(bench: Bench) -> None:
    a = await bench.target("a")
    policy: Json = {"batch": {"maxEvents": 100, "maxWait": "1h"}}
    bench.route({"name": "a", "url": a.url, "policy": policy})
    process = await bench.started()
    for number in range(5):
        await post(bench, process.listen, number)

    process.kill()
    assert a.got == []
    bench.route({"name": "a", "url": a.url, "policy": {"batch": {"maxEvents": 5, "maxWait": "1h"}}})
    await process.start()

    async def arrived() -> bool:
        return bool(a.got) and a.got[0].answered

    await eventually(arrived)
    assert sorted(one["data"]["order"] for one in events(a.got[0])) == [0, 1, 2, 3, 4]
