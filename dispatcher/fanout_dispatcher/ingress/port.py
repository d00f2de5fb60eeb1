"""What all connections of a data port share: who is connected, what time it is, and one sweep for every deadline.

A connection keeps its deadline as a number; a sweep a few times a second looks at all of them. So a request that is
parsed, accepted and answered in time costs no timer, and 10,000 idle connections cost a millisecond a second.
"""

import asyncio
import email.utils
import socket
import typing

from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.settings import Settings
from fanout_dispatcher.values.desk import PortMeter
from fanout_dispatcher.values.each import each
from fanout_dispatcher.values.standstill import STALLED

NEVER: typing.Final = float("inf")


class Guest(typing.Protocol):
    """A connection, as its port sees it."""

    deadline: float

    def expire(self) -> None:
        """The deadline has passed."""

    def drain(self) -> None:
        """No more requests: go now if idle, else after the last answer."""

    def abort(self) -> None:
        """Go now."""


class Port:
    """The shared part of one data port."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        acceptor: Acceptor,
        settings: Settings,
        wall: typing.Callable[[], float],
    ) -> None:
        self.loop = loop
        self.acceptor = acceptor
        self.settings = settings
        self.wall = wall
        self.meter = PortMeter()
        self.guests: dict[Guest, str] = {}  # with the peer each came from
        self.peers: dict[str, int] = {}
        self.gone = asyncio.Event()  # set while nobody is connected
        self.gone.set()
        self.draining = False
        self.bodies = 0  # bytes of unfinished bodies in memory
        self.timer: asyncio.TimerHandle | None = None
        self.now = loop.time()
        self.date = b""
        self.sweep()

    def enter(self, guest: Guest, address: object) -> str | None:
        """Let a connection in; else the sentence that says which cap it is over."""
        peer = peer_of(address)
        self.meter.connections += 1
        here = self.peers.get(peer, 0)
        if len(self.guests) >= self.settings.connections or (peer and here >= self.settings.connections_per_peer):
            self.meter.turned_away += 1
            over = "connections" if len(self.guests) >= self.settings.connections else "connections from one address"
            return f"there are too many {over}"
        self.guests[guest] = peer
        self.peers[peer] = here + 1
        self.meter.connected = len(self.guests)
        self.gone.clear()
        return None

    def leave(self, guest: Guest) -> None:
        """Forget a connection."""
        peer = self.guests.pop(guest, None)
        if peer is None:
            return
        self.meter.connected = len(self.guests)
        self.peers[peer] -= 1
        if not self.peers[peer]:
            del self.peers[peer]
        if not self.guests:
            self.gone.set()

    def sweep(self) -> None:
        """Look at every deadline, take the time, and come back."""
        self.timer = self.loop.call_later(self.settings.tick, self.sweep)  # first: a fault in it must not be its end
        now = self.loop.time()
        late = now - self.now - self.settings.tick
        if late > STALLED:  # what clients sent meanwhile lies unread: that is not their fault
            for guest in self.guests:
                guest.deadline += late
        self.now = now
        self.date = b"date: %b\r\n" % email.utils.formatdate(self.wall(), usegmt=True).encode("ascii")
        each(self.loop, [guest for guest in self.guests if guest.deadline <= now], lambda guest: guest.expire())

    async def part(self, seconds: float) -> None:
        """Serve on, every answer the last of its connection, until nobody is connected; at most so many *seconds*.

        A client that keeps its connection may be about to use it: closed under a POST, that gets no answer at all, and
        no client may simply send it again.
        """
        self.draining = True
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except TimeoutError:
            pass  # whoever is left asks nothing

    async def drain(self, seconds: float) -> int:
        """Let connections go as they are answered; after *seconds* abort the rest and say how many they were."""
        self.draining = True
        for guest in list(self.guests):
            guest.drain()
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except TimeoutError:
            pass  # what is left is counted and aborted
        left = len(self.guests)
        self.close()
        return left

    def close(self) -> None:
        """Abort every connection and stop the sweep."""
        if self.timer is not None:
            self.timer.cancel()
        for guest in list(self.guests):
            guest.abort()


def peer_of(address: object) -> str:
    """Name whom a connection counts for: an IPv4 address, the /64 of an IPv6 one; empty for a Unix socket."""
    if not isinstance(address, tuple) or not address:
        return ""
    host = str(address[0])
    if ":" not in host:
        return host
    packed = socket.inet_pton(socket.AF_INET6, host.partition("%")[0])
    return host if packed.startswith(b"\0" * 10 + b"\xff\xff") else packed[:8].hex()
