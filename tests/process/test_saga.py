"""The saga of the examples, by the real command and real receivers: what is done is undone, in reverse.

Also when the process is killed in the middle, and, once somebody has decided, when an undoing was given up.
"""

import asyncio
import pathlib
import typing

import httpx
import pytest
from aiohttp import web
from multidict import CIMultiDictProxy

from tests.support.dispatcher import Process
from tests.support.served import Served

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "09-saga" / "route.yaml"
SOON = 20.0  # seconds


class Services:
    """All of them on one port: what was asked, in order. *refuses* answers 409 to these paths.

    The first request for the path *hangs* has no answer.
    """

    def __init__(self, *refuses: str, hangs: str = "") -> None:
        self.asked: list[str] = []
        self.heads: dict[str, CIMultiDictProxy[str]] = {}  # of the last request for each path
        self.audited = asyncio.Event()
        self.hanging = asyncio.Event()
        self.refuses = set(refuses)
        self._hangs = hangs
        self._over = asyncio.Event()
        self._served = Served(self._take, "POST")

    async def start(self) -> str:
        return f"127.0.0.1:{(await self._served.open()).port}"

    async def stop(self) -> None:
        self._over.set()
        await self._served.close()

    async def _take(self, request: web.Request) -> web.Response:
        await request.read()
        path = request.path.strip("/")
        self.asked.append(path)
        self.heads[path] = request.headers
        if path == self._hangs and not self.hanging.is_set():
            self.hanging.set()
            await self._over.wait()
        if path == "audit":
            self.audited.set()
        return web.Response(status=409 if path in self.refuses else 204)


def dispatcher(tmp_path: pathlib.Path, address: str, *flags: str) -> Process:
    """A process that runs the example, with all services at *address*."""
    text = EXAMPLE.read_text()
    for port in range(9101, 9106):
        text = text.replace(f"127.0.0.1:{port}", address)
    manifest = tmp_path / "route.yaml"
    manifest.write_text(text)
    return Process(tmp_path, manifest, *flags)


async def order(tmp_path: pathlib.Path, services: Services) -> list[dict[str, str]]:
    """Place one order; what became of its deliveries."""
    process = dispatcher(tmp_path, await services.start())
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            posted = await http.post(f"{process.listen}/shop/order", json={"id": 7})
            assert posted.status_code == 202
            async with asyncio.timeout(SOON):
                await services.audited.wait()
                found = await settled(http, process.listen + posted.headers["location"])
    finally:
        process.stop()
        await services.stop()
    return list(found["deliveries"])


async def settled(http: httpx.AsyncClient, url: str) -> dict[str, typing.Any]:
    """What is known of an event once all of it is settled."""
    while True:
        found = (await http.get(url)).json()
        if found["settled"]:
            return dict(found)
        await asyncio.sleep(0.05)


async def test_an_order_that_goes_well_is_confirmed_and_nothing_is_undone(tmp_path: pathlib.Path) -> None:
    services = Services()

    became = await order(tmp_path, services)

    assert services.asked[0] == "charges"
    assert sorted(services.asked[1:3]) == ["bookings", "reservations"]
    assert services.asked[3:] == ["confirmations", "audit"]
    assert {one["target"]: one["state"] for one in became if one["target"].endswith(".compensate")} == {
        f"{name}.compensate": "Skipped" for name in ("payment", "stock", "courier")
    }


async def test_an_order_that_fails_is_undone_in_reverse(tmp_path: pathlib.Path) -> None:
    services = Services("confirmations")

    became = await order(tmp_path, services)

    assert services.asked[3] == "confirmations"
    assert sorted(services.asked[4:6]) == ["cancellations", "releases"]
    assert services.asked[6:] == ["refunds", "audit"]
    assert {one["target"]: one["state"] for one in became}["confirmation"] == "Dead"
    undone = {"refunds": "charges", "releases": "reservations", "cancellations": "bookings"}
    for undoing, original in undone.items():
        assert services.heads[undoing]["Fanout-Compensates"] == services.heads[original]["Idempotency-Key"]
    assert "Fanout-Compensates" not in services.heads["charges"]


STEPS = ("charges", "reservations", "bookings", "confirmations", "releases", "cancellations", "refunds", "audit")


@pytest.mark.parametrize("step", STEPS)
async def test_an_order_whose_dispatcher_is_killed_at_any_step_comes_to_its_end_by_the_next(
    tmp_path: pathlib.Path, step: str
) -> None:
    services = Services("confirmations", hangs=step)
    process = dispatcher(tmp_path, await services.start())
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(2 * SOON):
            posted = await http.post(f"{process.listen}/shop/order", json={"id": 7})
            await services.hanging.wait()
            process.kill()
            await process.start()
            await services.audited.wait()
            found = await settled(http, process.listen + posted.headers["location"])
    finally:
        process.stop()
        await services.stop()

    became = {one["target"]: one["state"] for one in found["deliveries"]}
    assert became.pop("confirmation") == "Dead"
    assert set(became.values()) == {"Delivered"}
    assert services.asked.count(step) == 2
    first = {path: services.asked.index(path) for path in STEPS}
    assert max(first["releases"], first["cancellations"]) < first["refunds"] < first["audit"]
    assert first["confirmations"] < min(first["releases"], first["cancellations"])


async def test_sagas_that_are_stuck_are_found_at_every_worker_after_a_kill_and_go_on_when_they_are_resumed(
    tmp_path: pathlib.Path,
) -> None:
    services = Services("confirmations", "releases")
    process = dispatcher(tmp_path, await services.start(), "--workers", "2")
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(2 * SOON):
            places = []
            for number in range(12):  # a connection each: the kernel deals them out
                async with httpx.AsyncClient(trust_env=False) as client:
                    posted = await client.post(f"{process.listen}/shop/order", json={"id": number})
                places.append(posted.headers["location"])
            before = await stuck(http, process, len(places))
            process.kill()
            await process.start()
            after = await stuck(http, process, len(places))
            shown = (await http.get(f"{process.admin}/v1/routes/shop/order")).json()
            page = (await http.get(f"{process.admin}/metrics")).text
            services.refuses.discard("releases")
            resumed = (await http.post(f"{process.admin}/v1/sagas/resume", json={"all": True})).json()
            became = [await settled(http, process.listen + place) for place in places]
            left = (await http.get(f"{process.admin}/v1/sagas")).json()["items"]
    finally:
        process.stop()
        await services.stop()

    assert before == after == sorted(resumed["receipts"])
    assert {one["name"]: one["stuck"] for one in shown["targets"] if one["stuck"]} == {"stock.compensate": 12}
    assert 'fanout_stuck{route="shop/order",target="stock.compensate"} 12\n' in page
    assert (resumed["remaining"], left) == (False, [])
    assert services.asked.count("refunds") == services.asked.count("audit") == 12
    assert all(one["settled"] for one in became)


async def stuck(http: httpx.AsyncClient, process: Process, count: int) -> list[str]:
    """The receipts of the sagas that are stuck, once there are *count*."""
    while True:
        found = (await http.get(f"{process.admin}/v1/sagas")).json()["items"]
        if len(found) >= count:
            return sorted(one["receipt"] for one in found)
        await asyncio.sleep(0.05)
