"""Following the report stream of one dispatcher: NDJSON, from hello to the next break, for ever.

A stream starts with the dispatcher's epoch and a snapshot of its routes, goes on with what changes, and carries a
heartbeat every few seconds. Nothing heard for fleet.SILENCE seconds, connected or not: the dispatcher is silent. What
is read is the word of another process: a line that is too long or is not what it should be ends the stream, and the
next one starts from a snapshot.
"""

import asyncio
import random
import typing
from collections.abc import AsyncIterator, Callable, Mapping

import aiohttp
import msgspec
import structlog

from fanout_operator.backoff import Backoff
from fanout_operator.fleet import SILENCE, Fleet, RouteReport

FORMAT: typing.Final = 1
LONGEST_LINE: typing.Final = 256 * 1024
RETRY: typing.Final = Backoff(base=0.2, cap=3.0)

log = structlog.get_logger()


class BrokenReport(Exception):
    """A report stream that is not one."""


class Endpoint(msgspec.Struct, frozen=True):
    """Where a dispatcher reports, and the name its certificate must have (None: the URL's)."""

    url: str
    server_name: str | None = None


class _Line(msgspec.Struct):
    kind: str
    format: int = FORMAT
    epoch: str = ""
    route: str = ""


_line = msgspec.json.Decoder(_Line)
_route = msgspec.json.Decoder(RouteReport)


class Follower:
    """Follows one dispatcher and tells the fleet."""

    def __init__(
        self,
        name: str,
        endpoint: Endpoint,
        *,
        session: aiohttp.ClientSession,
        headers: Callable[[], Mapping[str, str]],
        fleet: Fleet,
        rng: random.Random,
    ) -> None:
        self.name = name
        self._endpoint = endpoint
        self._session = session
        self._headers = headers
        self._fleet = fleet
        self._rng = rng
        self._heard = 0.0
        self._failures = 0

    def __repr__(self) -> str:
        return f"<Follower {self.name} {self._endpoint.url} failures={self._failures}>"

    async def run(self) -> None:
        """Follow until cancelled."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        while True:
            silence = loop.call_at(self._heard + SILENCE, self._fleet.silent, self.name)
            try:
                await self._follow(silence)
                fault: Exception = BrokenReport("ended by the dispatcher")
            except (aiohttp.ClientError, BrokenReport, TimeoutError, OSError) as broken:
                fault = broken
            finally:
                silence.cancel()
            await self._rest(fault)

    async def _follow(self, silence: asyncio.TimerHandle) -> None:
        timeout = aiohttp.ClientTimeout(total=None, connect=5, sock_read=SILENCE)
        url = f"{self._endpoint.url.rstrip('/')}/v1/report"
        async with self._session.get(
            url,
            headers=self._headers(),
            timeout=timeout,
            server_hostname=self._endpoint.server_name,
            allow_redirects=False,
        ) as answer:
            if answer.status != 200:
                raise BrokenReport(f"answered {answer.status}")
            async for line in _lines(answer):
                silence.cancel()  # from here on sock_read sees to it
                self._heard = asyncio.get_running_loop().time()
                self._failures = 0
                self._take(line)

    def _take(self, text: bytes) -> None:
        try:
            line = _line.decode(text)
            match line.kind:
                case "hello":
                    self._greet(line)
                case "route":
                    self._fleet.route(self.name, _route.decode(text))
                case "gone":
                    self._fleet.gone(self.name, line.route)
                case "snapshotEnd":
                    self._fleet.complete(self.name)
                case _:  # a heartbeat; or a kind of line that a newer dispatcher has, which is no fault
                    pass
        except msgspec.MsgspecError as fault:
            raise BrokenReport(f"not a report line: {fault}") from fault

    def _greet(self, line: _Line) -> None:
        if line.format != FORMAT:
            raise BrokenReport(f"format {line.format} is not one this operator reads ({FORMAT})")
        log.info("report.following", dispatcher=self.name, epoch=line.epoch)
        self._fleet.hello(self.name)

    async def _rest(self, fault: Exception) -> None:
        loop = asyncio.get_running_loop()
        self._failures += 1
        log.warning("report.broken", dispatcher=self.name, fault=f"{type(fault).__name__}: {fault}")
        quiet = self._heard + SILENCE - loop.time()
        wait = RETRY.wait(self._failures, self._rng)
        if quiet <= wait:
            await asyncio.sleep(max(0.0, quiet))
            self._fleet.silent(self.name)
        await asyncio.sleep(wait)


async def _lines(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """Split the stream at newlines, within bounds."""
    rest = bytearray()
    async for piece in answer.content.iter_any():
        rest += piece
        *lines, left = rest.split(b"\n")
        for line in lines:
            if line:
                yield bytes(line)
        rest = left
        if len(rest) > LONGEST_LINE:
            raise BrokenReport(f"a line of more than {LONGEST_LINE} bytes")
