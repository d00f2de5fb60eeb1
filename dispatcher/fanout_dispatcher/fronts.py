"""What faces people, operators and the API server: admin port, report stream, plan source, state file.

There is one of each in a dispatcher, however many processes it has: in its only process (`server`), or in the
supervisor (`workers`). They stand on a desk and feed a sink, and do not know whether one engine is behind those or
several. Time and chance enter them here and nowhere else.
"""

import asyncio
import contextlib
import ipaddress
import os
import pathlib
import random
import secrets
import time
import typing
import urllib.parse

from structlog.typing import FilteringBoundLogger

from fanout_crds.apiserver import ApiServer
from fanout_crds.compile import Installation
from fanout_dispatcher import state
from fanout_dispatcher.admin import app, report
from fanout_dispatcher.admin.listen import listen as listen_http
from fanout_dispatcher.admin.review import TokenReviewer, user_of
from fanout_dispatcher.plans.folder import FolderSource
from fanout_dispatcher.plans.kubernetes import KubernetesSource
from fanout_dispatcher.settings import Settings
from fanout_dispatcher.telemetry.logs import LogSeam
from fanout_dispatcher.transport.guard import Guard, spelled
from fanout_dispatcher.transport.names import Names, Resolve
from fanout_dispatcher.values.desk import Desk, PortMeter
from fanout_dispatcher.values.outcome import Refused
from fanout_dispatcher.values.sink import Holder, PlanSink

LOOKUP: typing.Final = 5.0  # seconds at most that a start waits for the addresses of our own names


class Source(Holder, typing.Protocol):
    """A plan source: feeds a sink until it is cancelled."""

    async def run(self) -> None:
        """Load, then follow."""


async def open_other_ports(
    settings: Settings,
    log: FilteringBoundLogger,
    desk: Desk,
    *,
    cluster: ApiServer | None,
    public: str,
    port: PortMeter,
    source: Source,
    stack: contextlib.AsyncExitStack,
) -> str:
    """Open the admin port, and the report port where one is asked for; the admin port's base URL."""
    admin = app.application(
        desk, log, token=settings.admin_token, loopback=settings.admin.loopback, public=public, port=port, holder=source
    )
    opened = await listen_http(admin, settings.admin)
    stack.push_async_callback(opened.close)
    if settings.report is not None:
        allowed = None
        if settings.report_checked and cluster is not None:
            home = settings.namespace or cluster.namespace
            readers = [user_of(account, home) for account in settings.report_readers]
            allowed = TokenReviewer(cluster, log, readers=readers, now=time.monotonic)
        stream = report.stream(desk, log, epoch=secrets.token_hex(8), allowed=allowed)
        followed = await listen_http(stream, settings.report, settings.report_tls)
        stack.push_async_callback(followed.close)
    return f"http://{opened.address}"


async def make_guard(settings: Settings, cluster: ApiServer | None, resolve: Resolve | None = None) -> Guard:
    """No target may be one of our own ports or the API server, whatever else the installer allows.

    They are known by the name that we were told, if it is one, and by the addresses that it has now.
    """
    resolve = resolve or Names(asyncio.get_running_loop())
    own = [(one.host, one.port) for one in (settings.listen, settings.admin, settings.report) if one is not None]
    if cluster is not None:
        server = urllib.parse.urlsplit(cluster.server)
        own.append((server.hostname or "", server.port or (80 if server.scheme == "http" else 443)))
    places = await asyncio.gather(*(_places(host, port, resolve) for host, port in own))
    return Guard(allow_loopback=settings.allow_loopback, allow=settings.allow_cidrs, own=frozenset().union(*places))


async def _places(host: str, port: int, resolve: Resolve) -> set[tuple[str, int]]:
    try:
        return {(str(ipaddress.ip_address(host)), port)}
    except ValueError:
        pass  # it is a name
    try:
        async with asyncio.timeout(LOOKUP):
            found = await resolve(host)
    except TimeoutError:
        found = []
    addresses = [] if isinstance(found, Refused) else found
    return {(spelled(host), port), *((address, port) for address in addresses)}


def plan_source(settings: Settings, log: FilteringBoundLogger, sink: PlanSink, cluster: ApiServer | None) -> Source:
    """The source that the settings name, which feeds *sink*."""
    chance = random.Random(secrets.randbits(64))
    seam = LogSeam(log)
    if cluster is not None:
        namespace = settings.namespace or cluster.namespace
        return KubernetesSource(
            cluster, namespace=namespace, class_name=settings.class_name, sink=sink, seam=seam, rng=chance
        )
    return FolderSource(
        settings.paths,
        sink=sink,
        seam=seam,
        installation=Installation(class_name=settings.class_name),
        resolve=settings.resolve,
        rng=chance,
    )


def announce(
    data: pathlib.Path, log: FilteringBoundLogger, *, admin: str, listen: str, stack: contextlib.AsyncExitStack
) -> None:
    """Keep the state file, with the base URLs of admin and data port, until *stack* unwinds."""
    running = state.Running(admin=admin, listen=listen, pid=os.getpid())
    try:
        stack.enter_context(state.announced(data, running))
    except OSError as error:  # a full disk: `fanout events` needs --admin then, and nothing else is worse for it
        log.warning("state.unwritten", file=str(data / state.NAME), why=error.strerror)
