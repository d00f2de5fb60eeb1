"""Looks names up the way the machine does, so that a name that hangs holds up nobody but those who ask for it.

getaddrinfo blocks its thread for as long as the name servers keep silent: half a minute a name, more with search
domains. libuv has four threads for it and asyncio a few, so as many silent names and no target finds its address. Here
each lookup has a thread to itself, and a few threads are kept for the next ones: making one costs twice a lookup in
/etc/hosts. docs/decisions/0008 has the alternatives.

Bounded in three ways. Those who ask for a name while it is being looked up share the answer. A name that failed is not
asked for again for a second. And the threads are limited, half of them for names known to be slow: beyond that a lookup
is Refused, since it says nothing about the target. Threads are daemons, so that none delays the end of the process;
only the loop counts them.

Answers are not kept: each new connection asks, so a target that moves is followed.
"""

import asyncio
import collections.abc
import queue
import socket
import threading
import typing

from fanout_dispatcher.transport.shortage import SHORT, ours, out_of_descriptors
from fanout_dispatcher.values.outcome import Refused

Found = list[str] | Refused  # addresses: none when the name has none, or no name server says which
Resolve = collections.abc.Callable[[str], collections.abc.Awaitable[Found]]
_Lookup = tuple[str, float]  # a name, and when it was asked for (loop time)

THREADS: typing.Final = 128
KEPT: typing.Final = 4  # of them, while there is nothing to look up
NO_ANSWER: typing.Final = 1.0  # s for which a failed lookup is believed
SLOW: typing.Final = 1.0  # s; a name that took longer is looked up within half of the threads next time
REMEMBERED: typing.Final = 1024  # names that failed, and as many that were slow

TOO_MANY: typing.Final = Refused("too many names are being looked up at once")


def ask_machine(name: str) -> list[str]:
    """Look *name* up by /etc/hosts and the name servers, and block meanwhile. Raises OSError or UnicodeError."""
    found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class Names:
    """Looks names up. The targets of a process share one, its outboxes another."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        ask: collections.abc.Callable[[str], list[str]] = ask_machine,
        *,
        threads: int = THREADS,
    ) -> None:
        """*ask* blocks, and is called on threads of ours: at most *threads* at a time."""
        self._loop = loop
        self._ask = ask
        self._threads = threads
        self._work: queue.SimpleQueue[_Lookup | None] = queue.SimpleQueue()  # None: one thread may go
        self._alive = 0  # threads that have not been told to go: never fewer than lookups
        self._asking: dict[str, asyncio.Future[Found]] = {}
        self._failed: dict[str, float] = {}  # until when a failure is believed, loop time
        self._slow: set[str] = set()

    def __repr__(self) -> str:
        return f"<Names asking={len(self._asking)} failed={len(self._failed)} slow={len(self._slow)}>"

    async def __call__(self, name: str) -> Found:
        """Find the addresses of *name*. Cancelling leaves the lookup to those who share it."""
        asking = self._asking.get(name)
        if asking is None:
            now = self._loop.time()
            if (no := self._turned_away(name, now)) is not None:
                return no
            asking = self._begin(name, now)
        return await asyncio.shield(asking)

    def _turned_away(self, name: str, now: float) -> Found | None:
        if self._failed.get(name, now) > now:
            return []
        if len(self._asking) >= self._threads:
            return TOO_MANY
        if name in self._slow and len(self._slow & self._asking.keys()) >= self._threads // 2:
            return TOO_MANY
        return None

    def _begin(self, name: str, now: float) -> asyncio.Future[Found]:
        asking = self._asking[name] = self._loop.create_future()
        if len(self._asking) > self._alive:
            try:
                threading.Thread(target=self._serve, name="names", daemon=True).start()
            except RuntimeError:  # there is none to be had
                self._land(name, now, SHORT)
                return asking
            self._alive += 1
        self._work.put((name, now))
        return asking

    def _serve(self) -> None:
        """Look up one name after the other, on a thread."""
        while (lookup := self._work.get()) is not None:
            name, began = lookup
            found: Found
            try:
                found = self._ask(name)
            except (OSError, UnicodeError) as fault:
                found = SHORT if ours(fault) or out_of_descriptors() else []
            try:
                self._loop.call_soon_threadsafe(self._land, name, began, found)
            except RuntimeError:
                return  # the loop has closed: nobody waits any more

    def _land(self, name: str, began: float, found: Found) -> None:
        now = self._loop.time()
        if now - began <= SLOW:
            self._slow.discard(name)
        elif len(self._slow) < REMEMBERED:
            self._slow.add(name)
        self._failed.pop(name, None)
        if not found:
            if len(self._failed) >= REMEMBERED:
                self._failed.clear()
            self._failed[name] = now + NO_ANSWER
        self._asking.pop(name).set_result(found)
        if self._alive > max(KEPT, len(self._asking)):
            self._alive -= 1
            self._work.put(None)
