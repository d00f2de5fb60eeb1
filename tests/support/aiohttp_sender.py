"""A sender built on aiohttp's client: what a good engineer would write first, and the measure of ours.

Tests alone use it: it passes the same contract suite as HttpSender, so what the suite says is what HTTP says and not
what we happen to do. It has no guard and no idea of what was sent before a reset; every name leads to this machine.
"""

import asyncio
import collections.abc
import contextlib
import io
import socket
import ssl
import typing

import aiohttp
import aiohttp.abc

from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused

HEAD: typing.Final = 32 * 1024  # bytes of one line of an answer's head
HEADERS: typing.Final = 100
BODY: typing.Final = 1024 * 1024  # bytes of an answer's body that are read before it is hung up on

TOO_LARGE: typing.Final = Failed(fault=Fault.ANSWER_TOO_LARGE, detail="answer too large")


class Here(aiohttp.abc.AbstractResolver):
    """Finds every name at 127.0.0.1."""

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[aiohttp.abc.ResolveResult]:
        """Look nothing up."""
        found = aiohttp.abc.ResolveResult(
            hostname=host, host="127.0.0.1", port=port, family=socket.AF_INET, proto=0, flags=0
        )
        return [found]

    async def close(self) -> None:
        """Nothing is open."""


class AiohttpSender:
    """Sends to one URL, on *connections* at most; *connect* and *attempt* are in seconds, 0 = no deadline."""

    def __init__(
        self,
        url: str,
        *,
        tls: ssl.SSLContext | None = None,
        connections: int = 64,
        connect: float = 0.0,
        attempt: float = 0.0,
    ) -> None:
        self._url = url
        self._session = aiohttp.ClientSession(
            auto_decompress=False,
            connector=aiohttp.TCPConnector(limit=connections, ssl=tls or True, resolver=Here()),
            timeout=aiohttp.ClientTimeout(total=attempt, sock_connect=connect),
            max_line_size=HEAD,
            max_field_size=HEAD,
            max_headers=HEADERS,
        )
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
        body = io.BytesIO(flight.event.body)  # of bytes alone it warns when they are many
        try:
            async with self._session.post(self._url, data=body, allow_redirects=False) as answer:
                if not await _drained(answer):
                    answer.close()
                    return TOO_LARGE
        except (aiohttp.ClientError, TimeoutError) as why:
            return _failed(why)
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


async def _drained(answer: aiohttp.ClientResponse) -> bool:
    """Read and drop the body; False when there is more of it than anybody needs."""
    left = BODY
    async for piece in answer.content.iter_any():
        left -= len(piece)
        if left < 0:
            return False
    return True


def _failed(why: aiohttp.ClientError | TimeoutError) -> Failed:
    match why:
        case TimeoutError():
            return Failed(fault=Fault.TIMEOUT)
        case aiohttp.ClientConnectorCertificateError():
            return Failed(fault=Fault.TLS_FAILURE, detail=str(why.certificate_error))
        case aiohttp.ClientSSLError():
            return Failed(fault=Fault.TLS_FAILURE)
        case aiohttp.ClientConnectorError():
            return Failed(fault=Fault.CONNECT_FAILURE)
        case aiohttp.ClientResponseError() if why.message.startswith(("Got more than", "Too many")):
            return TOO_LARGE
        case aiohttp.ClientResponseError():
            return Failed(fault=Fault.PROTOCOL_ERROR, detail="not an HTTP answer")
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError() | aiohttp.ClientPayloadError():
            return Failed(fault=Fault.RESET, detail="connection reset")
        case _:
            raise why


@contextlib.asynccontextmanager
async def aiohttp_sender(
    url: str, *, tls: ssl.SSLContext | None = None, connections: int = 64, connect: float = 0.0, attempt: float = 0.0
) -> collections.abc.AsyncIterator[AiohttpSender]:
    """One that ends with the block."""
    sender = AiohttpSender(url, tls=tls, connections=connections, connect=connect, attempt=attempt)
    try:
        yield sender
    finally:
        await sender.end()
