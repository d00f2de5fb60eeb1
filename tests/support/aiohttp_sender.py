"""A sender built on aiohttp's client: what a good engineer would write first, and the measure of ours.

Tests alone use it: it passes the same contract suite as HttpSender, so what the suite says is what HTTP says and not
what we happen to do. It has no guard, no pool bound of its own and no idea of what was sent before a reset.
"""

import asyncio
import collections.abc
import contextlib

import aiohttp

from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused


class AiohttpSender:
    """Sends to one URL."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(auto_decompress=False)
        self._flying: dict[Flight, asyncio.Task[None]] = {}
        self._closed = False

    def start(self, flight: Flight) -> None:
        """Send; the flight lands later, once."""
        task = self._flying[flight] = asyncio.ensure_future(self._refuse(flight) if self._closed else self._fly(flight))
        task.add_done_callback(lambda _: self._flying.pop(flight, None))

    def cancel(self, flight: Flight) -> None:
        """Forget the flight."""
        task = self._flying.pop(flight, None)
        if task is not None:
            task.cancel()

    def close(self) -> None:
        """Start nothing more; what is in the air lands."""
        self._closed = True

    async def _fly(self, flight: Flight) -> None:
        outcome = await self._send(flight)
        flight.landing.land(flight, outcome)

    async def _refuse(self, flight: Flight) -> None:
        flight.landing.land(flight, Refused("the sender is closed"))

    async def _send(self, flight: Flight) -> Outcome:
        try:
            async with self._session.post(self._url, data=flight.event.body, allow_redirects=False) as answer:
                await answer.read()
        except aiohttp.ClientConnectorError:
            return Failed(fault=Fault.CONNECT_FAILURE)
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError, aiohttp.ClientPayloadError):
            return Failed(fault=Fault.RESET, detail="connection reset")
        except aiohttp.ClientResponseError:
            return Failed(fault=Fault.PROTOCOL_ERROR, detail="not an HTTP answer")
        if 200 <= answer.status < 300:
            return Delivered(answer.status)
        return Failed(status=answer.status, retry_after=answer.headers.get("Retry-After"))

    async def end(self) -> None:
        """Cancel what is in the air and close the session."""
        self.close()
        tasks = list(self._flying.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._session.close()


@contextlib.asynccontextmanager
async def aiohttp_sender(url: str) -> collections.abc.AsyncIterator[AiohttpSender]:
    """One that ends with the block."""
    sender = AiohttpSender(url)
    try:
        yield sender
    finally:
        await sender.end()
