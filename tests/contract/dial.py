"""Two ways to reach a target over a real socket, on the same terms: our sender, and one made of aiohttp's client."""

import asyncio
import collections.abc
import contextlib
import ssl
import typing

import msgspec
import trustme

from fanout_dispatcher.engine.wheel import Wheel
from fanout_dispatcher.transport.protocol import Flight, Sender
from tests.support.aiohttp_sender import aiohttp_sender
from tests.unit.dispatcher.transport.support import Peer, Script, policy, sending, target


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """How a target is asked; times in seconds, 0 = no deadline."""

    connections: int = 64  # the most that are open at once
    connect: float = 2.0  # for TCP and TLS together
    attempt: float = 0.0  # for all of it, from the start of the flight
    trusted: trustme.CA | None = None  # who signs for the target; None: an authority that the machine trusts
    shown: trustme.LeafCert | None = None  # our own certificate


USUAL: typing.Final = Terms()

Dial = collections.abc.Callable[[str, Terms], contextlib.AbstractAsyncContextManager[Sender]]
Met = contextlib.AbstractAsyncContextManager[tuple[Peer, Sender]]


class Meet(typing.Protocol):
    """Opens a peer that follows a script, and a sender to it."""

    def __call__(self, script: Script, terms: Terms = ..., *, host: str = "", tls: ssl.SSLContext | None = None) -> Met:
        """With *host* the sender asks by https, for that name; the peer need not speak it (*tls*)."""


class Hurried:
    """Our sender with the deadline that a lane gives each of its flights."""

    def __init__(self, sender: Sender, wheel: Wheel, attempt: float) -> None:
        self._sender = sender
        self._wheel = wheel
        self._attempt = attempt

    def start(self, flight: Flight) -> None:
        """Send, and have the flight be late in time."""
        flight.sender = self
        self._wheel.add(flight, flight.started + self._attempt)
        self._sender.start(flight)

    def cancel(self, flight: Flight) -> None:
        """Forget the flight."""
        self._sender.cancel(flight)

    def close(self) -> None:
        """Start nothing more."""
        self._sender.close()


@contextlib.asynccontextmanager
async def ours(url: str, terms: Terms) -> collections.abc.AsyncIterator[Sender]:
    """HttpSender, made by the factory that makes it in production."""
    credentials: dict[str, bytes] = {}
    if terms.trusted is not None:
        credentials["ca"] = terms.trusted.cert_pem.bytes()
    if terms.shown is not None:
        credentials["shown"] = terms.shown.private_key_and_cert_chain_pem.bytes()
    asked = msgspec.structs.replace(
        target(url, settings=policy(connect=terms.connect, concurrent=terms.connections)),
        ca="ca" if "ca" in credentials else None,
        client_certificate="shown" if "shown" in credentials else None,
    )
    wheel = Wheel(asyncio.get_running_loop())
    with contextlib.closing(wheel):
        async with sending(asked, credentials=credentials, resolve=_here) as sender:
            yield Hurried(sender, wheel, terms.attempt) if terms.attempt else sender


@contextlib.asynccontextmanager
async def twin(url: str, terms: Terms) -> collections.abc.AsyncIterator[Sender]:
    """The client of aiohttp."""
    tls = _trust(terms) if url.startswith("https:") else None
    async with aiohttp_sender(
        url, tls=tls, connections=terms.connections, connect=terms.connect, attempt=terms.attempt
    ) as sender:
        yield sender


async def _here(name: str) -> list[str]:
    return ["127.0.0.1"]


def _trust(terms: Terms) -> ssl.SSLContext:
    if terms.trusted is None:
        context = ssl.create_default_context()
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        terms.trusted.configure_trust(context)
    if terms.shown is not None:
        terms.shown.configure_cert(context)
    return context
