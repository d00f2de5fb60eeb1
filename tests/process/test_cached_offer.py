"""The offer of the examples: a price from memory, a stock that is asked once more, a 404 that is the services' own."""

import asyncio
import pathlib

import httpx
from aiohttp import web

from tests.process.test_examples import moved
from tests.support.dispatcher import Process
from tests.support.served import Served

SOON = 20.0  # seconds


class Shop:
    """Both services on one port. The first who asks for a stock is never answered."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []  # path, and which attempt of which delivery it was
        self._over = asyncio.Event()
        self._served = Served(self._take, "GET", "/{kind}/{sku}")

    async def start(self) -> int:
        return (await self._served.open()).port

    async def stop(self) -> None:
        self._over.set()
        await self._served.close()

    def paths(self) -> list[str]:
        """What was asked for since the last time."""
        paths, self.asked = sorted(path for path, _ in self.asked), []
        return paths

    async def _take(self, request: web.Request) -> web.Response:
        hangs = request.match_info["kind"] == "stock" and not any("stock" in path for path, _ in self.asked)
        attempt = f"{request.headers['fanout-attempt']} {request.headers['idempotency-key']}"
        self.asked.append((request.raw_path, attempt))
        if hangs and request.match_info["sku"] == "slow":
            await self._over.wait()
        if request.match_info["sku"] == "unknown":
            return web.Response(status=404)
        return web.json_response({"amount": 7})


async def test_a_price_comes_from_memory_and_a_slow_stock_is_asked_once_more(tmp_path: pathlib.Path) -> None:
    """With time enough for an attempt that nobody answers: what is told is not what a timeout brought."""
    shop = Shop()
    folder = moved(tmp_path, "13-cached-offer", r"127\.0\.0\.1:91\d\d", await shop.start())
    route = folder / "route.yaml"
    text = route.read_text().replace("{attempt: 1s, total: 3s}", "{attempt: 30s, total: 60s}")
    route.write_text(text.replace("timeout: 3s", "timeout: 60s"))
    process = Process(tmp_path, folder)
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, base_url=f"{process.listen}/shop/offers", timeout=SOON) as http:
            first = await http.get("/slow?currency=CHF")
            tries = [attempt for path, attempt in shop.asked if path == "/stock/slow"]
            asked = [shop.paths()]
            again = await http.get("/4711?currency=CHF"), await http.get("/4711?currency=CHF")
            asked.append(shop.paths())
            euros = await http.get("/4711")
            asked.append(shop.paths())
            unknown = await http.get("/unknown")
    finally:
        process.stop()
        await shop.stop()

    assert [one.status_code for one in (first, *again, euros, unknown)] == [200, 200, 200, 200, 404]
    fresh = {"state": "Delivered", "status": 200, "body": {"amount": 7}}
    assert first.json()["targets"] == {"price": fresh, "stock": fresh}
    assert tries[0].startswith("1 ")
    assert tries == [tries[0]] * 2, "the first attempt, asked twice under one key"
    assert [one.json()["targets"]["price"] for one in again] == [fresh, fresh | {"cached": True}]
    assert asked[0] == ["/prices/slow?currency=CHF", "/stock/slow", "/stock/slow"]
    assert asked[1].count("/prices/4711?currency=CHF") == 1
    assert "/prices/4711?currency=EUR" in asked[2], "another currency is another question"
    assert unknown.json()["targets"]["price"] == {"state": "Delivered", "status": 404}
    assert unknown.headers["cache-control"] == "no-store"
