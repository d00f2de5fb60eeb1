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
        self.open = asyncio.Event()  # while it is not set, nothing that was taken is answered
        self.open.set()
        self.address = ("", 0)

    async def accept(self, request: web.Request) -> web.Response:
        """Take an event."""
        self.bodies.append(await request.read())
        receipt = f"r{len(self.bodies)}"
        await self.open.wait()
        return web.json_response({"receipt": receipt}, status=202)


@contextlib.asynccontextmanager
async def aiohttp_ingress(path: str, *, most: int, idle: float) -> collections.abc.AsyncIterator[AiohttpIngress]:
    """One that listens on loopback until the block ends: bodies of *most* bytes, connections unused for *idle* s."""
    port = AiohttpIngress()
    app = web.Application(client_max_size=most)
    app.router.add_post(path, port.accept)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0, keepalive_timeout=idle)
    await runner.setup()
    assert runner.server is not None
    server = await asyncio.get_running_loop().create_server(runner.server, "127.0.0.1", 0)
    port.address = server.sockets[0].getsockname()
    try:
        yield port
    finally:
        await shut(server)
        await runner.cleanup()
