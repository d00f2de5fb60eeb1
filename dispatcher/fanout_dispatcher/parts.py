"""The parts of a process that accepts and delivers: journal, engine, data port, and how they stop.

A dispatcher without workers (`server`) and each worker (`workers`) are made of the same ones. What faces people,
operators and the API server is in `fronts`, which a worker does without. Time, chance, ids and the network enter the
parts here and nowhere else.
"""

import asyncio
import contextlib
import functools
import math
import pathlib
import resource
import secrets
import socket
import sys
import time
import typing

from structlog.typing import FilteringBoundLogger

from fanout_dispatcher.engine.bounds import BUSY
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.desk import EngineDesk
from fanout_dispatcher.engine.engine import Engine, Opened
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.engine.routes import UNDIVIDED, Share
from fanout_dispatcher.ingress.accept import Acceptor, HandOn, nobody
from fanout_dispatcher.ingress.engine import Caller
from fanout_dispatcher.ingress.engine import Route as RouteAtDoor
from fanout_dispatcher.ingress.listener import DEFAULTS as PORT
from fanout_dispatcher.ingress.listener import Ingress, listen
from fanout_dispatcher.journal.clock import Clock as MachineClock
from fanout_dispatcher.journal.disk import LoopDisk, ThreadDisk, ask
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import Journal, Recovered
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.sources.outboxes import Outboxes
from fanout_dispatcher.telemetry.logs import LogSeam
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.names import Names
from fanout_dispatcher.transport.senders import HttpSenders
from fanout_dispatcher.values.address import bracketed
from fanout_dispatcher.values.answers import Client, Reply, ReplyAll, Tell, Turned
from fanout_dispatcher.values.correlation import PARENT_BYTES
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.ids import Ids
from fanout_dispatcher.values.keyed import Keyed
from fanout_dispatcher.values.views import EventView

# Seconds, beyond the longest attempt, in which clients are answered and what is in flight lands. Outboxes may take
# PARTING before that; after it come the last commits (the engine's FLUSH at least) and the journal's last checkpoint.
GRACE: typing.Final = 3.0
PARTING: typing.Final = 1.0  # seconds of that for whoever is connected, to be told to go
LAST_WORDS: typing.Final = 0.1  # seconds, at least, for what others hand on meanwhile
MEMORY_BYTES: typing.Final = 64 << 20  # what routes with durability Memory may keep waiting in all
SWITCH: typing.Final = 0.001  # seconds after which a busy loop lets the journal's thread have the interpreter; Python's
# own 5 ms, at each of the seven calls that a commit makes, made the slowest 202s twice as slow
ASKED_TWICE: typing.Final = "asked twice: what is in flight will be sent again at the next start"
UNREADABLE: typing.Final = "the journal that has this event cannot be read at the moment: ask again"
MOST_DESCRIPTORS: typing.Final = 1 << 20  # where the limit is "unlimited": what the kernel gives a process by default


class Events(typing.Protocol):
    """Whoever knows what became of an event."""

    async def event(self, receipt: str) -> EventView | None:
        """What became of an event; None for a receipt that is not ours."""


class Door:
    """The engine as the data port sees it: acceptance on the hot path, and whoever knows of *events* for status."""

    def __init__(self, engine: Engine, events: Events) -> None:
        self.engine = engine
        self.events = events

    def route_at(self, path: str) -> Route | None:
        """The route that listens at *path*, as it is written out."""
        return self.engine.route_at(path)

    def route_like(self, path: str) -> Route | None:
        """The route whose path with names in braces fits *path*."""
        return self.engine.route_like(path)

    def accept(self, route: RouteAtDoor, head: Head, body: bytes, reply: Reply) -> None:
        """Take an event."""
        self.engine.accept(typing.cast(Route, route), head, body, reply)  # it came from route_at

    def accept_waiting(self, route: RouteAtDoor, head: Head, body: bytes, tell: Tell) -> Caller | None:
        """Take an event whose caller waits for its targets."""
        return self.engine.accept_waiting(typing.cast(Route, route), head, body, tell)

    def accept_once(self, route: RouteAtDoor, keyed: Keyed, reply: Reply) -> None:
        """Take an event unless its key was taken before."""
        self.engine.accept_once(typing.cast(Route, route), keyed, reply)

    def accept_waiting_once(self, route: RouteAtDoor, keyed: Keyed, client: Client) -> Caller | None:
        """Take an event whose caller waits, unless its key was taken before."""
        return self.engine.accept_waiting_once(typing.cast(Route, route), keyed, client)

    def accept_all(self, route: RouteAtDoor, events: list[tuple[Head, bytes]], reply: ReplyAll) -> None:
        """Take all of some events, or none."""
        self.engine.accept_all(typing.cast(Route, route), events, reply)

    async def event(self, receipt: str) -> EventView | Turned | None:
        """What became of an event; why it cannot be said now, where the journal or the worker that has it is away."""
        try:
            return await self.events.event(receipt)
        except JournalFault:  # a full disk, or a worker that is being started again: whoever asked may ask again
            return Turned(status=503, reason="JournalUnavailable", detail=UNREADABLE, retry_after=BUSY)


class Mates(typing.Protocol):
    """Other processes of the same dispatcher, who may hand requests on to this one and get them from it."""

    async def part(self, seconds: float) -> None:
        """Hand on nothing more, and serve on until they do not either; at most so many *seconds*."""


class Size(typing.NamedTuple):
    """How many bytes the journal on disk and the one in memory may hold."""

    journal: int
    memory: int = MEMORY_BYTES


async def open_journal(
    data: pathlib.Path, max_bytes: int, stack: contextlib.AsyncExitStack, *, worker: int = 0, journals: int = 1
) -> tuple[ThreadDisk, Recovered]:
    """Open the journal of *worker*, one of *journals*, until *stack* unwinds, and let its thread have its turn.

    Raises JournalRefused.
    """
    sys.setswitchinterval(SWITCH)
    disk = ThreadDisk(journal_of(data, worker, journals, max_bytes=max_bytes), asyncio.get_running_loop())
    disk.start()
    stack.push_async_callback(disk.stop)
    recovered = await ask(disk, lambda journal: journal.open())
    stack.push_async_callback(ask, disk, _close)
    return disk, recovered


def journal_of(data: pathlib.Path, worker: int, journals: int = 1, *, max_bytes: int | None = None) -> SqliteJournal:
    """The journal of *worker*, one of *journals*, in the folder *data*, not open yet."""
    return SqliteJournal(
        data / journal_name(worker),
        clock=machine_clock,
        new_key=lambda: secrets.token_bytes(32),
        worker=worker,
        journals=journals,
        max_bytes=max_bytes,
    )


def journal_name(worker: int) -> str:
    """The file of a worker's journal; that of worker 0 is the one of a dispatcher without workers."""
    return f"journal-{worker}.db" if worker else "journal.db"


def _close(journal: Journal) -> None:
    journal.close()


async def open_data_port(
    engine: Engine, events: Events, at: tuple[str, int] | socket.socket, hand_on: HandOn = nobody
) -> Ingress:
    """Open the data port; *hand_on* gets what another worker has to take. Raises CannotListen."""
    return await listen(
        Door(engine, events),
        at,
        ids=Ids(secrets.token_bytes),
        wall=time.time,
        settings=PORT.within(_descriptors()),
        hand_on=hand_on,
    )


def make_acceptor(engine: Engine, events: Events) -> Acceptor:
    """What judges and begins requests that come in by another way than the data port."""
    return Acceptor(asyncio.get_running_loop(), Door(engine, events), Ids(secrets.token_bytes))


def make_engine(
    log: FilteringBoundLogger,
    opened: tuple[ThreadDisk, Recovered],
    size: Size,
    *,
    guard: Guard,
    worker: int = 0,
    share: Share = UNDIVIDED,
) -> tuple[Engine, EngineDesk]:
    """An engine on an open journal, with one in memory beside it."""
    loop = asyncio.get_running_loop()
    disk, recovered = opened
    scratch = MemoryJournal(key=secrets.token_bytes(32), max_bytes=size.memory)
    engine = Engine(
        Clock(loop, base=recovered.now, wall=time.time),
        durable=Opened(disk=disk, recovered=recovered, max_bytes=size.journal),
        memory=Opened(disk=LoopDisk(scratch), recovered=scratch.open(), max_bytes=size.memory),
        senders=HttpSenders(loop, guard, span_ids=Ids(secrets.token_bytes, size=PARENT_BYTES)),
        seam=LogSeam(log),
        worker=worker,
        seed=secrets.randbits(64),
        share=share,
    )
    return engine, EngineDesk(engine)


def make_outboxes(
    engine: Engine, log: FilteringBoundLogger, opened: tuple[ThreadDisk, Recovered], *, guard: Guard
) -> Outboxes:
    """The plan sink in front of *engine* that also fetches what routes say."""
    _, recovered = opened
    names = Names(asyncio.get_running_loop())
    return Outboxes(engine, key=recovered.key, guard=guard, resolve=names, seam=LogSeam(log), seed=secrets.randbits(64))


async def stop(
    engine: Engine,
    ingress: Ingress | None,
    log: FilteringBoundLogger,
    *,
    outboxes: Outboxes | None,
    mates: Mates | None = None,
    most: float = math.inf,
) -> None:
    """Take no more events, let what is in flight land, in *most* seconds at the latest, and commit it."""
    if outboxes is not None:
        await outboxes.end(PARTING)
    patience = min(engine.longest_attempt() + GRACE, most)
    log.info("dispatcher.stopping", patience=patience)
    began = asyncio.get_running_loop().time()
    if ingress is not None:
        await ingress.part(PARTING)
    if mates is not None:  # they part at the same time, and tell it when their last client is gone
        await mates.part(max(LAST_WORDS, began + PARTING - asyncio.get_running_loop().time()))
    if ingress is None:
        await engine.drain(patience)
    else:
        engine.close_door()
        await asyncio.gather(ingress.drain(GRACE - PARTING), engine.drain(patience - PARTING))
    log.info("dispatcher.stopped")


def _descriptors() -> int:
    """Raise the soft limit of file descriptors to the hard one, and say how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft  # a sandbox may forbid it: then the caps fit what there is
    return most


def machine_clock() -> MachineClock:
    """The machine's time, by which a journal knows how long it was away."""
    return MachineClock(_boot(), time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


@functools.cache
def _boot() -> str:
    """Which boot this is. Read once: commits note the time, and must not need a file descriptor for it."""
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def url_of(address: tuple[typing.Any, ...]) -> str:
    """The base URL of a port that listens at *address*."""
    host, port = address[:2]
    return f"http://{bracketed(host)}:{port}"
