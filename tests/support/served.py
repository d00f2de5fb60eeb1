"""The services of an example inside the test's own loop: one handler answers whatever is asked of them, on one port."""

import asyncio

from aiohttp import web
from aiohttp.typedefs import Handler

from tests.support.listening import shut


class Served:
    """A server at a free loopback *port*: *take* answers what is asked by *method* and *path*, 404 or 405 the rest."""

    def __init__(self, take: Handler, method: str = "*", path: str = "/{path:.*}") -> None:
        app = web.Application()
        app.router.add_route(method, path, take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        self.port = 0
        self._server: asyncio.Server

    async def open(self) -> "Served":
        """Listen."""
        await self._runner.setup()
        assert self._runner.server is not None
        self._server = await asyncio.get_running_loop().create_server(self._runner.server, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def close(self) -> None:
        """Stop listening, and drop every connection."""
        await shut(self._server)
        await self._runner.cleanup()
