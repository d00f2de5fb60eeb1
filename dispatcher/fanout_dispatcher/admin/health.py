"""Health and metrics: whether the loop turns, whether events can be accepted, and every counter.

Liveness is a beat on the loop. While the loop is blocked nothing answers at all; the beat catches the other case, a
loop so late with its timers that the process had better be replaced. The journal is no part of it: a full disk is not
cured by a restart. Metrics are written a piece at a time, for they may be long, and the loop has other things to do.
"""

import asyncio
import typing

from aiohttp import web

from fanout_dispatcher.admin import problems
from fanout_dispatcher.telemetry import metrics
from fanout_dispatcher.values.desk import Desk, PortMeter
from fanout_dispatcher.values.sink import Holder

BEAT: typing.Final = 1.0  # seconds between beats
LATE: typing.Final = 15.0  # seconds without one


class Heartbeat:
    """Beats on the running loop."""

    def __init__(self) -> None:
        self._last = 0.0
        self._timer: asyncio.TimerHandle | None = None

    def start(self) -> None:
        """Beat, and again in a second."""
        loop = asyncio.get_running_loop()
        self._last = loop.time()
        self._timer = loop.call_later(BEAT, self.start)

    def stop(self) -> None:
        """Beat no more."""
        if self._timer:
            self._timer.cancel()

    def late(self, now: float) -> float | None:
        """How long (s) the beat has been missing, None while all is well."""
        age = now - self._last
        return age if age > LATE else None


def add(app: web.Application, desk: Desk, port: PortMeter | None, holder: Holder | None) -> None:
    """Put /livez, /readyz and /metrics into *app*."""
    heartbeat, meters = Heartbeat(), metrics.Metrics(desk, port, holder)

    async def beating(_app: web.Application) -> typing.AsyncIterator[None]:
        heartbeat.start()
        yield
        heartbeat.stop()

    async def livez(_request: web.Request) -> web.Response:
        late = heartbeat.late(asyncio.get_running_loop().time())
        return _well() if late is None else problems.answer(503, f"the event loop is {late:.0f} s late")

    async def readyz(_request: web.Request) -> web.Response:
        why = desk.readiness()
        return _well() if why is None else problems.answer(503, why)

    async def scrape(_request: web.Request) -> web.Response:
        page: list[bytes] = []
        for piece in meters.page():
            page.append(piece)
            await asyncio.sleep(0)
        return web.Response(body=b"".join(page), headers={"Content-Type": metrics.CONTENT_TYPE})

    app.cleanup_ctx.append(beating)
    app.router.add_get("/livez", livez)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", scrape)


def _well() -> web.Response:
    return web.Response(text="ok\n")
