"""The chain of the examples, by the real command and real receivers: each step is sent what those before it answered.

Also when the process is killed in the middle of any of them.
"""

import asyncio
import collections
import json
import pathlib
import typing

import httpx
import pytest
from aiohttp import web

from tests.process.test_saga import settled
from tests.support.dispatcher import Process
from tests.support.served import Served

EXAMPLE = pathlib.Path(__file__).parents[2] / "examples" / "10-chain" / "route.yaml"
SOON = 20.0  # seconds
STEPS = ("reservations", "charges", "tickets", "bookings")
Json = typing.Any


class Services:
    """All of them on one port. Each answer has an id that no other has; the first request to *hangs* gets none."""

    def __init__(self, *, hangs: str = "", status: str = "captured", refuses: str = "") -> None:
        self.asked: list[tuple[str, str, Json]] = []  # method, path and what was sent
        self.gave: dict[str, list[str]] = collections.defaultdict(list)  # by path, the ids in order
        self.told = asyncio.Event()
        self.hanging = asyncio.Event()
        self._hangs, self._status, self._refuses = hangs, status, refuses
        self._over = asyncio.Event()
        self._served = Served(self._take)

    async def start(self) -> str:
        return f"127.0.0.1:{(await self._served.open()).port}"

    async def stop(self) -> None:
        self._over.set()
        await self._served.close()

    def sent(self, path: str) -> list[Json]:
        """What was sent to a path."""
        return [body for _, asked, body in self.asked if asked == path]

    async def _take(self, request: web.Request) -> web.Response:
        body, path = await request.read(), request.path.strip("/")
        self.asked.append((request.method, path, json.loads(body) if body else None))
        if path == self._hangs and not self.hanging.is_set():
            self.hanging.set()
            await self._over.wait()
            return web.Response(status=503)
        if path == self._refuses:
            return web.Response(status=409)
        self.gave[path].append(f"{path}-{len(self.asked)}")
        if path == "bookings":
            self.told.set()
        return web.json_response({"id": self.gave[path][-1], "status": self._status})


async def booked(tmp_path: pathlib.Path, services: Services, *, killed: bool = False) -> dict[str, str]:
    """Book once; what became of each delivery."""
    address = await services.start()
    text = EXAMPLE.read_text()
    for port in range(9121, 9125):
        text = text.replace(f"127.0.0.1:{port}", address)
    manifest = tmp_path / "route.yaml"
    manifest.write_text(text)
    process = Process(tmp_path, manifest)
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http, asyncio.timeout(2 * SOON):
            posted = await http.post(f"{process.listen}/travel/booking", json={"seat": "12A"})
            assert posted.status_code == 202
            if killed:
                await services.hanging.wait()
                process.kill()
                await process.start()
            await services.told.wait()
            found = await settled(http, process.listen + posted.headers["location"])
    finally:
        process.stop()
        await services.stop()
    return {one["target"]: one["state"] for one in found["deliveries"]}


async def test_each_step_is_sent_what_those_before_it_have_answered(tmp_path: pathlib.Path) -> None:
    services = Services()

    became = await booked(tmp_path, services)

    reservation, charge, ticket = (services.gave[path][0] for path in STEPS[:3])
    assert services.sent("charges") == [{"reservation": reservation, "order": {"seat": "12A"}}]
    assert services.sent("tickets") == [{"reservation": reservation, "charge": charge}]
    steps = services.sent("bookings")[0]["steps"]
    assert {name: (one["state"], one["body"]["id"]) for name, one in steps.items()} == {
        "reserve": ("Delivered", reservation),
        "payment": ("Delivered", charge),
        "ticket": ("Delivered", ticket),
    }
    assert became["ticket"] == "Delivered"


async def test_a_step_whose_condition_reads_another_answer_is_skipped(tmp_path: pathlib.Path) -> None:
    services = Services(status="refused")

    became = await booked(tmp_path, services)

    assert became["ticket"] == "Skipped"
    assert services.sent("tickets") == []
    assert services.sent("bookings")[0]["steps"]["ticket"] == {"state": "Skipped", "fallback": False}


async def test_what_is_cancelled_is_the_reservation_that_was_made(tmp_path: pathlib.Path) -> None:
    services = Services(refuses="charges")

    became = await booked(tmp_path, services)

    assert ("DELETE", f"reservations/{services.gave['reservations'][0]}", None) in services.asked
    assert (became["payment"], became["reserve.compensate"]) == ("Dead", "Delivered")
    assert services.sent("bookings")[0]["steps"]["payment"] == {
        "state": "Dead",
        "reason": "TargetRejected",
        "fallback": False,
    }


@pytest.mark.parametrize("step", STEPS)
async def test_a_dispatcher_that_is_killed_at_any_step_goes_on_with_the_answers_that_it_had(
    tmp_path: pathlib.Path, step: str
) -> None:
    services = Services(hangs=step)

    became = await booked(tmp_path, services, killed=True)

    reservation, charge = services.gave["reservations"][-1], services.gave["charges"][-1]
    assert {body["reservation"] for body in services.sent("charges")} == {reservation}
    assert {(body["reservation"], body["charge"]) for body in services.sent("tickets")} == {(reservation, charge)}
    assert services.sent("bookings")[-1]["steps"]["payment"]["body"]["id"] == charge
    assert became["ticket"] == "Delivered"
    assert len(services.sent(step)) == 2
