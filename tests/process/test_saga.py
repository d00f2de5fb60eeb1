"""The saga of the examples, by the real command and real receivers: what is done is undone, in reverse."""

import asyncio
import pathlib
import typing

import httpx
from aiohttp import web

from tests.support.dispatcher import Process

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "09-saga" / "route.yaml"
SOON = 20.0  # seconds


class Services:
    """All of them on one port: what was asked, in order. *refuses* answers 409 to these paths."""

    def __init__(self, *refuses: str) -> None:
        self.asked: list[str] = []
        self.audited = asyncio.Event()
        self._refuses = refuses
        app = web.Application()
        app.router.add_post("/{path:.*}", self._take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)

    async def start(self) -> str:
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"127.0.0.1:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        await self._runner.cleanup()

    async def _take(self, request: web.Request) -> web.Response:
        await request.read()
        self.asked.append(request.path.strip("/"))
        if request.path == "/audit":
            self.audited.set()
        return web.Response(status=409 if request.path.strip("/") in self._refuses else 204)


async def order(tmp_path: pathlib.Path, services: Services) -> list[dict[str, str]]:
    """Place one order; what became of its deliveries."""
    address = await services.start()
    text = EXAMPLE.read_text()
    for port in range(9101, 9106):
        text = text.replace(f"127.0.0.1:{port}", address)
    manifest = tmp_path / "route.yaml"
    manifest.write_text(text)
    process = Process(tmp_path, manifest)
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
