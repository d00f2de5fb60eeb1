"""A data port made of aiohttp's server, for tests alone: the measure of ours where HTTP leaves a server no choice."""

import asyncio
import collections.abc
import contextlib

from aiohttp import web

from tests.support.listening import shut


class AiohttpIngress:
    """Takes events at one path, answers 202, and keeps the bodies."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.address = ("", 0)

    async def accept(self, request: web.Request) -> web.Response:
        """Take an event."""
        self.bodies.append(await request.read())
        return web.json_response({"receipt": f"r{len(self.bodies)}"}, status=202)


@contextlib.asynccontextmanager
async def aiohttp_ingress(path: str) -> collections.abc.AsyncIterator[AiohttpIngress]:
    """One that listens on loopback until the block ends."""
    port = AiohttpIngress()
    app = web.Application()
    app.router.add_post(path, port.accept)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    assert runner.server is not None
    server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)
    port.address = server.sockets[0].getsockname()
    try:
        yield port
    finally:
        await shut(server)
        await runner.cleanup()
