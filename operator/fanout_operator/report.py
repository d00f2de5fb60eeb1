"""Following the report stream of one dispatcher: NDJSON, from hello to the next break, for ever.

A stream starts with the dispatcher's epoch and a snapshot of its routes, goes on with what changes, and carries a
heartbeat every few seconds (fanout_crds.report). Nothing heard for SILENCE seconds, connected or not: the dispatcher is
silent. Only whole lines count, and only once the snapshot is complete: who never comes to its end would keep the fleet,
and so the status of every route, waiting. What is read is the word of another process: a line that is too long or is
not what it should be, and routes without end (picture.py), end the stream, and the next one starts from a snapshot.
"""

import asyncio
import contextlib
import random
import typing
from collections.abc import AsyncIterator

import aiohttp
import msgspec
import structlog

from fanout_crds.lines import LineTooLong, Splitter
from fanout_crds.report import (
    LONGEST_LINE,
    PATH,
    READABLE,
    SILENCE,
    Gone,
    Heartbeat,
    Hello,
    Line,
    NoLine,
    RouteReport,
    SnapshotEnd,
    decode,
)
from fanout_operator.access import ReportAccess
from fanout_operator.backoff import Backoff
from fanout_operator.fleet import Fleet
from fanout_operator.picture import TooMuch

RETRY: typing.Final = Backoff(base=0.2, cap=3.0)

log = structlog.get_logger()


class BrokenReport(Exception):
    """A report stream that is not one."""


BROKEN: typing.Final = (aiohttp.ClientError, BrokenReport, NoLine, LineTooLong, TooMuch, TimeoutError, OSError)


class ReportPort(msgspec.Struct, frozen=True):
    """Where a dispatcher reports, and the name its certificate must have (None: the URL's)."""

    url: str
    server_name: str | None = None


class Follower:
    """Follows one dispatcher and tells the fleet."""

    def __init__(
        self,
        name: str,
        port: ReportPort,
        *,
        session: aiohttp.ClientSession,
        access: ReportAccess,
        fleet: Fleet,
        rng: random.Random,
    ) -> None:
        self.name = name
        self._port = port
        self._session = session
        self._access = access
        self._fleet = fleet
        self._rng = rng
        self._heard = 0.0
        self._failures = 0
        self._greeted = False  # whether this stream has begun as it should
        self._whole = False  # whether its snapshot is complete

    def __repr__(self) -> str:
        return f"<Follower {self.name} {self._port.url} failures={self._failures}>"

    async def run(self) -> None:
        """Follow until cancelled."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        while True:
            silence = loop.call_at(self._heard + SILENCE, self._fleet.silent, self.name)
            try:
                await self._follow(silence)
                fault: Exception = BrokenReport("ended by the dispatcher")
            except BROKEN as broken:
                fault = broken
            finally:
                silence.cancel()
                self._fleet.broken(self.name)
            await self._rest(fault)

    async def _follow(self, silence: asyncio.TimerHandle) -> None:
        loop, splitter = asyncio.get_running_loop(), Splitter(LONGEST_LINE)
        self._greeted = self._whole = False
        async with asyncio.timeout(SILENCE) as patience, self._asking() as answer:
            if answer.status != 200:
                raise BrokenReport(f"answered {answer.status}")
            async for piece in answer.content.iter_any():
                for text in splitter.feed(piece):
                    line = decode(text)
                    self._take(line, len(text))
                    if self._whole:
                        silence.cancel()  # from here on our patience sees to it
                        self._heard = loop.time()
                        self._failures = 0
                    if self._whole or isinstance(line, RouteReport):  # a snapshot may be long, while it goes on
                        patience.reschedule(loop.time() + SILENCE)

    @contextlib.asynccontextmanager
    async def _asking(self) -> AsyncIterator[aiohttp.ClientResponse]:
        async with self._session.get(
            self._port.url.rstrip("/") + PATH,
            headers=await self._access.headers(),
            ssl=await self._access.tls(),
            timeout=aiohttp.ClientTimeout(total=None, connect=5),
            server_hostname=self._port.server_name,
            allow_redirects=False,
        ) as answer:
            yield answer

    def _take(self, line: Line | None, length: int) -> None:
        if line is not None and not self._greeted and not isinstance(line, Hello):
            raise BrokenReport("does not begin with hello")
        match line:
            case Hello() as hello:
                self._greet(hello)
            case RouteReport() as report:
                self._fleet.route(self.name, report, length)
            case Gone(route=route):
                self._fleet.gone(self.name, route)
            case SnapshotEnd():
                self._fleet.loaded(self.name)
                self._whole = True
            case Heartbeat() | None:  # None: a kind of line that a newer dispatcher has, which is no fault
                pass

    def _greet(self, hello: Hello) -> None:
        if hello.format not in READABLE:
            known = ", ".join(str(one) for one in sorted(READABLE))
            raise BrokenReport(f"format {hello.format} is not one this operator reads ({known})")
        self._greeted, self._whole = True, False
        log.info("report.following", dispatcher=self.name, epoch=hello.epoch)
        self._fleet.hello(self.name)

    async def _rest(self, fault: Exception) -> None:
        loop = asyncio.get_running_loop()
        self._failures += 1
        why = fault.os_error if isinstance(fault, aiohttp.ClientConnectorError) else fault  # it quotes a TLS context
        log.warning("report.broken", dispatcher=self.name, fault=f"{type(fault).__name__}: {why}")
        quiet = self._heard + SILENCE - loop.time()
        wait = RETRY.wait(self._failures, self._rng)
        if quiet <= wait:
            await asyncio.sleep(max(0.0, quiet))
            self._fleet.silent(self.name)
        await asyncio.sleep(wait)
