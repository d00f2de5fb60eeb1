"""``fanout validate``: says what is wrong with manifests before anything runs, one line per fault."""

import asyncio
import pathlib

import click

from fanout_crds import cautions, manifests, references
from fanout_crds import compile as compiler
from fanout_crds.apiserver import ApiServer
from fanout_crds.faults import Fault, Invalid
from fanout_dispatcher.cli import asking, output
from fanout_dispatcher.cluster import connect
from fanout_dispatcher.settings import Unstartable


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=pathlib.Path), metavar="PATH…")
@click.option("--server", is_flag=True, help="Ask the API server too: apply each route as a try, changing nothing.")
@click.option(
    "--kubeconfig",
    type=click.Path(exists=True, dir_okay=False, path_type=pathlib.Path),
    help="Where the API server is and who asks. Unset: as kubectl finds it.",
)
@output.formats
def validate(paths: tuple[pathlib.Path, ...], form: str, *, server: bool, kubeconfig: pathlib.Path | None) -> None:
    """Check FanoutRoute manifests in files and folders.

    Prints one line per fault, `file:line: spec.targets[0].url: sentence`, and exits 1; or what was checked and exits 0.
    Where there is nothing to check it exits 1 too. What is no fault and may surprise all the same goes to stderr (with
    -o json: into `cautions`), as does that a Secret among them lacks what a route asks of it.

    What a cluster adds (its version of the definition, its namespaces, its admission policies, your rights) is checked
    by --server, of the routes that are good by themselves.

    \b
    Example:
      fanout validate examples/
      fanout validate deploy/ --server
    """
    cluster = _cluster(kubeconfig, asked=server)
    found = manifests.load(paths)
    wrong = {one.route.key: _looked_at(one, found) for one in found.routes}
    faults = [*found.faults, *(fault for faults in wrong.values() for fault in faults)]
    faults += _asked(cluster, [one for one in found.routes if not wrong[one.route.key]])
    faults.sort(key=_place)
    found.notices.sort(key=_place)
    _write(found, faults, form, by=f", also by {cluster.server}" if cluster else "")
    if faults:
        raise SystemExit(1)
    if _empty(found):
        raise output.fail("nothing was checked: no FanoutRoute and no Secret was found")


def _cluster(kubeconfig: pathlib.Path | None, *, asked: bool) -> ApiServer | None:
    if not asked:
        if kubeconfig:
            raise click.UsageError("--kubeconfig goes with --server")
        return None
    try:
        return connect(kubeconfig)
    except Unstartable as fault:
        raise output.fail(f"no API server to ask: {fault}") from None


def _asked(cluster: ApiServer | None, routes: list[manifests.Sourced]) -> list[Fault]:
    try:
        return asyncio.run(asking.ask(cluster, routes)) if cluster else []
    except asking.Unasked as fault:
        raise output.fail(str(fault)) from None


def _place(fault: Fault) -> tuple[str, int]:
    """Where to look: whoever mends a file goes through it from top to bottom."""
    return fault.file or "", fault.line or 0


def _empty(found: manifests.Manifests) -> bool:
    """Say whether there was nothing to check: a mistyped folder must not look like a good one."""
    return not (found.routes or found.secrets or found.faults)


def _looked_at(one: manifests.Sourced, found: manifests.Manifests) -> list[Fault]:
    """Compile: policies that contradict each other are found here. What does not resolve is held, and only noted."""
    refs = references.found(one.route, {}, found.secrets)
    try:
        made = compiler.compile(one.route, compiler.Installation(), refs, "")
    except Invalid as invalid:
        return [one.placed(fault) for fault in invalid.faults]
    held = cautions.held(one.route, made, whole=bool(found.secrets))
    found.notices += [one.placed(caution) for caution in (*cautions.cautions(one.route), *held)]
    return []


def _write(found: manifests.Manifests, faults: list[Fault], form: str, *, by: str) -> None:
    if form == "json":
        routes, valid = [one.route.key for one in found.routes], not (faults or _empty(found))
        written = {"faults": _written(faults), "cautions": _written(found.notices)}
        output.write_json({"valid": valid, "routes": routes} | written)
        return
    for fault in faults:
        click.echo(str(fault))
    for notice in found.notices:
        click.echo(str(notice), err=True)
    if faults:
        click.echo(_count(len(faults), "fault") + _unchecked(found.faults), err=True)
    elif not _empty(found):
        for one in found.routes:
            targets = _count(len(one.route.spec.targets), "target")
            click.echo(f"{one.file}:{one.line}: {one.route.key}: {targets}, valid")
        secrets = f" and {_count(len(found.secrets), 'Secret')}" if found.secrets else ""
        noted = f", {_count(len(found.notices), 'caution')}" if found.notices else ""
        click.echo(f"{_count(len(found.routes), 'route')}{secrets} checked{by}, no faults{noted}")


def _written(faults: list[Fault]) -> list[dict[str, str | int | None]]:
    return [{"file": one.file, "line": one.line, "path": one.path, "message": one.message} for one in faults]


def _unchecked(faults: list[Fault]) -> str:
    """Say what was not looked at: a route is compiled once it can be read, and not before."""
    if not faults:
        return ""
    mended = "this is" if len(faults) == 1 else "these are"
    return f"; combinations and names in expressions are checked once {mended} mended"


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
