"""The composition root: a dispatcher, built from its settings, from the first lock to the last commit.

One process does everything here, made of `parts` and `fronts`. Where there have to be workers, because ``--workers``
says so or an earlier start left journals of theirs behind, a supervisor does it, and this only hands over.

The order of starting is the order of trust: first the journal (nothing can be promised without it), then the ports (a
taken one must be known before anything is sent), then the plans. Stopping goes the other way: no new events, what is in
flight lands, all of it is committed.
"""

import asyncio
import contextlib
import os
import signal
import sys

import uvloop
from structlog.typing import FilteringBoundLogger

from fanout_crds.outlet import Outlet
from fanout_dispatcher import fronts, parts
from fanout_dispatcher.cluster import connect
from fanout_dispatcher.ingress.listener import CannotListen
from fanout_dispatcher.settings import Settings, Unstartable
from fanout_dispatcher.telemetry.logs import adopt_libraries, logger
from fanout_dispatcher.workers import orphans
from fanout_dispatcher.workers.leftovers import left_behind
from fanout_dispatcher.workers.supervisor import serve as serve_with_workers


def serve(settings: Settings) -> None:
    """Run a dispatcher until SIGTERM or SIGINT.

    Raises Unstartable or JournalFault with a sentence for what the user can mend.
    """
    asyncio.run(orphans.outlast(settings.data))  # uvloop wants standard error, which may be closed still
    left = left_behind(settings.data, settings.workers)
    if settings.workers > 1 or left:
        return serve_with_workers(settings, left)
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
        opened = await parts.open_journal(settings.data, settings.journal_bytes, stack)
        size, guard = parts.Size(settings.journal_bytes), await fronts.make_guard(settings, cluster)
        engine, desk = parts.make_engine(log, opened, size, guard=guard)
        outboxes = parts.make_outboxes(engine, log, opened, guard=guard)
        try:
            ingress = await parts.open_data_port(engine, desk, (settings.listen.host, settings.listen.port))
        except CannotListen as error:
            raise Unstartable(str(error)) from None
        stack.callback(ingress.close)
        base = parts.url_of(ingress.addresses[0])
        source = fronts.plan_source(settings, log, outboxes, cluster)
        admin = await fronts.open_other_ports(
            settings, log, desk, cluster=cluster, public=base, port=ingress.meter, source=source, stack=stack
        )
        engine.start()
        plans = asyncio.create_task(source.run(), name="plans")
        stack.callback(plans.cancel)
        fronts.announce(settings.data, log, admin=admin, listen=base, stack=stack)
        log.info("dispatcher.started", listen=base, admin=admin, deliveries=opened[1].pending)
        stopping = asyncio.create_task(stop.wait())
        await asyncio.wait({stopping, plans}, return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        await parts.stop(engine, ingress, log, outboxes=outboxes)
        if plans.done():
            plans.result()  # a source never ends by itself: its fault is ours


def _asked_to_stop(stop: asyncio.Event, log: FilteringBoundLogger, stderr: Outlet) -> None:
    if stop.is_set():
        log.warning("dispatcher.killed", why=parts.ASKED_TWICE)
        stderr.close()
        os._exit(1)
    stop.set()
