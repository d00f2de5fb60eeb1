"""The report stream's server: what this dispatcher runs, for an operator that follows it (fanout_crds.report).

Per reader there is a set of routes that changed, never a queue of lines: a route that changes a thousand times while a
reader is slow costs one line. A reader that takes nothing for `PATIENCE` seconds is dropped; it comes back and gets a
snapshot. Lines stay below `LONGEST_LINE` because a route has at most 64 targets and texts from outside are cut
(`wire.SHOWN`).
"""

import asyncio
import dataclasses
import typing

import msgspec
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from fanout_crds.report import (
    FORMAT,
    HEARTBEAT,
    PATH,
    Gone,
    Heartbeat,
    Hello,
    RouteReport,
    SnapshotEnd,
    encode,
)
from fanout_dispatcher.admin import access, problems, wire
from fanout_dispatcher.admin.problems import Problem
from fanout_dispatcher.admin.review import Unchecked
from fanout_dispatcher.values.desk import Desk
from fanout_dispatcher.values.views import RouteView

COALESCE: typing.Final = 0.1  # seconds between two lines of one route
PATIENCE: typing.Final = 10.0  # seconds that a write may take
READERS: typing.Final = 16
CHUNK: typing.Final = 64  # lines in one write

Allowed = typing.Callable[[str], typing.Awaitable[bool]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """The stream's times, in seconds."""

    heartbeat: float = HEARTBEAT
    coalesce: float = COALESCE
    patience: float = PATIENCE


def stream(
    desk: Desk, log: FilteringBoundLogger, *, epoch: str, allowed: Allowed | None, pace: Pace | None = None
) -> web.Application:
    """Make the report port's application.

    *epoch* is random per start of the process. *allowed* says whether a bearer token may read (or raises Unchecked);
    None asks for none, for loopback only.
    """
    app = web.Application(client_max_size=0, middlewares=[problems.middleware(log)])
    report = _Report(desk, epoch, allowed, pace or Pace())
    app.router.add_get(PATH, report.serve)
    app.on_shutdown.append(report.close)
    return app


class _Report:
    def __init__(self, desk: Desk, epoch: str, allowed: Allowed | None, pace: Pace) -> None:
        self._desk = desk
        self._epoch = epoch
        self._allowed = allowed
        self._pace = pace
        self._readers: set[_Reader] = set()

    async def serve(self, request: web.Request) -> web.StreamResponse:
        if self._allowed is not None:
            await self._check(self._allowed, access.bearer(request))
        if len(self._readers) >= READERS:
            raise Problem(503, f"{READERS} readers follow the report already", Retry_After="10")
        response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson", "Cache-Control": "no-store"})
        reader = _Reader(self._desk, response, self._pace)
        self._readers.add(reader)  # before the first wait: READERS is a bound, not a guess
        stop = self._desk.watch(reader.changed)
        try:
            await response.prepare(request)
            await reader.follow(self._epoch)
        except TimeoutError:
            if request.transport:
                request.transport.abort()  # what is buffered for a reader that does not read goes too
        except ConnectionError:
            pass  # gone: the usual end of a stream
        finally:
            stop()
            self._readers.discard(reader)
        return response

    async def _check(self, allowed: Allowed, token: str) -> None:
        try:
            if not await allowed(token):
                why = "the report stream needs a reader's token for its audience"
                raise Problem(401, why, WWW_Authenticate="Bearer")
        except Unchecked as why:
            raise Problem(503, f"the token cannot be checked now: {why}", Retry_After="1") from None

    async def close(self, _app: web.Application) -> None:
        for reader in self._readers:
            reader.end()


class _Reader:
    def __init__(self, desk: Desk, response: web.StreamResponse, pace: Pace) -> None:
        self._desk = desk
        self._response = response
        self._pace = pace
        self._changed: set[str] = set()
        self._sent: dict[str, int] = {}  # route -> hash of its last line
        self._wake = asyncio.Event()
        self._ended = False

    def changed(self, route: str) -> None:
        self._changed.add(route)
        self._wake.set()

    def end(self) -> None:
        self._ended = True
        self._wake.set()

    async def follow(self, epoch: str) -> None:
        """Write the snapshot, then changes, until the reader is gone or the dispatcher ends."""
        await self._write([encode(Hello(format=FORMAT, epoch=epoch))])
        await self._flush(self._snapshot())
        await self._write([encode(SnapshotEnd())])
        while not self._ended:
            if not await self._woken():
                await self._write([encode(Heartbeat())])
                continue
            self._wake.clear()
            changed, self._changed = self._changed, set()
            await self._flush(line for route in sorted(changed) for line in self._now(route))
            if not self._ended:
                await asyncio.sleep(self._pace.coalesce)  # whatever changes meanwhile is one line

    async def _woken(self) -> bool:
        try:
            async with asyncio.timeout(self._pace.heartbeat):
                await self._wake.wait()
        except TimeoutError:
            return False
        return True

    def _snapshot(self) -> typing.Iterator[bytes]:
        for route in [view.route for view in self._desk.routes()]:
            yield from self._now(route)  # as it is when its turn comes

    def _now(self, route: str) -> typing.Iterator[bytes]:
        """Give the line that *route* needs now; none when the reader knows already."""
        view = self._desk.route(route)
        if view is None:
            if self._sent.pop(route, None) is not None:
                yield encode(Gone(route=route))
            return
        line = encode(_told(view))
        if hash(line) != self._sent.get(route):
            self._sent[route] = hash(line)
            yield line

    async def _flush(self, lines: typing.Iterable[bytes]) -> None:
        chunk: list[bytes] = []
        for line in lines:
            chunk.append(line)
            if len(chunk) == CHUNK:
                await self._write(chunk)
                chunk = []
        if chunk:
            await self._write(chunk)

    async def _write(self, lines: list[bytes]) -> None:
        """Write, waiting until the reader has taken most of it. Raises TimeoutError when it does not."""
        async with asyncio.timeout(self._pace.patience):
            await self._response.write(b"".join(lines))


def _told(view: RouteView) -> RouteReport:
    """Tell of a route what the report has a field for; what only the admin port shows changes far more often."""
    return msgspec.convert(wire.of_route(view), RouteReport)
