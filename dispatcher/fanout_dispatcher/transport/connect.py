"""Makes connections: names are looked up, addresses judged, and what was judged is what is connected to.

Each new connection asks the resolver again, so a target that moves is followed and one that rebinds gains nothing. The
addresses are tried in turn, families interleaved (RFC 8305 §4), each with an equal share of the time that is left: a
black hole among them costs its share and no more. The connect deadline covers lookup, TCP and TLS together.

What went wrong becomes a Failed here and nowhere else. Its words are coarse on purpose: they are shown to tenants, who
must not be able to scan ports with them. A shortage of our own (descriptors, memory) says nothing about the target:
then it was not asked, and the outcome is Refused.
"""

import asyncio
import collections.abc
import errno
import itertools
import socket
import ssl
import typing

from fanout_dispatcher.transport.connection import Connection
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.origin import Origin
from fanout_dispatcher.values.outcome import Failed, Fault, Refused

Resolve = collections.abc.Callable[[str, int], collections.abc.Awaitable[list[str]]]

_TRIED: typing.Final = 8  # of a name's addresses; some answer with thousands
_GOODBYE: typing.Final = 2.0  # s that a TLS peer may take to say goodbye

_NO_NAME: typing.Final = Failed(fault=Fault.NAME_FAILURE, detail="name not found")
_REFUSED: typing.Final = Failed(fault=Fault.ADDRESS_REFUSED, detail="address refused")
_NO_CONNECTION: typing.Final = Failed(fault=Fault.CONNECT_FAILURE)
_TORN: typing.Final = Failed(fault=Fault.RESET, detail="connection reset")
_NO_TLS: typing.Final = Failed(fault=Fault.TLS_FAILURE, detail="TLS failed")
_TOO_SLOW: typing.Final = Failed(fault=Fault.TIMEOUT, detail="connect timed out")
_SHORT: typing.Final = Refused("the dispatcher is short of file descriptors or memory")
_OURS: typing.Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})


def system_resolver(loop: asyncio.AbstractEventLoop) -> Resolve:
    """Look names up the way the machine does."""

    async def resolve(host: str, port: int) -> list[str]:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
        return [str(sockaddr[0]) for *_, sockaddr in found]

    return resolve


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
        self._lookup: asyncio.Task[list[str] | Refused] | None = None

    async def dial(self, make: collections.abc.Callable[[], Connection]) -> Connection | Failed | Refused:
        """Connect what *make* makes. Never raises but for being cancelled."""
        try:
            async with asyncio.timeout(self._timeout or None) as deadline:
                found = await self._addresses()
                if isinstance(found, Refused):
                    return found
                if not found:
                    return _NO_NAME
                allowed = [address for address in found if self._permits(address)][:_TRIED]
                return await self._in_turn(_interleaved(allowed), make, deadline)
        except TimeoutError:
            return _TOO_SLOW

    def _permits(self, address: str) -> bool:
        return self._guard.check(address, private=self._private, port=self._origin.port) is None

    async def _addresses(self) -> list[str] | Refused:
        if self._origin.address is not None:
            return [str(self._origin.address)]
        # Connections made at the same time share one lookup: a resolver that hangs holds one thread per target.
        if self._lookup is None or self._lookup.done():
            self._lookup = self._loop.create_task(self._look_up())
        return await asyncio.shield(self._lookup)

    async def _look_up(self) -> list[str] | Refused:
        try:
            return await self._resolve(self._origin.host, self._origin.port)
        except (OSError, UnicodeError) as fault:
            return _SHORT if _ours(fault) or _out_of_descriptors() else []

    async def _in_turn(
        self, addresses: list[str], make: collections.abc.Callable[[], Connection], deadline: asyncio.Timeout
    ) -> Connection | Failed | Refused:
        outcome: Connection | Failed | Refused = _REFUSED
        for tried, address in enumerate(addresses):
            share = None
            if (end := deadline.when()) is not None:
                share = (end - self._loop.time()) / (len(addresses) - tried)
            outcome = await self._connect(address, make, share)
            if not isinstance(outcome, Failed):
                break
        return outcome

    async def _connect(
        self, address: str, make: collections.abc.Callable[[], Connection], share: float | None
    ) -> Connection | Failed | Refused:
        options: dict[str, typing.Any] = {}
        if self._tls is not None:
            name = self._origin.host.removesuffix(".")
            options = {"ssl": self._tls, "server_hostname": name, "ssl_shutdown_timeout": _GOODBYE}
        try:
            async with asyncio.timeout(share):
                _, connection = await self._loop.create_connection(make, address, self._origin.port, **options)
                return connection
        except (OSError, RuntimeError) as fault:  # ssl.SSLError and TimeoutError are among them
            return _SHORT if _ours(fault) else _failed(fault)


def _failed(fault: OSError | RuntimeError) -> Failed:
    match fault:
        case ssl.SSLError():
            return _NO_TLS
        case TimeoutError():
            return _TOO_SLOW
        case ConnectionResetError() | ConnectionAbortedError() | RuntimeError():
            return _TORN  # the last is uvloop's, of a transport that is closed while it is being made
        case _:
            return _NO_CONNECTION


def _ours(fault: Exception) -> bool:
    """Whether the fault is a shortage of this machine."""
    return isinstance(fault, OSError) and not isinstance(fault, ssl.SSLError) and fault.errno in _OURS


def _out_of_descriptors() -> bool:
    """Whether nothing can be opened: a resolver that cannot read its files says no more than that it has failed."""
    try:
        socket.socket().close()
    except OSError as fault:
        return _ours(fault)
    return False


def _interleaved(addresses: list[str]) -> list[str]:
    """Alternate between the families, beginning with the one that the resolver prefers."""
    if not addresses:
        return []
    first = ":" in addresses[0]
    ours = [address for address in addresses if (":" in address) == first]
    others = [address for address in addresses if (":" in address) != first]
    pairs = itertools.zip_longest(ours, others)
    return [address for pair in pairs for address in pair if address is not None]
