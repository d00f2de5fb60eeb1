"""The composition root: one dispatcher process, built from its settings, from the first lock to the last commit.

Time, chance, ids and the network enter the program here and nowhere else. The order of starting is the order of trust:
first the journal (nothing can be promised without it), then the ports (a taken one must be known before anything is
sent), then the plans. Stopping goes the other way: no new events, what is in flight lands, all of it is committed.
"""

import asyncio
import contextlib
import os
import pathlib
import random
import resource
import secrets
import signal
import sys
import time
import typing
import urllib.parse

import uvloop
from structlog.typing import FilteringBoundLogger

from fanout_crds.compile import Installation
from fanout_crds.outlet import Outlet
from fanout_dispatcher import state
from fanout_dispatcher.admin import app, report
from fanout_dispatcher.admin.listen import Listening
from fanout_dispatcher.admin.listen import listen as listen_http
from fanout_dispatcher.admin.review import TokenReviewer
from fanout_dispatcher.cluster import Cluster, connect
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.desk import EngineDesk
from fanout_dispatcher.engine.engine import Engine, Opened
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.ingress.engine import Route as RouteAtDoor
from fanout_dispatcher.ingress.listener import DEFAULTS as PORT
from fanout_dispatcher.ingress.listener import CannotListen, Ingress, listen
from fanout_dispatcher.journal.clock import Clock as MachineClock
from fanout_dispatcher.journal.disk import LoopDisk, ThreadDisk, ask
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import Journal, Recovered
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.plans.folder import FolderSource
from fanout_dispatcher.plans.kubernetes import KubernetesSource
from fanout_dispatcher.settings import Settings, Unstartable
from fanout_dispatcher.telemetry.logs import LogSeam, adopt_libraries, logger
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.senders import HttpSenders
from fanout_dispatcher.values.address import bracketed
from fanout_dispatcher.values.answers import Reply
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.ids import Ids
from fanout_dispatcher.values.views import EventView

JOURNAL: typing.Final = "journal.db"
MEMORY_BYTES: typing.Final = 64 << 20  # what routes with durability Memory may keep waiting in all
ANY: typing.Final = ("0.0.0.0", "::")  # listening here is listening on loopback too
MOST_DESCRIPTORS: typing.Final = 1 << 20  # where the limit is "unlimited": what the kernel gives a process by default
GRACE: typing.Final = 3.0  # seconds, beyond the longest attempt, that stopping may take


class Source(typing.Protocol):
    """A plan source: feeds the engine until it is cancelled."""

    async def run(self) -> None:
        """Load, then follow."""


class Door:
    """The engine as the data port sees it: acceptance on the hot path, the desk for status."""

    def __init__(self, engine: Engine, desk: EngineDesk) -> None:
        self.engine = engine
        self.desk = desk

    def route_at(self, path: str) -> Route | None:
        """The route that listens at *path*."""
        return self.engine.route_at(path)

    def accept(self, route: RouteAtDoor, head: Head, body: bytes, reply: Reply) -> None:
        """Take an event."""
        self.engine.accept(typing.cast(Route, route), head, body, reply)  # it came from route_at

    async def event(self, receipt: str) -> EventView | None:
        """What became of an event."""
        return await self.desk.event(receipt)


def serve(settings: Settings) -> None:
    """Run a dispatcher until SIGTERM or SIGINT.

    Raises Unstartable (or JournalRefused) with a sentence for what the user can mend.
    """
    with Outlet(sys.stderr) as stderr:
        log = logger(stderr, level=settings.log_level, form=settings.log_format)
        adopt_libraries(log)
        uvloop.run(_serve(settings, log, stderr))


async def _serve(settings: Settings, log: FilteringBoundLogger, stderr: Outlet) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _asked_to_stop, stop, log, stderr)
    async with contextlib.AsyncExitStack() as stack:
        cluster = connect(settings.kubeconfig) if settings.plans == "kubernetes" else None
        disk, recovered = await _open_journal(settings, stack)
        engine, desk = _engine(settings, log, disk, recovered, guard=_guard(settings, cluster))
        ingress = await _open_data_port(settings, engine, desk)
        stack.callback(ingress.close)
        base = _url(ingress.addresses[0])
        ports = await _open_other_ports(settings, log, desk, cluster=cluster, ingress=ingress, stack=stack)
        engine.start()
        plans = asyncio.create_task(_source(settings, log, engine, cluster).run(), name="plans")
        stack.callback(plans.cancel)
        running = state.Running(admin=f"http://{ports[0].address}", listen=base, pid=os.getpid())
        try:
            stack.enter_context(state.announced(settings.data, running))
        except OSError as error:  # a full disk: `fanout events` needs --admin then, and nothing else is worse for it
            log.warning("state.unwritten", file=str(settings.data / state.NAME), why=error.strerror)
        log.info("dispatcher.started", listen=base, admin=running.admin, deliveries=recovered.pending)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, plans}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await _stop(engine, ingress, log)
        if plans.done():
            plans.result()  # a source never ends by itself: its fault is ours


async def _stop(engine: Engine, ingress: Ingress, log: FilteringBoundLogger) -> None:
    patience = engine.longest_attempt() + GRACE
    log.info("dispatcher.stopping", patience=patience)
    engine.close_door()
    await asyncio.gather(ingress.drain(GRACE), engine.drain(patience))
    log.info("dispatcher.stopped")


def _asked_to_stop(stop: asyncio.Event, log: FilteringBoundLogger, stderr: Outlet) -> None:
    if stop.is_set():
        log.warning("dispatcher.killed", why="asked twice: what is in flight will be sent again at the next start")
        stderr.close()
        os._exit(1)
    stop.set()


async def _open_journal(settings: Settings, stack: contextlib.AsyncExitStack) -> tuple[ThreadDisk, Recovered]:
    journal = SqliteJournal(
        settings.data / JOURNAL,
        clock=_machine_clock,
        new_key=lambda: secrets.token_bytes(32),
        max_bytes=settings.journal_bytes,
    )
    disk = ThreadDisk(journal, asyncio.get_running_loop())
    disk.start()
    stack.push_async_callback(disk.stop)
    recovered = await ask(disk, lambda journal: journal.open())
    stack.push_async_callback(ask, disk, _close)
    return disk, recovered


def _close(journal: Journal) -> None:
    journal.close()


async def _open_data_port(settings: Settings, engine: Engine, desk: EngineDesk) -> Ingress:
    try:
        return await listen(
            Door(engine, desk),
            (settings.listen.host, settings.listen.port),
            ids=Ids(secrets.token_bytes),
            wall=time.time,
            settings=PORT.within(_descriptors()),
        )
    except CannotListen as error:
        raise Unstartable(str(error)) from None


async def _open_other_ports(
    settings: Settings,
    log: FilteringBoundLogger,
    desk: EngineDesk,
    *,
    cluster: Cluster | None,
    ingress: Ingress,
    stack: contextlib.AsyncExitStack,
) -> list[Listening]:
    """The admin port, and the report port where one is asked for."""
    admin = app.application(
        desk,
        log,
        token=settings.admin_token,
        loopback=settings.admin.loopback,
        public=_url(ingress.addresses[0]),
        port=ingress.meter,
    )
    ports = [await listen_http(admin, settings.admin)]
    stack.push_async_callback(ports[0].close)
    if settings.report is not None:
        allowed = None
        if settings.report_checked and cluster is not None:
            allowed = TokenReviewer(cluster, log, now=time.monotonic)
        stream = report.stream(desk, log, epoch=secrets.token_hex(8), allowed=allowed)
        ports.append(await listen_http(stream, settings.report, settings.report_tls))
        stack.push_async_callback(ports[1].close)
    return ports


def _engine(
    settings: Settings, log: FilteringBoundLogger, disk: ThreadDisk, recovered: Recovered, *, guard: Guard
) -> tuple[Engine, EngineDesk]:
    loop = asyncio.get_running_loop()
    scratch = MemoryJournal(key=secrets.token_bytes(32), max_bytes=MEMORY_BYTES)
    engine = Engine(
        Clock(loop, base=recovered.now, wall=time.time()),
        durable=Opened(disk=disk, recovered=recovered, max_bytes=settings.journal_bytes),
        memory=Opened(disk=LoopDisk(scratch), recovered=scratch.open(), max_bytes=MEMORY_BYTES),
        senders=HttpSenders(loop, guard),
        seam=LogSeam(log),
        seed=secrets.randbits(64),
    )
    return engine, EngineDesk(engine)


def _guard(settings: Settings, cluster: Cluster | None) -> Guard:
    """No target may be one of our own ports or the API server, whatever else the installer allows."""
    own = set()
    for one in (settings.listen, settings.admin, settings.report):
        if one is not None:
            hosts = ("127.0.0.1", "::1") if one.loopback or one.host in ANY else (one.host,)
            own |= {(host, one.port) for host in hosts}
    if cluster is not None:
        server = urllib.parse.urlsplit(cluster.server)
        own.add((server.hostname or "", server.port or 443))
    return Guard(allow_loopback=settings.allow_loopback, allow=settings.allow_cidrs, own=frozenset(own))


def _source(settings: Settings, log: FilteringBoundLogger, engine: Engine, cluster: Cluster | None) -> Source:
    chance = random.Random(secrets.randbits(64))
    seam = LogSeam(log)
    if cluster is not None:
        namespace = settings.namespace or cluster.namespace
        return KubernetesSource(
            cluster, namespace=namespace, class_name=settings.class_name, sink=engine, seam=seam, rng=chance
        )
    return FolderSource(
        settings.paths,
        sink=engine,
        seam=seam,
        installation=Installation(class_name=settings.class_name),
        resolve=settings.resolve,
        rng=chance,
    )


def _descriptors() -> int:
    """Raise the soft limit of file descriptors to the hard one, and say how many that are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else hard
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    except (OSError, ValueError):
        return soft  # a sandbox may forbid it: then the caps fit what there is
    return most


def _machine_clock() -> MachineClock:
    boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return MachineClock(boot, time.clock_gettime(time.CLOCK_BOOTTIME), time.time())


def _url(address: tuple[typing.Any, ...]) -> str:
    host, port = address[:2]
    return f"http://{bracketed(host)}:{port}"
