"""Standing for election: reads and writes the Lease as lease.py decides, for as long as the operator lives.

A candidate that is not elected waits; one that was and is not any more has Lost, which ends the process: it cannot know
what it has half done, and Kubernetes starts it anew. `only_leading` is the last word on every request: whatever the
parts of the operator believe, nothing but a read leaves this process while it does not lead, even when it was stopped
for a minute and wakes up in the middle of a write.
"""

import asyncio
import random
import typing
from collections.abc import Callable

import aiohttp
import structlog
from aiohttp.connector import Connection

from fanout_operator.kube import FAILURES, LEASES, Conflict, Document, Kube, NotFound
from fanout_operator.lease import Election

RELEASE: typing.Final = 2.0  # seconds; then the other has to wait until the lease runs out

log = structlog.get_logger()


class Lost(Exception):
    """This process led and does not lead any more."""


class NotLeading(aiohttp.ClientError):
    """A request that only a leader may make."""


class Elector:
    """One candidate."""

    def __init__(self, kube: Kube, election: Election, rng: random.Random) -> None:
        self._kube = kube
        self._election = election
        self._rng = rng
        self._known = False  # whether what we know of the Lease is what it is, so that it can be renewed without a look
        self._followed = ""
        self.elected = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Elector {self._election!r}>"

    async def run(self) -> None:
        """Stand until elected, then renew, for ever; raises Lost."""
        loop = asyncio.get_running_loop()
        while True:
            began = loop.time()
            await self._turn()
            self._tell()
            self._check()
            await asyncio.sleep(self._pause(began))
            self._check()

    async def release(self) -> None:
        """Hand the lease on when it is ours; nothing of this process may write any more."""
        loop = asyncio.get_running_loop()
        if not self._election.leads(loop.time()):
            return
        try:
            async with asyncio.timeout(RELEASE):
                await self._resign()
        except (*FAILURES, TimeoutError) as fault:
            log.warning("lease.kept", fault=f"{type(fault).__name__}: {fault}")
        else:
            log.info("lease.released", lease=self._election.place.name)

    def _check(self) -> None:
        """Once elected, lead or end: a lease that ran out is not stood for again."""
        if self.elected.is_set() and not self._election.leads(asyncio.get_running_loop().time()):
            log.error("lease.lost", lease=self._election.place.name, holder=self._election.holder or "nobody")
            raise Lost

    async def _turn(self) -> None:
        """One renewal, which must not take longer than the lease has left; or a look and, it may be, a claim."""
        now, terms = asyncio.get_running_loop().time(), self._election.terms
        latest = now + terms.deadline
        if self._election.leads(now):
            latest = min(now + terms.deadline / 2, self._election.until)
        try:
            async with asyncio.timeout_at(latest):
                await self._ask()
        except (*FAILURES, TimeoutError) as fault:
            self._known = False  # a write without an answer may have been done
            log.warning("lease.failed", lease=self._election.place.name, fault=f"{type(fault).__name__}: {fault}")

    async def _ask(self) -> None:
        loop = asyncio.get_running_loop()
        if not (self._known and self._election.leads(loop.time())):
            await self._look()
        asked_at = loop.time()
        lease = self._election.claim(asked_at)
        if lease is None:
            return
        try:
            written = await self._write(lease)
        except Conflict:
            await self._look()  # somebody was faster, and may lead now
            raise
        self._election.granted(written, asked_at, loop.time())
        self._known = True

    async def _look(self) -> None:
        place = self._election.place
        try:
            async with asyncio.timeout(self._election.terms.deadline / 2):  # a claim may be as slow after that
                found = await self._kube.get(LEASES, place.namespace, place.name)
        except NotFound:
            found = None
        self._election.see(found, asyncio.get_running_loop().time())

    async def _write(self, lease: Document) -> Document:
        if "resourceVersion" in lease["metadata"]:
            return await self._kube.replace(LEASES, lease)
        return await self._kube.create(LEASES, lease)

    async def _resign(self) -> None:
        """The version we know may be one behind: a renewal that was interrupted may have been done."""
        lease = self._election.resign()
        try:
            await self._write(lease)
        except Conflict:
            await self._look()
            if self._election.holder == self._election.place.identity:
                await self._write(self._election.resign())

    def _tell(self) -> None:
        """One line per change."""
        place, holder = self._election.place, self._election.holder
        if holder != self._followed and holder not in {"", place.identity}:
            log.info("lease.standby", lease=place.name, holder=holder)
        self._followed = holder
        if self._election.leads(asyncio.get_running_loop().time()) and not self.elected.is_set():
            log.info("lease.acquired", lease=place.name, identity=place.identity)
            self.elected.set()

    def _pause(self, began: float) -> float:
        """Until the next turn; a leader never sleeps past its own end.

        What the API server took for its answer is no rest: it would be missing when the next one is as slow.
        """
        now = asyncio.get_running_loop().time()
        pause = self._election.pause(now, self._rng.random())
        if not self._election.leads(now):
            return pause
        return min(max(0.0, began + pause - now), self._election.until - now)


def only_leading(leads: Callable[[], bool]) -> type[aiohttp.ClientRequest]:
    """The requests of a session through which a standby can read, and write the Lease, but nothing else.

    No middleware: one is asked before there is a connection, and a process may be stopped while it waits for that.
    """

    class Guarded(aiohttp.ClientRequest):
        async def send(self, conn: Connection) -> aiohttp.ClientResponse:
            if self.method != "GET" and f"/{LEASES.plural}" not in self.url.path and not leads():
                raise NotLeading(f"{self.method} {self.url.path} is for the leader, which this process is not")
            return await super().send(conn)

    return Guarded
