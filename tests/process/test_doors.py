"""The front door of a route by the real command: batches, keys, and the answers of callers that wait."""

import asyncio
import json

import httpx
import pytest

from tests.process.conftest import Bench
from tests.support.dispatcher import Process

SOON = 15.0  # seconds: a test that waits longer has failed
BATCH = {"content-type": "application/cloudevents-batch+json"}


async def test_each_event_of_a_batch_reaches_every_target_byte_for_byte(bench: Bench) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    bench.route(a, b, accept={"batches": "Accept"})
    process = await bench.started()
    datas = [b'{ "total":\t99.00 }', b'"text"', b"[1,  2]"]
    events = [b'{"specversion":"1.0","id":"%d","source":"/s","type":"t","data":%b}' % one for one in enumerate(datas)]

    answer = await bench.client.post(
        f"{process.listen}/shop/order-placed", content=b"[%b]" % b" ,\n".join(events), headers=BATCH
    )
    async with asyncio.timeout(SOON):
        while len(a.got) + len(b.got) < 6:  # noqa: ASYNC110 (what is waited for comes from another process)
            await asyncio.sleep(0.02)

    told = answer.json()["events"]
    views = [(await bench.client.get(process.listen + one["status"])).json() for one in told]
    assert answer.status_code == 202
    assert sorted(got.body for got in a.got) == sorted(got.body for got in b.got) == sorted(datas)
    assert len({got.key for got in a.got + b.got}) == 6
    assert [view["receipt"] for view in views] == [one["receipt"] for one in told]


async def test_a_batch_with_one_wrong_event_brings_nothing(bench: Bench) -> None:
    bench.route(await bench.target("a"), accept={"batches": "Accept"})
    process = await bench.started()
    good = b'{"specversion":"1.0","id":"1","source":"/s","type":"t"}'

    answer = await bench.client.post(
        f"{process.listen}/shop/order-placed", content=b'[%b,{"id":"2"}]' % good, headers=BATCH
    )

    listed = await bench.client.get(f"{process.admin}/v1/events")
    assert (answer.status_code, listed.json()["items"]) == (400, [])
    assert "event 1 of the batch" in answer.json()["detail"]


async def test_a_key_that_an_expression_finds_in_the_data_holds_across_a_kill(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a, accept={"idempotency": {"keyExpression": "headers['x-tenant'] + data.order"}})
    process = await bench.started()

    async def place(order: str, total: int = 1) -> httpx.Response:
        body = {"order": order, "total": total}
        return await bench.client.post(f"{process.listen}/shop/order-placed", json=body, headers={"X-Tenant": "acme"})

    first = await place("7")
    process.kill()
    await process.start()
    again, other, changed = await place("7"), await place("8"), await place("7", total=2)
    nameless = await bench.client.post(f"{process.listen}/shop/order-placed", json={})
    async with asyncio.timeout(SOON):
        while len({got.event for got in a.got}) < 2:  # noqa: ASYNC110 (what is waited for comes from another process)
            await asyncio.sleep(0.02)

    assert again.json() == first.json() != other.json()
    assert [one.status_code for one in (first, again, other, changed, nameless)] == [202, 202, 202, 422, 422]
    assert nameless.json()["type"] == "https://fanout.dev/problems/no-idempotency-key"
    assert "x-tenant" not in a.got[0].headers, "to be read is not to be forwarded"


async def test_a_target_that_takes_structured_events_gets_what_came_byte_for_byte(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route({"name": "a", "url": a.url, "request": {"mode": "Structured"}})
    process = await bench.started()
    data = b'{ "total":\t99.00 }'
    event = b'{"id":"7","specversion":"1.0","source":"/s","type":"t","n":3,"data":%b}' % data

    answers = [
        await bench.client.post(f"{process.listen}/shop/order-placed", content=content, headers={"content-type": kind})
        for content, kind in ((event, "application/cloudevents+json"), (b"\xff", "image/png"))
    ]
    async with asyncio.timeout(SOON):
        while len(a.got) < 2:  # noqa: ASYNC110 (what is waited for comes from another process)
            await asyncio.sleep(0.02)

    told = sorted((got.body for got in a.got), key=len)
    assert [one.status_code for one in answers] == [202, 202]
    assert {got.headers["content-type"] for got in a.got} == {"application/cloudevents+json"}
    assert b'"data":' + data + b"}" in told[0] + told[1]
    assert sorted(json.loads(one).get("n", "") for one in told) == ["", "3"]
    assert [json.loads(one).get("data_base64") for one in told if b"data_base64" in one] == ["/w=="]


async def test_a_caller_that_waits_has_the_same_answer_again_also_after_a_kill(bench: Bench) -> None:
    a = await bench.target("a")
    a.says = b'{ "amount":\t7.00 }'
    bench.route(a, accept={"idempotency": {}}, respond={"mode": "Settled"})
    process = await bench.started()

    async def pay(**headers: str) -> httpx.Response:
        url = f"{process.listen}/shop/order-placed"
        return await bench.client.post(url, json={}, headers={"Idempotency-Key": "k"} | headers, timeout=SOON)

    first, again = await pay(), await pay()
    await committed(bench, process)
    process.kill()
    await process.start()
    after = await pay()

    assert [one.status_code for one in (first, again, after)] == [200, 200, 200]
    assert first.content == again.content == after.content
    assert b'{ "amount":\t7.00 }' in after.content
    assert first.headers["fanout-receipt"] == after.headers["fanout-receipt"]
    assert [got.key for got in a.got].count(a.got[0].key) == 1


async def test_while_a_caller_waits_its_key_is_in_use_and_after_a_kill_its_receipt_is_there(bench: Bench) -> None:
    a = await bench.target("a")
    a.freeze()
    bench.route(a, accept={"idempotency": {}}, respond={"mode": "Settled", "timeout": "60s"})
    process = await bench.started()

    async def pay() -> httpx.Response:
        url = f"{process.listen}/shop/order-placed"
        return await bench.client.post(url, json={}, headers={"Idempotency-Key": "k"}, timeout=60)

    first = asyncio.create_task(pay())
    while not a.connections:  # noqa: ASYNC110 (what is waited for comes from another process)
        await asyncio.sleep(0.02)
    busy = await pay()
    process.kill()
    with pytest.raises(httpx.TransportError):
        await first
    a.cut()
    await process.start()
    again = await pay()

    assert (busy.status_code, busy.headers["retry-after"]) == (409, "1")
    assert busy.json()["type"] == "https://fanout.dev/problems/idempotency-key-in-use"
    assert (again.status_code, again.headers["fanout-answer"]) == (202, "not-kept")
    view = await bench.client.get(process.listen + again.headers["location"])
    assert view.json()["receipt"] == again.json()["receipt"]


async def committed(bench: Bench, process: Process) -> None:
    """Post something else and have its receipt: whatever was on its way to the disk before is there."""
    headers = {"Idempotency-Key": "other", "Prefer": "respond-async"}
    answer = await bench.client.post(f"{process.listen}/shop/order-placed", json={}, headers=headers, timeout=SOON)
    assert answer.status_code == 202


async def test_an_answer_in_a_shape_of_the_routes_own_is_told_again_as_it_was(bench: Bench) -> None:
    a = await bench.target("a")
    a.says = b'{"amount": 7}'
    shape = {"status": 201, "bodyExpression": "{'id': event.id, 'paid': targets.a.body.amount}"}
    bench.route(a, accept={"idempotency": {}}, respond={"mode": "Settled"} | shape)
    process = await bench.started()

    first, again = [
        await bench.client.post(
            f"{process.listen}/shop/order-placed", json={}, headers={"Idempotency-Key": "k", "X-Request-Id": one}
        )
        for one in ("one", "two")
    ]

    assert (first.status_code, first.json()["paid"]) == (201, 7)
    assert first.content == again.content, "the id is one of ours, and of the first request"
    assert (again.status_code, again.headers["x-request-id"]) == (201, "two")


async def test_the_same_key_for_another_resource_is_another_request(bench: Bench) -> None:
    a = await bench.target("a")
    listen = {"path": "/shop/orders/{id}", "methods": ["PUT", "DELETE"]}
    bench.route(a, listen=listen, accept={"idempotency": {}}, respond={"mode": "Settled"})
    process = await bench.started()

    async def ask(method: str, path: str) -> int:
        answer = await bench.client.request(method, process.listen + path, headers={"Idempotency-Key": "k"})
        return answer.status_code

    said = [
        await ask(method, path)
        for method, path in (
            ("PUT", "/shop/orders/1"),
            ("PUT", "/shop/orders/1"),
            ("PUT", "/shop/orders/2"),
            ("DELETE", "/shop/orders/1"),
        )
    ]

    assert said == [200, 200, 422, 422]
    assert len(a.got) == 1


@pytest.mark.parametrize(
    ("idempotency", "headers"),
    [
        ({"keyExpression": "data.key"}, {}),
        ({}, {"ce-specversion": "1.0", "ce-id": "7", "ce-source": "/till", "ce-type": "paid"}),
    ],
    ids=["a key found in the data", "a CloudEvent"],
)
async def test_whatever_gives_the_key_another_resource_is_another_request(
    bench: Bench, idempotency: dict[str, str], headers: dict[str, str]
) -> None:
    a = await bench.target("a")
    listen = {"path": "/shop/orders/{id}", "methods": ["PUT"]}
    bench.route(a, listen=listen, accept={"idempotency": idempotency}, respond={"mode": "Settled"})
    process = await bench.started()

    said = [
        (
            await bench.client.put(f"{process.listen}/shop/orders/{order}", json={"key": "k"}, headers=headers)
        ).status_code
        for order in (1, 1, 2)
    ]

    assert said == [200, 200, 422]
    assert len(a.got) == 1
