"""`fanout-operator`: the command line and the composition root. Time, chance, ids and IO enter here.

Everything runs as tasks beside each other; the first that ends, ends the process: by a signal with status 0, by a fault
that no retry can mend with status 1, for Kubernetes to start it again.
"""

import asyncio
import datetime
import os
import random
import secrets
import signal
import sys
import typing
from collections.abc import Callable, Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import click
import structlog
import uvloop
from aiohttp import web

from fanout_crds.logs import adopt_libraries, configure
from fanout_crds.report import AUDIENCE
from fanout_operator import handlers, health
from fanout_operator.access import Access, ReportAccess, TokenFile, find
from fanout_operator.app import Chances, Operator
from fanout_operator.dispatchers import Followers, named, ready_in
from fanout_operator.kube import ENDPOINT_SLICES, Scope
from fanout_operator.options import Options, Unstartable
from fanout_operator.reflector import Reflector
from fanout_operator.report import Endpoint
from fanout_operator.rest import Rest

Job = Coroutine[typing.Any, typing.Any, None]
Found = tuple[tuple[str, Endpoint], ...]

RETRIED: typing.Final = (aiohttp.ClientError, TimeoutError, OSError)  # kopf asks again, and says so: no trace

log = structlog.get_logger()


class _Address(click.ParamType[tuple[str, int]]):
    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        host, _, port = str(value).rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            self.fail(f"expected HOST:PORT such as 127.0.0.1:8090, got {value}", param, ctx)
        return host.strip("[]"), int(port)


@click.command(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.option("--namespace", required=True, help="Where the dispatcher runs; plans are written there.")
@click.option("--class-name", default="fanout", help="Serve routes with this spec.className.")
@click.option("--watch-namespace", "namespaces", multiple=True, help="Only routes of this namespace (repeatable).")
@click.option("--public-url", help="Base URL that producers use; shown in each route's status.")
@click.option("--allow-any-path", "any_path", is_flag=True, help="Let a route listen outside /<its namespace>/.")
@click.option("--dispatcher", "dispatchers", multiple=True, help="Report port of a dispatcher, as URL (repeatable).")
@click.option("--report-service", default="fanout-report", help="Headless Service of the dispatchers' report ports.")
@click.option("--report-ca", type=click.Path(path_type=Path), help="CA that signed the report ports' certificate.")
@click.option("--report-token", type=click.Path(path_type=Path), help=f"Token file with the audience {AUDIENCE}.")
@click.option("--health", type=_Address(), help="HOST:PORT of /livez, /readyz and /metrics.")
@click.option("--kubeconfig", type=click.Path(path_type=Path), help="How to reach the API server from outside.")
@click.option("--log-level", default="info", type=click.Choice(["debug", "info", "warning", "error"]))
@click.option(
    "--log-format",
    default="auto",
    type=click.Choice(["auto", "json", "text"]),
    help="auto: text on a terminal, JSON lines elsewhere.",
)
@click.version_option(package_name="fanout")
def main(log_level: str, log_format: str, **options: typing.Any) -> None:
    """Turn FanoutRoutes into plans for the dispatcher and its reports into status.

    \b
    In a cluster the chart runs it. On a laptop, against any API server:
      fanout-operator --namespace fanout --dispatcher http://127.0.0.1:8082
    """
    adopt_libraries(configure(sys.stderr, level=log_level, form=log_format), usual=RETRIED)
    try:
        uvloop.run(run(Options(**options)))
    except Unstartable as fault:
        raise click.ClickException(str(fault)) from fault


async def run(options: Options) -> None:
    """Run one operator until a signal ends it."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    _on_signals(loop, stop)
    access = find(options.kubeconfig, os.environ, loop.time)
    chances = Chances(random.Random(secrets.randbits(64)), lambda: secrets.token_hex(8), _wall)
    async with AsyncExitStack() as stack:
        session = await stack.enter_async_context(access.session())
        rest = Rest(session, access.server)
        operator = Operator(options, rest, chances)
        reports = await stack.enter_async_context(_report_session())
        report_access = await _report_access(options, loop.time)
        followers = Followers(operator.fleet, reports, report_access, chances.rng)
        stack.push_async_callback(followers.close)
        pulse = handlers.Pulse()
        slices = _slices(options, rest, followers, chances.rng)
        if options.health:
            await _serve(stack, options.health, health.application(_vitals(operator, pulse, rest, slices)))
        jobs = [*operator.tasks(), _routes(operator, access, pulse, options, lambda: _on_signals(loop, stop))]
        if slices:
            jobs.append(slices.run())
        else:
            followers.set(named(options.dispatchers))
        await _until(stop, jobs)


async def _routes(
    operator: Operator, access: Access, pulse: handlers.Pulse, options: Options, started: Callable[[], None]
) -> None:
    """Start, then watch and work."""
    await operator.start()
    async with asyncio.TaskGroup() as group:
        group.create_task(operator.work.run(), name="work")
        group.create_task(operator.sweeper.run(), name="sweeper")
        group.create_task(operator.first_round(), name="first round")
        group.create_task(
            handlers.watch(
                operator,
                access,
                pulse,
                namespaces=options.namespaces,
                there=operator.list_routes,
                started=started,
            ),
            name="kopf",
        )


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


def _slices(options: Options, rest: Rest, followers: Followers, rng: random.Random) -> Reflector[Found] | None:
    """Discover dispatchers by the report Service, unless they are named."""
    if options.dispatchers:
        return None
    found: dict[str, Found] = {}
    name = f"{options.report_service}.{options.namespace}.svc"

    def tell() -> None:
        followers.set(dict(endpoint for slice_ in found.values() for endpoint in slice_))

    def changed(key: str, _before: Found | None, now: Found | None) -> None:
        found.pop(key, None)
        if now:
            found[key] = now
        tell()

    scope = Scope(
        kind=ENDPOINT_SLICES,
        namespace=options.namespace,
        labels=f"kubernetes.io/service-name={options.report_service}",
    )
    return Reflector(rest, scope, keep=lambda document: ready_in(document, name), changed=changed, rng=rng, listed=tell)


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


def _vitals(operator: Operator, pulse: handlers.Pulse, rest: Rest, slices: Reflector[Found] | None) -> health.Vitals:
    loop = asyncio.get_running_loop()
    watched = (*operator.reflectors, *((slices,) if slices else ()))

    def ages() -> dict[str, float]:
        now = loop.time()
        return {repr_scope(one.scope): one.age(now) for one in watched} | {"routes": pulse.age(now)}

    return health.Vitals(
        ages=ages,
        ready=operator.synced.is_set,
        gauges=lambda: {
            "routes": len(operator.routes),
            "plans": len(operator.book),
            "plans_held": operator.sweeper.held,
            "waiting": len(operator.work),
        },
        counters=lambda: {"reconciles": operator.work.done, "reconcile_failures": operator.work.failed},
        calls=lambda: rest.calls,
    )


def repr_scope(scope: Scope) -> str:
    """A short name of what is watched, for people and for labels."""
    return f"{scope.kind.plural}@{scope.namespace or '*'}"


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


def _wall() -> str:
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the composition root: the one place that asks
    return now.strftime("%Y-%m-%dT%H:%M:%SZ")
