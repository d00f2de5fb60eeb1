"""`fanout-operator`: the command line."""

import os
import secrets
import socket
import sys
import typing
from pathlib import Path

import aiohttp
import click
import uvloop

from fanout_crds import scalars
from fanout_crds.logs import adopt_libraries, configure
from fanout_crds.report import AUDIENCE
from fanout_operator.elector import Lost
from fanout_operator.lease import BadTerms, Place, Terms
from fanout_operator.options import Options, Unstartable
from fanout_operator.process import run

RETRIED: typing.Final = (aiohttp.ClientError, TimeoutError, OSError)  # kopf asks again, and says so: no trace


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
@click.option("--leader-elect-lease-duration", "duration", type=_Duration(), default="8s", help="Of a silent leader.")
@click.option("--leader-elect-renew-deadline", "deadline", type=_Duration(), default="7s", help="Then a leader ends.")
@click.option("--leader-elect-retry-period", "retry", type=_Duration(), default="1500ms", help="Between two renewals.")
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


def _identity() -> str:
    """The pod's name, which a container keeps when it is restarted; elsewhere the host's, with chance for a process."""
    return os.environ.get("POD_NAME") or f"{socket.gethostname()}_{secrets.token_hex(4)}"
