"""A worker process: a journal, an engine and a socket of the data port, and a link to the supervisor for all the rest.

It takes events only when it has caught up with the plans in force, so that nobody is told that there is no such route
by a worker that merely does not know it yet. When the link ends, the supervisor is gone: the worker takes nothing more,
gives what is in flight a few seconds, and ends, so that the journal is free for whoever is started next.
"""

import asyncio
import contextlib
import ipaddress
import math
import os
import pathlib
import signal
import socket
import sys
import typing

import uvloop
from structlog.typing import FilteringBoundLogger

from fanout_crds.outlet import Outlet
from fanout_dispatcher import parts
from fanout_dispatcher.engine.desk import EngineDesk
from fanout_dispatcher.engine.engine import Engine
from fanout_dispatcher.engine.receipts import worker_of
from fanout_dispatcher.ingress.listener import Ingress
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.sources.outboxes import Outboxes
from fanout_dispatcher.telemetry.logs import adopt_libraries, logger
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.values.desk import PortMeter
from fanout_dispatcher.values.sink import PlanRefused, PlanSink
from fanout_dispatcher.values.views import EventView
from fanout_dispatcher.workers.link import Link, first
from fanout_dispatcher.workers.mates import Mates
from fanout_dispatcher.workers.messages import (
    EVENT,
    Abandon,
    Adopt,
    Backup,
    CaughtUp,
    EventOf,
    Events,
    LetterOf,
    Letters,
    Message,
    Opened,
    Orders,
    Plans,
    Question,
    Remove,
    Replay,
    Resume,
    Retire,
    Sagas,
    Stop,
    Stopping,
    Taking,
    Unable,
)
from fanout_dispatcher.workers.owners import Part, keyed_in
from fanout_dispatcher.workers.telling import Teller

T = typing.TypeVar("T")


def main(descriptor: int) -> int:
    """Work until the supervisor says stop, or is gone; the exit code."""
    pair = socket.socket(fileno=descriptor)
    try:
        orders = first(pair)
    except EOFError:
        return 0  # the supervisor went before it gave any
    assert isinstance(orders, Orders)
    with Outlet(sys.stderr) as stderr:
        log = logger(stderr, level=orders.log_level, form=orders.log_format, always={"worker": orders.worker})
        adopt_libraries(log)
        try:
            return uvloop.run(Worker(orders, log).work(pair))
        except Exception as fault:  # the edge of the process: a trace belongs in the log, with its worker
            log.error("worker.failed", exc_info=fault)
            return 1


class Worker:
    """One life of a worker."""

    def __init__(self, orders: Orders, log: FilteringBoundLogger) -> None:
        self._orders = orders
        self._log = log
        self._link: Link
        self._engine: Engine
        self._outboxes: Outboxes | None = None
        self._sink: PlanSink
        self._desk: EngineDesk
        self._part = Part(orders.share, orders.worker)
        self._teller: Teller | None = None  # from when it takes events
        self._caught_up = asyncio.Event()
        self._stop = asyncio.Event()
        self._orphaned = False

    async def work(self, pair: socket.socket) -> int:
        """Start, work, drain; the exit code."""
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, self._stop.set)
        self._link = await Link.over(pair, self._heard, self._answer, self._lost)
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(self._link.close)
            try:
                pending = await self._open(stack)
            except JournalFault as why:
                self._link.tell(Unable(why=str(why)))
                return 1
            ingress, mates = None, None
            if await self._either(self._caught_up):
                mates = Mates(pathlib.Path(self._orders.data), self._orders.worker)
                stack.callback(mates.close)
                ingress = await self._take(mates, stack)
                meter = ingress.meter if ingress is not None else PortMeter()
                await mates.hear(parts.make_acceptor(self._engine, self), meter)
                await self._show(meter, stack)
                self._log.info("worker.started", deliveries=pending, pid=os.getpid())
                await self._stop.wait()
            self._link.tell(Stopping(patience=self._engine.longest_attempt()))
            most = parts.GRACE if self._orphaned else math.inf
            await parts.stop(self._engine, ingress, self._log, outboxes=self._outboxes, mates=mates, most=most)
            if self._teller is not None:
                await self._teller.look()
        return 0

    async def event(self, receipt: str) -> EventView | None:
        """What became of an event, whichever worker has it."""
        if worker_of(receipt) == self._orders.worker:
            return await self._desk.event(receipt)
        return await self._link.ask(EventOf(receipt), EVENT)

    async def _open(self, stack: contextlib.AsyncExitStack) -> int:
        """Open the journal and go on with its plans; how many deliveries it owes. Raises JournalFault."""
        orders = self._orders
        opened = await parts.open_journal(
            pathlib.Path(orders.data), orders.journal_bytes, stack, worker=orders.worker, journals=orders.journals
        )
        guard = Guard(
            allow_loopback=orders.allow_loopback,
            allow=tuple(map(ipaddress.ip_network, orders.allow_cidrs)),
            own=frozenset(orders.own),
        )
        self._engine, self._desk = parts.make_engine(
            self._log,
            opened,
            parts.Size(orders.journal_bytes, orders.memory_bytes),
            guard=guard,
            worker=orders.worker,
            share=self._part,
        )
        if orders.worker == 0:  # the others would be others to the database too, and have nothing to share but trouble
            self._sink = self._outboxes = parts.make_outboxes(self._engine, self._log, opened, guard=guard)
        else:
            self._sink = self._engine
        found = opened[1]
        self._link.tell(Opened(plans=found.plans, pending=found.pending, keyed=keyed_in(found)))
        return found.pending

    async def _take(self, mates: Mates, stack: contextlib.AsyncExitStack) -> Ingress | None:
        """Begin to take events, on the socket that was handed down."""
        self._engine.start()
        if self._orders.socket is None:
            return None
        sock = socket.socket(fileno=self._orders.socket)
        ingress = await parts.open_data_port(self._engine, self, sock, mates.hand_on)
        stack.callback(ingress.close)
        return ingress

    async def _show(self, meter: PortMeter, stack: contextlib.AsyncExitStack) -> None:
        """Let the supervisor see everything, then what changes."""
        self._teller = Teller(self._desk, meter, self._link.tell)
        await self._teller.look(whole=True)
        self._link.tell(Taking())
        telling = asyncio.create_task(self._teller.run())
        stack.callback(telling.cancel)

    async def _either(self, event: asyncio.Event) -> bool:
        """Wait for *event*, or to be stopped; whether it was the event."""
        waits = {asyncio.create_task(event.wait()), asyncio.create_task(self._stop.wait())}
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for one in waits:
            one.cancel()
        return not self._stop.is_set()

    # --- the link -----------------------------------------------------------------------------------------------------

    def _heard(self, message: Message) -> None:
        match message:
            case Plans():
                self._plans(message)
            case CaughtUp():
                self._caught_up.set()
            case Stop():
                self._stop.set()
            case _:
                self._log.error("worker.unknown", message=type(message).__name__)

    def _lost(self) -> None:
        self._orphaned = not self._stop.is_set()
        self._stop.set()

    def _plans(self, told: Plans) -> None:
        for change in told.changes:
            match change:
                case Retire():
                    self._sink.retire(change.route)
                case Adopt():
                    self._part.told(change.plan.key, change.owner)
                    try:
                        self._sink.adopt(change.plan, change.credentials)
                    except PlanRefused as why:  # the board knows the same rules; should they differ, the view says so
                        self._engine.refuse(change.plan.key, str(why))
        if told.known:
            self._engine.synced()
        if self._teller is not None:
            self._teller.hurry()

    async def _answer(self, question: Question) -> object:
        desk = self._desk
        match question:
            case EventOf():
                return await desk.event(question.receipt)
            case Events():
                return await desk.events(question.route, question.after, question.limit)
            case Letters():
                return await desk.dead_letters(question.wanted)
            case LetterOf():
                return await desk.dead_letter(question.ident)
            case Replay():
                return await self._shown(desk.replay(question.wanted))
            case Remove():
                return await self._shown(desk.remove(question.wanted))
            case Sagas() | Resume() | Abandon():
                return await self._answer_of_sagas(question)
            case Backup():
                return await desk.backup()
        typing.assert_never(question)

    async def _answer_of_sagas(self, question: Sagas | Resume | Abandon) -> object:
        match question:
            case Sagas():
                return await self._desk.sagas(question.wanted)
            case Resume():
                return await self._shown(self._desk.resume(question.wanted))
            case Abandon():
                return await self._shown(self._desk.abandon(question.wanted))
        typing.assert_never(question)

    async def _shown(self, deed: typing.Awaitable[T]) -> T:
        """Do it, and let its counts be seen before its answer."""
        done = await deed
        if self._teller is not None:
            await self._teller.look()
        return done
