"""Every curl command that an example shows, as it stands, against all examples at once: what the caller is answered,
and what its targets are asked. They answer well, so what an example says of trouble is shown by its own test.
"""

import asyncio
import contextlib
import pathlib
import re
import typing

import httpx
import pytest
from aiohttp import web

from tests.support.commands import EXAMPLES, Command, commands
from tests.support.dispatcher import Process
from tests.support.served import Served

SOON = 15.0  # seconds
SAYS: typing.Final = {"id": "r-7", "status": "captured", "price": 7}
OUTBOX: typing.Final = "08-outbox"  # whose events come out of a database
SHOWN: typing.Final[list[tuple[str, int, list[str]]]] = [
    ("01-fan-out/route.yaml", 202, ["POST /events"] * 3),
    ("03-filter-and-transform/route.yaml", 202, ["POST /events?source=fanout&country=de", "PUT /invoices/7"]),
    ("04-scatter-gather/all.yaml", 200, ["POST /offers"] * 3),
    ("04-scatter-gather/critical.yaml", 200, ["POST /charges", "POST /events", "POST /mails"]),
    ("04-scatter-gather/first.yaml", 200, ["POST /rates"] * 2),
    ("04-scatter-gather/quorum.yaml", 200, ["POST /entries"] * 3),
    ("04-scatter-gather/quote.yaml", 200, ["POST /offers"] * 2),
    ("05-idempotent-intake/route.yaml", 202, ["POST /bookings"]),
    ("05-idempotent-intake/route.yaml", 422, []),
    ("06-throttled-intake/route.yaml", 202, ["POST /readings"]),
    ("07-ordered/route.yaml", 202, ["POST /events"] * 2),
    (
        "09-saga/route.yaml",
        202,
        ["POST /audit", "POST /bookings", "POST /charges", "POST /confirmations", "POST /reservations"],
    ),
    ("10-chain/route.yaml", 202, ["POST /bookings", "POST /charges", "POST /reservations", "POST /tickets"]),
    (
        "11-api-orchestration/route.yaml",
        200,
        ["GET /prices/4711?currency=EUR", "GET /products/4711/reviews?limit=5", "GET /stock/4711"],
    ),
    (
        "12-graceful-degradation/route.yaml",
        200,
        ["POST /prices", "POST /recommendations", "POST /reviews", "POST /views"],
    ),
    ("13-cached-offer/route.yaml", 200, ["GET /prices/4711?currency=CHF", "GET /stock/4711"]),
    ("13-cached-offer/route.yaml", 200, ["GET /stock/4711"]),
    ("14-sales/route.yaml", 202, ["POST /events"] * 2 + ["POST /rows"]),
    ("15-charge/route.yaml", 201, ["POST /charges"]),
    ("15-charge/route.yaml", 201, []),
    ("15-charge/route.yaml", 422, []),
    ("16-partners/route.yaml", 202, ["POST /hooks", "POST /states"]),
]


async def test_what_an_example_shows_is_answered_and_delivered_as_it_says(tmp_path: pathlib.Path) -> None:
    came: asyncio.Queue[str] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        await request.read()
        came.put_nowait(f"{request.method} {request.raw_path}")
        return web.json_response(SAYS)

    served = await Served(take).open()
    process = Process(tmp_path, moved(tmp_path, served.port))
    found = []
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, base_url=process.listen, timeout=SOON) as http:
            for command, (_, _, asked) in zip(commands(), SHOWN, strict=True):
                answer = await http.request(command.method, command.path, headers=command.headers, content=command.body)
                arrived = await arrivals(came, len(asked))
                found.append((command.file, answer.status_code, arrived))
    finally:
        process.stop()
        await served.close()

    assert found == SHOWN
    assert came.empty(), "nobody was asked for more"


async def arrivals(came: asyncio.Queue[str], count: int) -> list[str]:
    """The next *count* requests, or those of them that come soon."""
    arrived: list[str] = []
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(SOON):
            while len(arrived) < count:
                arrived.append(await came.get())
    return sorted(arrived)


def moved(folder: pathlib.Path, port: int) -> pathlib.Path:
    """All examples in one folder, each target at *port*; one that a busy machine makes slow is not asked once more."""
    for file in EXAMPLES.rglob("*.yaml"):
        if file.parent.name != OUTBOX:
            copy = folder / "examples" / file.relative_to(EXAMPLES)
            copy.parent.mkdir(parents=True, exist_ok=True)
            text = file.read_text().replace("delay: 80ms", "delay: 900ms")
            copy.write_text(re.sub(r"http://127\.0\.0\.1:91\d\d", f"http://127.0.0.1:{port}", text))
    return folder / "examples"


@pytest.mark.parametrize("example", sorted({path.name for path in EXAMPLES.iterdir() if path.is_dir()}))
def test_an_example_shows_how_to_give_it_an_event(example: str) -> None:
    others = {OUTBOX: "orders.py", "02-bearer-token": "fanout send"}
    shown = [one for one in commands() if one.file.startswith(f"{example}/")]

    assert shown or others[example] in "".join(
        file.read_text() for file in (EXAMPLES / example).iterdir() if file.suffix in {".md", ".yaml"}
    )


def test_a_command_is_read_as_curl_would() -> None:
    throttled = next(one for one in commands() if one.file.startswith("06-"))

    assert throttled == Command(
        file="06-throttled-intake/route.yaml",
        path="/metering/readings",
        headers={"X-Tenant": "ada", "Content-Type": "application/json"},
        body='{"kWh": 3}',
    )
