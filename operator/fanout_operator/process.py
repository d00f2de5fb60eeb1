"""One operator, put together and run: the composition root. Time, chance, ids and IO enter here.

Everything runs as tasks beside each other; the first that ends, ends the process: by a signal with status 0, by a fault
that no retry can mend with status 1, for Kubernetes to start it again.

With `--leader-elect` several may run: all watch, so that any of them can go on at once, and the one that has the lease
works. The lease is handed on last of all, when nothing of this process writes any more.
"""

import asyncio
import datetime
import os
import random
import secrets
import signal
import typing
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack

import aiohttp
import structlog
from aiohttp import web

from fanout_operator import handlers, health
from fanout_operator.access import ReportAccess, TokenFile, find
from fanout_operator.app import Chances, Operator
from fanout_operator.dispatchers import Followers, discovery, named
from fanout_operator.elector import Elector, only_leading
from fanout_operator.lease import Election
from fanout_operator.options import Options, Unstartable
from fanout_operator.rest import Rest
from fanout_operator.vitals import vitals

Job = Coroutine[typing.Any, typing.Any, None]

log = structlog.get_logger()


async def run(options: Options) -> None:
    """Run one operator until a signal ends it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    _on_signals(loop, stop)
    access = find(options.kubeconfig, os.environ, loop.time)
    chances = Chances(random.Random(secrets.randbits(64)), lambda: secrets.token_hex(8), _wall)
    election = Election(options.election, options.terms, _wall_micro) if options.election else None
    requests = only_leading(lambda: election.leads(loop.time())) if election else aiohttp.ClientRequest
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(access.session(requests=requests))
        rest = Rest(session, access.server)
        elector = Elector(rest, election, chances.rng) if election else None
        if elector:
            stack.push_async_callback(elector.release)
        operator = Operator(options, rest, chances)
        reports = await stack.enter_async_context(_report_session())
        report_access = await _report_access(options, loop.time)
        followers = Followers(operator.fleet, reports, report_access, chances.rng)
        stack.push_async_callback(followers.close)
        pulse = handlers.Pulse()
        slices = discovery(options, rest, followers, chances.rng)
        if options.health:
            await _serve(stack, options.health, health.application(vitals(operator, pulse, rest, slices, elector)))
        watching = handlers.watch(
            operator,
            access,
            pulse,
            namespaces=options.namespaces,
            relist=operator.list_again,
            started=lambda: _on_signals(loop, stop),
            rng=chances.rng,
        )
        jobs = [*operator.tasks(), watching, _work(operator, elector)]
        if elector:
            jobs.append(elector.run())
        if slices:
            jobs.append(slices.run())
        else:
            followers.set(named(options.dispatchers))
        await _until(stop, jobs)


async def _work(operator: Operator, elector: Elector | None) -> None:
    """Start as soon as we lead, and work from then on."""
    if elector:
        await elector.elected.wait()
    await operator.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(operator.work.run(), name="work")
        group.create_task(operator.sweeper.run(), name="sweeper")
        group.create_task(operator.first_round(), name="first round")


async def _until(stop: asyncio.Event, jobs: list[Job]) -> None:
    """Run all jobs until the signal; a job that ends before is a fault."""
    waiting = asyncio.create_task(stop.wait(), name="signal")
    tasks = [asyncio.create_task(job) for job in jobs]
    done, _ = await asyncio.wait([waiting, *tasks], return_when=asyncio.FIRST_COMPLETED)
    log.info("operator.stopping", by="signal" if waiting in done else "fault")
    for task in (waiting, *tasks):
        task.cancel()
    await asyncio.gather(waiting, *tasks, return_exceptions=True)
    for task in done - {waiting}:
        task.result()


def _report_session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0), trust_env=False)


async def _report_access(options: Options, now: Callable[[], float]) -> ReportAccess:
    """Read the files once, so that a wrong path ends the start; from then on with every connect."""
    token = TokenFile(options.report_token, now) if options.report_token else None
    access = ReportAccess(authority=options.report_ca, token=token)
    for flag, path, read in (
        ("--report-ca", options.report_ca, access.tls),
        ("--report-token", options.report_token, access.headers),
    ):
        try:
            await read()
        except OSError as fault:
            raise Unstartable(f"{flag} {path}: {fault.strerror or fault}") from fault
    return access


async def _serve(stack: AsyncExitStack, address: tuple[str, int], app: web.Application) -> None:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.5)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    try:
        await web.TCPSite(runner, *address).start()
    except OSError as fault:
        raise Unstartable(f"--health: cannot listen on {address[0]}:{address[1]}: {fault.strerror or fault}") from fault


def _on_signals(loop: asyncio.AbstractEventLoop, stop: asyncio.Event) -> None:
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)


def _wall(form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the composition root: the one place that asks
    return now.strftime(form)


def _wall_micro() -> str:
    return _wall("%Y-%m-%dT%H:%M:%S.%fZ")
