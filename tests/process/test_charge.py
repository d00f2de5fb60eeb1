"""The charge of the examples: an order is charged once, a full line turns away at once, and nothing of that is kept."""

import asyncio
import collections
import pathlib

import httpx
from aiohttp import web

from tests.process.test_examples import moved
from tests.support.dispatcher import Process
from tests.support.served import Served

SOON = 30.0  # seconds
SLOTS, LINE = 8, 16  # what the example gives
CALLERS = SLOTS + LINE + 6


class Provider:
    """Charges each order under an id of its own, and declines that of the order "poor". It may be told to wait."""

    def __init__(self) -> None:
        self.charged: collections.Counter[str] = collections.Counter()
        self.open = asyncio.Event()
        self.open.set()
        self._served = Served(self._take, "POST", "/charges")

    async def start(self) -> int:
        return (await self._served.open()).port

    async def stop(self) -> None:
        self.open.set()
        await self._served.close()

    async def _take(self, request: web.Request) -> web.Response:
        order = (await request.json())["order"]
        await self.open.wait()
        self.charged[order] += 1
        return web.json_response({"id": f"c-{self.charged.total()}"}, status=402 if order == "poor" else 200)


def patient(folder: pathlib.Path) -> None:
    """Let whoever waits do so for as long as the test has the provider wait."""
    route = folder / "route.yaml"
    text = route.read_text().replace("timeout: 5s", "timeout: 120s")
    route.write_text(text.replace("{attempt: 2s, total: 4s}", "{attempt: 60s, total: 110s}"))


async def test_an_order_is_charged_once_and_who_finds_the_line_full_may_come_again(tmp_path: pathlib.Path) -> None:
    provider = Provider()
    folder = moved(tmp_path, "15-charge", r"127\.0\.0\.1:91\d\d", await provider.start())
    patient(folder)
    process = Process(tmp_path, folder)

    async def charge(order: str, amount: int = 80) -> httpx.Response:
        body = {"order": order, "amount": amount}
        return await http.post(f"{process.listen}/payments/charge", json=body, headers={"X-Merchant": "ada"})

    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, timeout=SOON) as http:
            paid = [await charge("7"), await charge("7")]
            poor = [await charge("poor"), await charge("poor")]
            reused = await charge("7", amount=90)

            provider.open.clear()
            crowd = {asyncio.create_task(charge(f"n-{number}")): f"n-{number}" for number in range(CALLERS)}
            refused: set[asyncio.Task[httpx.Response]] = set()
            async with asyncio.timeout(SOON):
                while len(refused) < CALLERS - SLOTS - LINE:
                    done, _ = await asyncio.wait(crowd.keys() - refused, return_when=asyncio.FIRST_COMPLETED)
                    refused |= done
            waiting = crowd.keys() - refused
            provider.open.set()
            taken = await asyncio.gather(*waiting)
            later = [await charge(crowd[one]) for one in refused]
    finally:
        process.stop()
        await provider.stop()

    assert [(one.status_code, one.json()) for one in paid] == [(201, {"id": "c-1"})] * 2
    assert [(one.status_code, one.json()) for one in poor] == [(402, {"id": "c-2"})] * 2
    assert (reused.status_code, reused.json()["type"].rpartition("/")[2]) == (422, "idempotency-key-reused")
    told = [(one.result().status_code, one.result().json()["type"].rpartition("/")[2]) for one in refused]
    assert told == [(503, "bulkhead-full")] * 6
    assert {one.status_code for one in (*taken, *later)} == {201}
    assert provider.charged.total() == len(provider.charged) == 2 + CALLERS
