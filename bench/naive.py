"""The reference: what a good engineer writes in an afternoon.

An aiohttp application on uvloop that answers 202 and posts the event to each target with one shared session. It keeps
events in memory only, tries once and has no policy at all. Nothing here is made slow on purpose: no access log, the
body is read once and passed on as it is, connections are kept alive, and tasks are not awaited by the producer.

    python -m bench.naive 127.0.0.1:8080 http://127.0.0.1:9001/a http://127.0.0.1:9002/b
"""

import asyncio
import sys
from collections.abc import AsyncIterator

import aiohttp
import uvloop
from aiohttp import web

SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


def application(targets: list[str]) -> web.Application:
    """Fan every POST out to *targets*."""
    under_way: set[asyncio.Task[None]] = set()

    async def send(session: aiohttp.ClientSession, url: str, body: bytes, headers: dict[str, str]) -> None:
        try:
            async with session.post(url, data=body, headers=headers) as answer:
                await answer.read()
        except (aiohttp.ClientError, TimeoutError):
            pass  # the event is lost for this target: that is what having no policy means

    async def accept(request: web.Request) -> web.Response:
        body = await request.read()
        headers = {"content-type": request.headers.get("content-type", "application/octet-stream")}
        for url in targets:
            task = asyncio.create_task(send(request.app[SESSION], url, body, headers))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
        return web.Response(status=202)

    async def session(app: web.Application) -> AsyncIterator[None]:
        async with aiohttp.ClientSession() as shared:
            app[SESSION] = shared
            yield

    app = web.Application()
    app.router.add_post("/{path:.*}", accept)
    app.cleanup_ctx.append(session)
    return app


def main(listen: str, targets: list[str]) -> None:
    """Serve until killed."""
    host, _, port = listen.rpartition(":")
    web.run_app(
        application(targets), host=host, port=int(port), access_log=None, print=None, loop=uvloop.new_event_loop()
    )


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
