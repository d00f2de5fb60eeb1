"""The proxy that makes an API server faulty ends whatever it has under way, and says nothing of it."""

import asyncio
import contextlib
import gc
import logging
import ssl
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import trustme
from aiohttp import web

from tests.support.faulty_api import faulty


async def watching(request: web.Request) -> web.StreamResponse:
    """A watch in which there is something to say now and then, until nobody listens."""
    response = web.StreamResponse()
    await response.prepare(request)
    with contextlib.suppress(ConnectionError):
        while True:
            await response.write(b"{}\n")
            await asyncio.sleep(0.01)
    return response


async def test_watches_that_are_open_when_it_ends_are_no_noise(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(tmp_path / "ca.crt"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    app = web.Application()
    app.router.add_get("/{any:.*}", watching)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
    server: Any = SimpleNamespace(url=f"https://127.0.0.1:{runner.addresses[0][1]}", ca_file=tmp_path / "ca.crt")
    with caplog.at_level(logging.ERROR, "asyncio"):
        proxy = faulty(server)
        api = proxy.__enter__()
        async with aiohttp.ClientSession() as client:
            watches = [await client.get(f"{api.url}/api/v1/pods?watch=1") for _ in range(4)]
            for each in watches[:2]:
                await each.content.readline()
            api.silence()
            for each in watches:
                each.close()
            held = await client.get(f"{api.url}/api/v1/pods?watch=1")
            await held.content.readline()
            await asyncio.to_thread(proxy.__exit__, None, None, None)
        await runner.cleanup()
        gc.collect()

    assert caplog.messages == []
