"""Makes connections: names are looked up, addresses judged, and what was judged is what is connected to.

Each new connection asks the resolver again, so a target that moves is followed and one that rebinds gains nothing. The
permitted addresses race for the connection, families interleaved (RFC 8305): a black hole among them costs a quarter of
a second and no more. The connect deadline covers lookup, TCP and TLS together.

What went wrong becomes a Failed here and nowhere else. Its words are coarse on purpose: they are shown to tenants, who
must not be able to scan ports with them. A shortage of our own (descriptors, memory) says nothing about the target:
then it was not asked, and the outcome is Refused.
"""

import asyncio
import collections.abc
import functools
import itertools
import ssl
import typing

from fanout_dispatcher.transport import tlsfaults
from fanout_dispatcher.transport.connection import Connection
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.names import Resolve
from fanout_dispatcher.transport.origin import Origin
from fanout_dispatcher.transport.race import Dialled, first
from fanout_dispatcher.transport.shortage import SHORT, ours
from fanout_dispatcher.values.outcome import Failed, Fault, Refused
from fanout_dispatcher.values.standstill import STALLED

_JUDGED: typing.Final = 64  # of a name's addresses; some answer with thousands, and judging takes time of the loop
_TRIED: typing.Final = 8  # of those that are permitted
_HEAD_START: typing.Final = 0.25  # s before the next address is tried beside the last one (RFC 8305 §8)
_SHORTEST: typing.Final = 0.01  # s; the least that the RFC allows
_GOODBYE: typing.Final = 2.0  # s that a TLS peer may take to say goodbye

_NO_NAME: typing.Final = Failed(fault=Fault.NAME_FAILURE, detail="name not found")
_REFUSED: typing.Final = Failed(fault=Fault.ADDRESS_REFUSED, detail="address refused")
_NO_CONNECTION: typing.Final = Failed(fault=Fault.CONNECT_FAILURE)
_TORN: typing.Final = Failed(fault=Fault.RESET, detail="connection reset")
_TOO_SLOW: typing.Final = Failed(fault=Fault.TIMEOUT, detail="connect timed out")
_STOOD_STILL: typing.Final = Refused("the dispatcher stood still while it connected")

Make = collections.abc.Callable[[], Connection]


class Dialer:
    """Makes connections to one target."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        origin: Origin,
        guard: Guard,
        *,
        private: bool,
        timeout: float,
        tls: ssl.SSLContext | None,
        resolve: Resolve,
    ) -> None:
        """*timeout* in seconds, 0 = none; *tls* exactly when the origin is secure."""
        self._loop = loop
        self._origin = origin
        self._guard = guard
        self._private = private
        self._timeout = timeout
        self._tls = tls
        self._resolve = resolve

    async def dial(self, make: Make) -> Dialled:
        """Connect what *make* makes. Never raises but for being cancelled."""
        deadline = asyncio.timeout(self._timeout or None)
        try:
            async with deadline:
                found = [str(self._origin.address)] if self._origin.address else await self._resolve(self._origin.host)
                if isinstance(found, Refused):
                    return found
                if not found:
                    return _NO_NAME
                return await self._connect_to_one(self._permitted(found), make, deadline)
        except TimeoutError:
            return self._late(deadline)

    def _permitted(self, found: list[str]) -> list[str]:
        judged = itertools.islice(_interleaved(found), _JUDGED)
        return list(itertools.islice(filter(self._permits, judged), _TRIED))

    def _late(self, deadline: asyncio.Timeout) -> Dialled:
        """Too slow; unless the loop is late itself, and what has come meanwhile was not even looked at."""
        at = deadline.when()
        return _STOOD_STILL if at is not None and self._loop.time() - at > STALLED else _TOO_SLOW

    def _permits(self, address: str) -> bool:
        return self._guard.check(address, private=self._private, port=self._origin.port) is None

    async def _connect_to_one(self, addresses: list[str], make: Make, deadline: asyncio.Timeout) -> Dialled:
        if not addresses:
            return _REFUSED
        if len(addresses) == 1:
            return await self._connect(make, addresses[0])
        head_start = _HEAD_START
        if (end := deadline.when()) is not None:  # where the deadline is short, the last address is tried too
            head_start = max(_SHORTEST, min(head_start, (end - self._loop.time()) / len(addresses)))
        return await first(
            [functools.partial(self._connect, make, address) for address in addresses], head_start=head_start
        )

    async def _connect(self, make: Make, address: str) -> Dialled:
        options: dict[str, typing.Any] = {}
        if self._tls is not None:
            name = self._origin.host.removesuffix(".")
            options = {"ssl": self._tls, "server_hostname": name, "ssl_shutdown_timeout": _GOODBYE}
        try:
            _, connection = await self._loop.create_connection(make, address, self._origin.port, **options)
            return connection
        except (OSError, RuntimeError) as fault:  # ssl.SSLError and TimeoutError are among them
            return SHORT if ours(fault) else _failed(fault, self._origin.host)


def _failed(fault: OSError | RuntimeError, host: str) -> Failed:
    match fault:
        case ssl.SSLError():
            return tlsfaults.failed(fault, host)
        case TimeoutError():
            return _TOO_SLOW
        case ConnectionResetError() | ConnectionAbortedError() | RuntimeError():
            return _TORN  # the last is uvloop's, of a transport that is closed while it is being made
        case _:
            return _NO_CONNECTION


def _interleaved(addresses: list[str]) -> collections.abc.Iterator[str]:
    """Alternate between the families, beginning with the one that the resolver prefers (RFC 8305 §4)."""
    preferred = ":" in addresses[0]
    these = [address for address in addresses if (":" in address) == preferred]
    others = [address for address in addresses if (":" in address) != preferred]
    for pair in itertools.zip_longest(these, others):
        yield from (address for address in pair if address is not None)
