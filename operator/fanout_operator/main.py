"""`fanout-operator`: the command line and the composition root. Time, chance, ids and IO enter here.

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
import socket
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

from fanout_crds import scalars
from fanout_crds.logs import adopt_libraries, configure
from fanout_crds.report import AUDIENCE
from fanout_operator import handlers, health
from fanout_operator.access import ReportAccess, TokenFile, find
from fanout_operator.app import Chances, Operator
from fanout_operator.dispatchers import Followers, named, ready_in
from fanout_operator.elector import Elector, Lost, only_leading
from fanout_operator.kube import ENDPOINT_SLICES, Scope
from fanout_operator.lease import BadTerms, Election, Place, Terms
from fanout_operator.options import Options, Unstartable
from fanout_operator.reflector import Reflector
from fanout_operator.report import ReportPort
from fanout_operator.rest import Rest

Job = Coroutine[typing.Any, typing.Any, None]
Found = tuple[tuple[str, ReportPort], ...]

RETRIED: typing.Final = (aiohttp.ClientError, TimeoutError, OSError)  # kopf asks again, and says so: no trace

log = structlog.get_logger()


class _Address(click.ParamType[tuple[str, int]]):
    name = "host:port"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> tuple[str, int]:
        host, _, port = str(value).rpartition(":")
        if not host or not port.isdecimal() or int(port) > 65535:
            self.fail(f"expected HOST:PORT such as 127.0.0.1:8090, got {value}", param, ctx)
        return host.strip("[]"), int(port)


class _Duration(click.ParamType[float]):
    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = scalars.seconds(str(value))
        if found is None:
            self.fail(f'expected a duration such as "10s" or "1m30s", got {value}', param, ctx)
        return found


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
@click.option("--leader-elect", is_flag=True, help="Several operators: only the one that has the lease works.")
@click.option("--leader-elect-resource-name", "lease", default="fanout-operator", help="The Lease's, in --namespace.")
@click.option("--leader-elect-lease-duration", "duration", type=_Duration(), default="10s", help="Of a silent leader.")
@click.option("--leader-elect-renew-deadline", "deadline", type=_Duration(), default="7s", help="Then a leader ends.")
@click.option("--leader-elect-retry-period", "retry", type=_Duration(), default="2s", help="Between two renewals.")
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
def main(log_level: str, log_format: str, leader_elect: bool, lease: str, **options: typing.Any) -> None:
    """Turn FanoutRoutes into plans for the dispatcher and its reports into status.

    \b
    In a cluster the chart runs it. On a laptop, against any API server:
      fanout-operator --namespace fanout --dispatcher http://127.0.0.1:8082
    """
    adopt_libraries(configure(sys.stderr, level=log_level, form=log_format), usual=RETRIED)
    try:
        terms = Terms(**{name: options.pop(name) for name in ("duration", "deadline", "retry")})
        election = Place(namespace=options["namespace"], name=lease, identity=_identity()) if leader_elect else None
        uvloop.run(run(Options(**options, election=election, terms=terms)))
    except (Unstartable, BadTerms) as fault:
        raise click.ClickException(str(fault)) from fault
    except Lost:
        sys.exit(1)  # said already


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
        slices = _slices(options, rest, followers, chances.rng)
        if options.health:
            await _serve(stack, options.health, health.application(_vitals(operator, pulse, rest, slices, elector)))
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


def _slices(options: Options, rest: Rest, followers: Followers, rng: random.Random) -> Reflector[Found] | None:
    """Discover dispatchers by the report Service, unless they are named."""
    if options.dispatchers:
        return None
    found: dict[str, Found] = {}
    name = f"{options.report_service}.{options.namespace}.svc"

    def tell() -> None:
        followers.set(dict(port for slice_ in found.values() for port in slice_))

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


def _vitals(
    operator: Operator,
    pulse: handlers.Pulse,
    rest: Rest,
    slices: Reflector[Found] | None,
    elector: Elector | None,
) -> health.Vitals:
    loop = asyncio.get_running_loop()
    watched = (*operator.reflectors, *((slices,) if slices else ()))

    def ages() -> dict[str, float]:
        now = loop.time()
        return health.oldest([*((_name(one.scope), one.age(now)) for one in watched), ("routes", pulse.age(now))])

    def leads() -> bool:
        return elector is None or elector.elected.is_set()

    return health.Vitals(
        ages=ages,
        ready=operator.synced.is_set,
        standby=lambda: not leads() and all(one.synced.is_set() for one in watched),
        gauges=lambda: {
            "leader": leads(),
            "routes": len(operator.routes),
            "plans": len(operator.inventory),
            "plans_held": operator.held(),
            "waiting": len(operator.work),
            "events_waiting": len(operator.recorder),
        },
        counters=lambda: {
            "reconciles": operator.work.done,
            "reconcile_failures": operator.work.failed,
            "events_posted": operator.recorder.posted,
            "events_dropped": operator.recorder.dropped,
        },
        calls=lambda: rest.calls,
    )


def _name(scope: Scope) -> str:
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


def _identity() -> str:
    """The pod's name, which a container keeps when it is restarted; elsewhere the host's, with chance for a process."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}_{secrets.token_hex(4)}"


def _wall(form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    now = datetime.datetime.now(datetime.UTC)  # noqa: TID251 - the composition root: the one place that asks
    return now.strftime(form)


def _wall_micro() -> str:
    return _wall("%Y-%m-%dT%H:%M:%S.%fZ")
