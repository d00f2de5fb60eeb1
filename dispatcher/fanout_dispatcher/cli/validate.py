"""``fanout validate``: says what is wrong with manifests before anything runs, one line per fault."""

import pathlib

import click

from fanout_crds import compile as compiler
from fanout_crds import manifests
from fanout_crds.faults import Fault, Invalid
from fanout_crds.references import Refs
from fanout_dispatcher.cli import output


@click.command()
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=pathlib.Path), metavar="PATH…")
@output.formats
def validate(paths: tuple[pathlib.Path, ...], form: str) -> None:
    """Check FanoutRoute manifests in files and folders.

    Prints one line per fault, `file:line: spec.targets[0].url: sentence`, and exits 1; or what was checked and exits 0.

    \b
    Example:
      fanout validate examples/
    """
    found = manifests.load(paths)
    faults = list(found.faults)
    for one in found.routes:
        faults += _compiled(one)
    _write(found, faults, form)
    if faults:
        raise SystemExit(1)


def _compiled(one: manifests.Sourced) -> list[Fault]:
    """Compile without references: they are held, not wrong; policies that contradict each other are found here."""
    try:
        compiler.compile(one.route, compiler.Installation(), Refs(), "")
    except Invalid as invalid:
        return [Fault(fault.path, fault.message, one.file, one.line) for fault in invalid.faults]
    return []


def _write(found: manifests.Manifests, faults: list[Fault], form: str) -> None:
    if form == "json":
        written = [{"file": one.file, "line": one.line, "path": one.path, "message": one.message} for one in faults]
        output.write_json({"valid": not faults, "routes": [one.route.key for one in found.routes], "faults": written})
        return
    for fault in faults:
        click.echo(str(fault))
    for notice in found.notices:
        click.echo(str(notice), err=True)
    if not faults:
        for one in found.routes:
            click.echo(
                f"{one.file}:{one.line}: {one.route.key}: {_count(len(one.route.spec.targets), 'target')}, valid"
            )
        click.echo(f"{_count(len(found.routes), 'route')} checked, no faults")


def _count(number: int, word: str) -> str:
    return f"{number} {word}" if number == 1 else f"{number} {word}s"
