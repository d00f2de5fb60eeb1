"""What the examples promise, by the real command: each manifest as it stands, but for where its targets are."""

import asyncio
import pathlib

import httpx
from aiohttp import web

from tests.support.dispatcher import Process
from tests.support.targets import Target

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SOON = 15.0  # seconds
SEVEN = {"state": "Delivered", "status": 200, "body": {"price": 7}}


async def test_the_bearer_token_beside_its_route_reaches_the_target(tmp_path: pathlib.Path) -> None:
    came: asyncio.Queue[str | None] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        came.put_nowait(request.headers.get("Authorization"))
        return web.Response(status=204)

    app = web.Application()
    app.router.add_post("/signups", take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    process = Process(tmp_path, moved(tmp_path, "02-bearer-token", "127.0.0.1:9102", runner.addresses[0][1]))
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False) as http:
            answer = await http.post(f"{process.listen}/accounts/signed-up", json={"user": "ada"})
        async with asyncio.timeout(SOON):
            token = await came.get()
    finally:
        process.stop()
        await runner.cleanup()

    assert answer.status_code == 202
    assert token == "Bearer an-example-and-no-secret"


async def test_scatter_gather_answers_with_what_all_two_or_the_first_have_said(tmp_path: pathlib.Path) -> None:
    """A port each for fast, slow and broken: what the four routes make of the same three services."""
    fast, slow, broken = [await Target(name).open() for name in ("fast", "slow", "broken")]
    fast.says, slow.says = b'{"price": 7}', b'{"price": 9}'
    slow.delay, broken.status = 0.3, 422
    folder = tmp_path / "04-scatter-gather"
    folder.mkdir()
    for file in (EXAMPLES / "04-scatter-gather").iterdir():
        text = file.read_text()
        for port, target in ((9111, fast), (9112, slow), (9113, broken)):
            text = text.replace(f"http://127.0.0.1:{port}/", f"{target.url}/")
        (folder / file.name).write_text(text)
    process = Process(tmp_path, folder)
    try:
        await process.start()
        async with httpx.AsyncClient(trust_env=False, base_url=process.listen, timeout=SOON) as http:
            paths = ("/travel/offer", "/ledger/record", "/rates/lookup", "/shop/checkout")
            every, two, first, critical = await asyncio.gather(*(http.post(path, json={"id": 7}) for path in paths))
    finally:
        process.stop()
        for target in (fast, slow, broken):
            await target.close()

    assert every.status_code == 502
    assert [one["state"] for one in every.json()["targets"].values()][2] == "Dead"
    assert (two.status_code, two.json()["targets"]["middle"]["body"]) == (200, {"price": 9})
    assert first.json()["targets"] == {"primary": SEVEN, "mirror": {"state": "Pending"}}
    assert critical.json()["targets"] == {"payment": SEVEN}


def moved(folder: pathlib.Path, example: str, address: str, port: int) -> pathlib.Path:
    """Copy an example, with its target elsewhere on this machine."""
    copy = folder / example
    copy.mkdir()
    for file in (EXAMPLES / example).iterdir():
        (copy / file.name).write_text(file.read_text().replace(address, f"127.0.0.1:{port}"))
    return copy
