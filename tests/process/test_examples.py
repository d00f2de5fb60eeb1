"""What the examples promise, by the real command: each manifest as it stands, but for where its targets are."""

import asyncio
import pathlib

import httpx
from aiohttp import web

from tests.support.dispatcher import Process

EXAMPLES = pathlib.Path(__file__).parents[2] / "examples"
SOON = 15.0  # seconds


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


def moved(folder: pathlib.Path, example: str, address: str, port: int) -> pathlib.Path:
    """Copy an example, with its target elsewhere on this machine."""
    copy = folder / example
    copy.mkdir()
    for file in (EXAMPLES / example).iterdir():
        (copy / file.name).write_text(file.read_text().replace(address, f"127.0.0.1:{port}"))
    return copy
