"""The services of an example inside the test's own loop: one handler answers whatever is asked of them, on one port."""

from aiohttp import web
from aiohttp.typedefs import Handler


class Served:
    """A server at a free loopback *port*: *take* answers what is asked by *method* and *path*, 404 or 405 the rest."""

    def __init__(self, take: Handler, method: str = "*", path: str = "/{path:.*}") -> None:
        app = web.Application()
        app.router.add_route(method, path, take)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        self.port = 0

    async def open(self) -> "Served":
        """Listen."""
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.port = self._runner.addresses[0][1]
        return self

    async def close(self) -> None:
        """Stop listening, and drop every connection."""
        await self._runner.cleanup()
