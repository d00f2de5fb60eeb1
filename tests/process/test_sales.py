"""The sales of the examples: a batch that comes in, goes out as one, as single CloudEvents, and not before its time."""

import asyncio
import json
import pathlib
import typing

import httpx
from aiohttp import web

from tests.process.test_examples import moved
from tests.support.dispatcher import Process
from tests.support.served import Served

SOON = 20.0  # seconds
DELAY = 3.0  # seconds, in place of the hour
DATA: typing.Final = [b'{ "sku":\t"a" }', b'{"sku":"b","email":"ada@example.com"}', b'{"sku": "c", "paid": 3.00}']
Came = tuple[str, str, bytes, float]  # path, content type, body, when


async def test_a_batch_goes_out_as_one_as_single_events_and_not_before_its_time(tmp_path: pathlib.Path) -> None:
    came: list[Came] = []
    asked_all = asyncio.Event()
    now = asyncio.get_running_loop().time

    async def take(request: web.Request) -> web.Response:
        came.append((request.path, request.content_type, await request.read(), now()))
        if len(came) == 5:
            asked_all.set()
        return web.Response(status=204)

    served = await Served(take, "POST").open()
    folder = moved(tmp_path, "14-sales", r"127\.0\.0\.1:91\d\d", served.port)
    route = folder / "route.yaml"
    route.write_text(route.read_text().replace("delay: 1h", f"delay: {DELAY:.0f}s"))
    process = Process(tmp_path, folder)
    sold = [
        b'{"specversion":"1.0","id":"%d","source":"/tills/7","type":"sale","data":%b}' % one for one in enumerate(DATA)
    ]
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, timeout=SOON) as http:
            posted = now()
            answer = await http.post(
                f"{process.listen}/retail/sales",
                content=b"[%b]" % b",".join(sold),
                headers={"content-type": "application/cloudevents-batch+json"},
            )
            async with asyncio.timeout(SOON):
                await asked_all.wait()
    finally:
        process.stop()
        await served.close()

    assert (answer.status_code, len(answer.json()["events"])) == (202, 3)
    [(_, kind, rows, _)] = [one for one in came if one[0] == "/rows"]
    assert kind == "application/cloudevents-batch+json"
    assert sorted(one["data"]["sku"] for one in json.loads(rows)) == ["a", "b", "c"]
    single = sorted((one for one in came if one[0] == "/events"), key=lambda one: json.loads(one[2])["id"])
    assert {kind for _, kind, _, _ in single} == {"application/cloudevents+json"}
    assert all(b'"data":' + data in body for data, (_, _, body, _) in zip(DATA, single, strict=True))
    [(_, _, survey, at)] = [one for one in came if one[0] == "/surveys"]
    assert survey == DATA[1], "whoever has left no address is not asked"
    assert at - posted >= DELAY
