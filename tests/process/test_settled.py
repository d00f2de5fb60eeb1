"""Routes that answer with what their targets said: the real command, real targets, one curl's worth of HTTP."""

import asyncio
import json
import pathlib
import sys
import typing

import httpx
import pytest
from aiohttp import web

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually, view
from tests.support.served import Served

SETTLED: typing.Final = {"mode": "Settled"}


async def ask(bench: Bench, listen: str, **options: typing.Any) -> httpx.Response:
    return await bench.client.post(f"{listen}/shop/order-placed", json={"order": 7}, timeout=20, **options)


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
async def test_a_caller_is_answered_with_what_every_target_said(bench: Bench, flags: tuple[str, ...]) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    a.says = json.dumps({"amount": 7}).encode()
    bench.route(a, b, respond=SETTLED)
    process = await bench.started(*flags)

    answers = await asyncio.gather(*(ask(bench, process.listen) for _ in range(20)))

    for answer in answers:
        assert answer.status_code == 200, answer.text
        receipt = answer.headers["fanout-receipt"]
        assert answer.json() == {
            "receipt": receipt,
            "targets": {
                "a": {"state": "Delivered", "status": 200, "body": {"amount": 7}},
                "b": {"state": "Delivered", "status": 204},
            },
        }
        states = await view(bench, process, receipt)
        assert {one["state"] for one in states.values()} == {"Delivered"}, "what is told is what the journal has"


async def test_a_caller_is_answered_in_the_shape_that_the_route_gives(bench: Bench) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    a.says, b.says = b'{"amount": 7}', b'{"amount": 9}'
    shape = {
        "status": 201,
        "headers": [{"name": "x-shop", "valueExpression": "headers['x-shop']"}],
        "bodyExpression": "{'order': data.order, 'total': targets.a.body.amount + targets.b.body.amount}",
    }
    bench.route(a, b, respond=SETTLED | shape)
    bench.route(a, b, name="wrong", respond=SETTLED | {"bodyExpression": "targets.a.body.total"})
    process = await bench.started()

    answer = await ask(bench, process.listen, headers={"X-Shop": "north"})
    wrong = await bench.client.post(f"{process.listen}/shop/wrong", json={}, timeout=20)

    assert (answer.status_code, answer.json()) == (201, {"order": 7, "total": 16})
    assert answer.headers["x-shop"] == "north"
    assert (wrong.status_code, wrong.json()["type"].rpartition("/")[2]) == (500, "expression-failed")
    states = await view(bench, process, wrong.headers["fanout-receipt"])
    assert {one["state"] for one in states.values()} == {"Delivered"}, "the delivery is not lost for it"


async def test_after_a_timeout_the_delivery_goes_on_and_the_receipt_tells(bench: Bench) -> None:
    slow = await bench.target("slow")
    slow.delay = 1.0
    bench.route(slow, respond=SETTLED | {"timeout": "200ms"})
    process = await bench.started()

    answer = await ask(bench, process.listen)

    async def delivered() -> bool:
        states = await view(bench, process, answer.headers["fanout-receipt"])
        return bool(states["slow"]["state"] == "Delivered")

    assert (answer.status_code, answer.json()["type"]) == (504, "https://fanout.dev/problems/targets-timeout")
    await eventually(delivered)
    metrics = (await bench.client.get(f"{process.admin}/metrics")).text
    assert 'fanout_answers_total{route="shop/order-placed",ending="Timeout"} 1' in metrics
    assert 'fanout_late_settles_total{route="shop/order-placed"} 1' in metrics
    assert 'fanout_callers_waiting{route="shop/order-placed"} 0' in metrics


async def test_a_caller_that_hangs_up_loses_no_delivery(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 0.5
    bench.route(a, respond=SETTLED)
    process = await bench.started()

    with pytest.raises(httpx.ReadTimeout):
        await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x", timeout=0.2)

    async def delivered() -> bool:
        return bool(a.got) and a.got[0].answered

    await eventually(delivered)


async def test_sigterm_answers_everybody_who_waits_and_the_next_start_delivers(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 30.0
    bench.route(a, respond=SETTLED | {"timeout": "60s"})
    process = await bench.started()
    waiting = [asyncio.create_task(ask(bench, process.listen)) for _ in range(5)]

    async def asked() -> bool:
        return len(a.got) == 5

    await eventually(asked)
    await asyncio.to_thread(process.stop)
    answers = await asyncio.gather(*waiting)
    a.delay = 0.0
    a.cut()
    await process.start()

    async def delivered() -> bool:
        return len({one.event for one in a.got if one.answered}) == 5

    assert {(one.status_code, one.json()["type"].rpartition("/")[2]) for one in answers} == {(503, "shutting-down")}
    await eventually(delivered)


async def test_fanout_send_has_its_receipt_at_once_also_where_others_wait(bench: Bench) -> None:
    a = await bench.target("a")
    a.delay = 0.3
    bench.route(a, respond=SETTLED)
    process = await bench.started()
    fanout = pathlib.Path(sys.executable).with_name("fanout")

    sent = await asyncio.create_subprocess_exec(
        fanout, "send", f"{process.listen}/shop/order-placed", "--data", "{}", "--wait", "--output", "json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await sent.communicate()

    assert sent.returncode == 0
    assert json.loads(said)["settled"] is True


@pytest.mark.parametrize("flags", [(), ("--workers", "2")])
async def test_path_and_query_of_a_get_outlive_a_crash(bench: Bench, flags: tuple[str, ...]) -> None:
    """Accepted while the target cannot be asked, killed, and asked by the next process as the caller asked."""
    came: asyncio.Queue[tuple[str, str]] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        came.put_nowait((request.method, request.raw_path))
        return web.json_response({"left": 3})

    served = await Served(take).open()
    asked: dict[str, typing.Any] = {"method": "GET", "pathExpression": "['stock', path.id]"}
    asked["query"] = [{"name": "at", "valueExpression": "query.at"}]
    stock = {"name": "stock", "url": f"http://127.0.0.1:{served.port}/", "request": asked}
    listen = {"path": "/shop/products/{id}", "methods": ["GET"]}
    bench.route(stock, respond=SETTLED, listen=listen, suspend=True)
    process = await bench.started(*flags)
    try:
        path = f"{process.listen}/shop/products/4711%2Fb?at=Hamburg+Ost&token=secret"
        held = await bench.client.get(path, headers={"prefer": "respond-async"})
        process.kill()
        bench.route(stock, respond=SETTLED, listen=listen)
        await process.start()
        first = await came.get()
        answer = await bench.client.get(f"{process.listen}/shop/products/7?at=x", timeout=20)
        elsewhere = await bench.client.get(f"{process.listen}/shop/products/", timeout=20)
    finally:
        process.stop()
        await served.close()

    assert held.status_code == 202
    assert first == ("GET", "/stock/4711%2Fb?at=Hamburg%20Ost")
    assert (answer.status_code, answer.json()["targets"]["stock"]["body"]) == (200, {"left": 3})
    assert elsewhere.status_code == 404
