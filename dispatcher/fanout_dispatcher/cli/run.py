"""``fanout run``: turns flags into `Settings` and calls `server.serve`, which does the rest."""

import dataclasses
import ipaddress
import os
import pathlib
import re
import typing

import click

from fanout_crds.references import ServiceKey
from fanout_crds.scalars import size
from fanout_dispatcher import state
from fanout_dispatcher.cli.output import fail
from fanout_dispatcher.settings import GIB, MOST_WORKERS, Settings, TlsFiles, Unstartable
from fanout_dispatcher.values.address import Address, Network

FILE: typing.Final = click.Path(exists=True, dir_okay=False, path_type=pathlib.Path)
UNSET: typing.Final[dict[str, typing.Any]] = {one.name: one.default for one in dataclasses.fields(Settings)}
Parsed = typing.TypeVar("Parsed")
Callback = typing.Callable[[click.Context, click.Parameter, typing.Any], typing.Any]


def _parse(read: typing.Callable[[str], Parsed]) -> Callback:
    """Make a callback that reads a value, or each of several, and turns ValueError into a usage error."""

    def parse(_context: click.Context, _option: click.Parameter, value: typing.Any) -> typing.Any:
        try:
            return tuple(map(read, value)) if isinstance(value, tuple) else None if value is None else read(value)
        except ValueError as error:
            raise click.BadParameter(str(error)) from None

    return parse


def _resolved(text: str) -> tuple[ServiceKey, str]:
    service, equals, url = text.partition("=")
    if not equals or not url.startswith(("http://", "https://")):
        raise ValueError(
            f'expected NAMESPACE/NAME:PORT=URL such as shop/payment:http=http://127.0.0.1:9000, got "{text}"'
        )
    return ServiceKey.of(service), url.rstrip("/")


def _account(text: str) -> str:
    if not re.fullmatch(r"([a-z0-9-]+/)?[a-z0-9][a-z0-9.-]*", text):
        raise ValueError(f'expected NAME or NAMESPACE/NAME such as fanout/fanout-operator, got "{text}"')
    return text


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError:
        pass
    try:
        whole = ipaddress.ip_network(text, strict=False)
    except ValueError:
        raise ValueError(f'expected a range such as 10.0.0.0/8 or fd00::/8, got "{text}"') from None
    raise ValueError(f'"{text}" names a host within its range: write {whole}')


def _size(text: str) -> int:
    found = size(text)
    if not found:
        raise ValueError(f'expected a size such as 512Mi or 10Gi, got "{text}"')
    return found


@click.command(context_settings={"show_default": True})
@click.argument("paths", nargs=-1, type=click.Path(exists=True, path_type=pathlib.Path), metavar="[PATH]…")
@click.option(
    "--plans", type=click.Choice(["folder", "kubernetes"]), default=UNSET["plans"], help="Where plans come from."
)
@click.option(
    "--listen",
    default=str(UNSET["listen"]),
    callback=_parse(Address.parse),
    metavar="HOST:PORT",
    help="The data port, where events come in.",
)
@click.option(
    "--admin",
    default=str(UNSET["admin"]),
    callback=_parse(Address.parse),
    metavar="HOST:PORT",
    help="Health, metrics, admin API. Beyond loopback it needs FANOUT_ADMIN_TOKEN or --admin-token-file.",
)
@click.option("--admin-token-file", type=FILE, help="File with the admin port's bearer token.")
@click.option(
    "--report",
    callback=_parse(Address.parse),
    metavar="HOST:PORT",
    help="The report stream for operators. Unset: none.",
)
@click.option(
    "--report-reader",
    "report_readers",
    multiple=True,
    default=UNSET["report_readers"],
    callback=_parse(_account),
    metavar="[NAMESPACE/]NAME",
    help="A ServiceAccount that may read the report stream, by its token; repeatable.",
)
@click.option("--report-cert", type=FILE, help="Certificate chain of the report stream, PEM.")
@click.option("--report-key", type=FILE, help="Its key, PEM.")
@click.option(
    "--data",
    type=click.Path(file_okay=False, path_type=pathlib.Path),
    help="Folder of the journal. Unset: FANOUT_DATA, else fanout in the XDG state folder.",
)
@click.option(
    "--journal-size",
    "journal_bytes",
    default=f"{UNSET['journal_bytes'] // GIB}Gi",
    callback=_parse(_size),
    metavar="SIZE",
    help="How much the journals may hold together, 4Mi a worker at least; past it producers get 503.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, MOST_WORKERS),
    default=UNSET["workers"],
    metavar="N",
    help="Processes that accept and deliver, each with its own journal; a supervisor beside them when more than 1.",
)
@click.option("--allow-loopback", is_flag=True, help="Let targets be on this machine.")
@click.option(
    "--allow-cidr",
    "allow_cidrs",
    multiple=True,
    callback=_parse(_network),
    metavar="CIDR",
    help="A private range that url: targets may reach; repeatable.",
)
@click.option(
    "--resolve",
    multiple=True,
    callback=_parse(_resolved),
    metavar="NAMESPACE/NAME:PORT=URL",
    help="Where a Service is, for manifests from files; repeatable.",
)
@click.option("--namespace", help="Namespace of the plans, for --plans kubernetes. Unset: our own.")
@click.option("--kubeconfig", type=FILE, help="How to reach the API server. Unset: as a pod, or KUBECONFIG.")
@click.option("--class-name", default=UNSET["class_name"], help="Serve routes of this spec.className.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    default=UNSET["log_level"],
    help="From here on.",
)
@click.option(
    "--log-format",
    type=click.Choice(["auto", "json", "text"]),
    default=UNSET["log_format"],
    help="auto: text on a terminal, JSON lines elsewhere.",
)
def run(**flags: typing.Any) -> None:
    """Run a dispatcher on the manifests in PATHs, and reload them when they change.

    Stops on SIGTERM or Ctrl-C: what is in flight ends, what is owed stays in the journal.

    \b
    Example:
      fanout run examples/01-fan-out/ --allow-loopback
      fanout run --plans kubernetes --listen :8080 --report :8082
    """  # fmt: skip
    try:
        settings = _settings(**flags)
        _serve(settings)
    except Unstartable as why:
        raise fail(str(why)) from None
    except OSError as error:
        raise fail(f"{error.strerror or error}{f': {error.filename}' if error.filename else ''}") from None


def _serve(settings: Settings) -> None:
    # Imported here, since it costs a third of a second that `fanout send` need not wait for.
    from fanout_dispatcher.journal.faults import JournalFault  # noqa: PLC0415
    from fanout_dispatcher.server import serve  # noqa: PLC0415

    try:
        serve(settings)
    except JournalFault as why:
        raise Unstartable(str(why)) from None


def _settings(
    *,
    admin_token_file: pathlib.Path | None,
    report_cert: pathlib.Path | None,
    report_key: pathlib.Path | None,
    data: pathlib.Path | None,
    resolve: tuple[tuple[ServiceKey, str], ...],
    **same: typing.Any,
) -> Settings:
    """Make the value out of flags; those in *same* are called alike on both sides."""
    if (report_cert is None) != (report_key is None):
        raise click.UsageError("--report-cert and --report-key go together")
    return Settings(
        data=(data or state.default_data(os.environ)).absolute(),
        admin_token=_token(admin_token_file),
        report_tls=TlsFiles(report_cert, report_key) if report_cert and report_key else None,
        resolve=dict(resolve),
        **same,
    )


def _token(file: pathlib.Path | None) -> str | None:
    token = file.read_text().strip() if file else os.environ.get("FANOUT_ADMIN_TOKEN")
    if token and not (token.isascii() and token.isprintable()):
        raise Unstartable("the admin token must be one line of visible ASCII, to fit in a header")
    return token or None
