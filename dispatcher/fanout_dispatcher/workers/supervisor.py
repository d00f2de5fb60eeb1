"""The supervisor: the process that opens a dispatcher's ports, starts its workers, and speaks for them.

It makes the sockets of the data port and hands one down to each worker, reads the plans and passes them on, and serves
the admin port and the report from what the workers tell. It accepts no event and holds no journal, so whatever happens
to it, nothing is lost; and what happens to a worker concerns the others as little as a target's trouble concerns
another target.

A journal that an earlier start with more workers left behind gets a worker too (see `leftovers`). That one has no
socket of the data port: it delivers what it has, and its events and dead letters are found like all others.
"""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
import typing

import uvloop
from structlog.typing import FilteringBoundLogger

from fanout_crds.outlet import Outlet
from fanout_dispatcher import fronts, parts
from fanout_dispatcher.cluster import connect
from fanout_dispatcher.settings import LEAST_JOURNAL, Settings, Unstartable
from fanout_dispatcher.telemetry.logs import LogSeam, adopt_libraries, logger
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.workers.board import Board
from fanout_dispatcher.workers.joined import JoinedDesk
from fanout_dispatcher.workers.link import framed
from fanout_dispatcher.workers.messages import CaughtUp, EventOf, Opened, Orders, Plans, Question, Told
from fanout_dispatcher.workers.owners import Owners
from fanout_dispatcher.workers.shares import Share, shares
from fanout_dispatcher.workers.slot import Slot
from fanout_dispatcher.workers.sockets import open_sockets

T = typing.TypeVar("T")
BEYOND: typing.Final = 5.0  # seconds, beyond their own patience, after which workers that do not end are killed


def serve(settings: Settings, left: dict[int, bool]) -> None:
    """Run a dispatcher of several processes until SIGTERM or SIGINT. Raises Unstartable.

    *left* are workers beyond those in the settings, and whether each may have anything to send.
    """
    with Outlet(sys.stderr) as stderr:
        log = logger(stderr, level=settings.log_level, form=settings.log_format)
        adopt_libraries(log)
        uvloop.run(Supervisor(settings, left, log, stderr).run())


class Supervisor:
    """One dispatcher's supervisor, and the house (see `slot`) of its workers."""

    def __init__(self, settings: Settings, left: dict[int, bool], log: FilteringBoundLogger, stderr: Outlet) -> None:
        self._settings = settings
        self._log = log
        self._stderr = stderr
        self._stop = asyncio.Event()
        self._slots: list[Slot] = []
        self._sockets: list[socket.socket] = []
        self._ready: set[int] = set()  # slots that hear of every change
        self._numbers = [*range(settings.workers), *left]
        self._shares = _shares(settings.workers, left)
        self._owners = Owners(settings.workers)
        self._board = Board(self._shares[0], self._owners, seam=LogSeam(log), post=self._post)
        self._desk: JoinedDesk

    async def run(self) -> None:
        """Start, serve, stop."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._asked_to_stop)
        async with contextlib.AsyncExitStack() as stack:
            settings = self._settings
            cluster = connect(settings.kubeconfig) if settings.plans == "kubernetes" else None
            base = self._hire(await fronts.make_guard(settings, cluster), stack)
            self._desk = JoinedDesk(self._slots, self._board, wall=time.time)
            lives = [asyncio.create_task(slot.live(), name=f"worker {slot.number}") for slot in self._slots]
            stack.push_async_callback(self._end, lives)
            opened = await self._until_stop(asyncio.gather(*(slot.first for slot in self._slots)))
            if opened is None:
                return
            self._catch_up_all(opened)
            source = fronts.plan_source(settings, self._log, self._board, cluster)
            admin = await fronts.open_other_ports(
                settings,
                self._log,
                self._desk,
                cluster=cluster,
                public=base,
                port=self._desk.port,
                source=source,
                stack=stack,
            )
            await self._until_stop(asyncio.gather(*(slot.taking() for slot in self._slots)))
            plans = asyncio.create_task(source.run())
            stack.callback(plans.cancel)
            fronts.announce(settings.data, self._log, admin=admin, listen=base, stack=stack)
            owed = sum(one.pending for one in opened)
            self._log.info("dispatcher.started", listen=base, admin=admin, deliveries=owed, workers=len(self._slots))
            watched = {plans, *lives}
            ended = asyncio.create_task(asyncio.wait(watched, return_when=asyncio.FIRST_COMPLETED))
            await self._until_stop(ended)
            await self._end(lives)
            for one in watched:
                if one.done():
                    one.result()  # neither a source nor a slot ends by itself: its fault is ours

    # --- the house of the workers -------------------------------------------------------------------------------------

    def opened(self, slot: Slot, opened: Opened) -> None:
        """A worker that was started again is told all that is in force."""
        if slot.number in self._ready:
            self._catch_up(slot, opened)

    def told(self, slot: Slot, told: Told) -> None:
        """A worker tells what changed."""
        self._desk.told(slot, told)

    def died(self, slot: Slot, why: str) -> None:
        """A worker ended."""
        self._desk.died(slot, why)

    async def asked(self, slot: Slot, question: Question) -> object:
        """A worker was asked for an event that is not its own; nothing else is asked upwards."""
        return await self._desk.event(question.receipt) if isinstance(question, EventOf) else None

    # --- starting and stopping ----------------------------------------------------------------------------------------

    def _hire(self, guard: Guard, stack: contextlib.AsyncExitStack) -> str:
        """Make the sockets and a slot for each worker; the data port's base URL. Raises Unstartable."""
        settings, numbers = self._settings, self._numbers
        if settings.journal_bytes // len(numbers) < LEAST_JOURNAL:
            raise Unstartable(
                f"the journals of {len(numbers)} workers need {len(numbers) * LEAST_JOURNAL >> 20}Mi together at least,"
                f" not {settings.journal_bytes} bytes"
            )
        sockets = open_sockets(settings.listen, settings.workers)
        for one in sockets:
            stack.callback(one.close)
        for number, room in zip(numbers, shares(len(numbers)), strict=True):
            sock = sockets[number] if number < len(sockets) else None  # what was left behind takes nothing new
            orders = _orders(settings, number, self._shares[number], room, guard=guard, sock=sock)
            self._slots.append(Slot(orders, sock, house=self, log=self._log))
        self._sockets = sockets
        return parts.url_of(sockets[0].getsockname())

    def _catch_up_all(self, opened: list[Opened]) -> None:
        """Put what the journals kept on the board, and all workers to work."""
        for slot, one in zip(self._slots, opened, strict=True):
            self._owners.found(slot.number, one.keyed)
        for one in opened:
            self._board.recover(one.plans)
        for slot, one in zip(self._slots, opened, strict=True):
            self._ready.add(slot.number)
            self._catch_up(slot, one)

    def _catch_up(self, slot: Slot, opened: Opened) -> None:
        slot.write(framed(self._board.everything(opened.plans)))
        slot.write(framed(CaughtUp()))

    def _post(self, changed: Plans) -> None:
        frame = framed(changed)
        for slot in self._slots:
            if slot.number in self._ready:
                slot.write(frame)

    async def _until_stop(self, what: asyncio.Future[T]) -> T | None:
        """Wait for *what*; None when asked to stop before."""
        stopped = asyncio.create_task(self._stop.wait())
        waiting: set[asyncio.Future[typing.Any]] = {what, stopped}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        if what.done():
            return what.result()
        what.cancel()
        await asyncio.gather(what, return_exceptions=True)  # a gather's cancellation is a fault that nobody looked at
        return None

    async def _end(self, lives: list[asyncio.Task[None]]) -> None:
        """Have every worker drain, and wait for them; the second time there is nothing left to do."""
        self._desk.stopping = True
        for one in self._sockets:
            one.close()  # with the workers' own copies gone too, nobody can connect any more
        for slot in self._slots:
            slot.stop()
        late = await self._patiently(lives)
        if late:
            self._log.warning("dispatcher.killed", why="workers did not end in time", workers=len(late))
            for slot in self._slots:
                slot.kill()
            await asyncio.wait(late)

    async def _patiently(self, lives: list[asyncio.Task[None]]) -> set[asyncio.Task[None]]:
        """Wait until all workers have ended; those that take longer than they may.

        The board knows how long an attempt of what is in force may take. Beside that a worker may have something in
        flight to a route or target that is gone, or by an earlier plan, and tells of it as it stops.
        """
        loop, late = asyncio.get_running_loop(), set(lives)
        began, patience = loop.time(), self._board.longest_attempt()
        while late and (left := began + patience + parts.GRACE + BEYOND - loop.time()) > 0:
            _, late = await asyncio.wait(late, timeout=left)
            patience = max(patience, *(slot.patience for slot in self._slots))
        return late

    def _asked_to_stop(self) -> None:
        if self._stop.is_set():
            self._log.warning("dispatcher.killed", why=parts.ASKED_TWICE)
            for slot in self._slots:
                slot.kill()
            self._stderr.close()
            os._exit(1)
        self._log.info("dispatcher.stopping", workers=len(self._slots))
        self._stop.set()


def _shares(workers: int, left: dict[int, bool]) -> dict[int, Share]:
    """What each worker has of the limits: all that may send share them, and who has only history needs nothing."""
    sending = [*range(workers), *(number for number, sends in left.items() if sends)]
    names = tuple(parts.journal_name(number) for number in sending[workers:])
    made = dict(zip(sending, shares(len(sending), names), strict=True))
    return made | {number: made[0] for number, sends in left.items() if not sends}


def _orders(
    settings: Settings, number: int, share: Share, room: Share, *, guard: Guard, sock: socket.socket | None
) -> Orders:
    return Orders(
        worker=number,
        share=share,
        data=str(settings.data),
        journal_bytes=room.part(settings.journal_bytes),
        journals=room.of,
        memory_bytes=room.part(parts.MEMORY_BYTES),
        allow_loopback=guard.allow_loopback,
        allow_cidrs=tuple(map(str, guard.allow)),
        own=tuple(sorted(guard.own)),
        log_level=settings.log_level,
        log_format=settings.log_format,
        socket=None if sock is None else sock.fileno(),
    )
