"""``fanout journal``: what people do with the journal of a dispatcher that runs."""

import os
import pathlib
import tarfile

import click

from fanout_dispatcher.cli.client import Admin, admin_option
from fanout_dispatcher.cli.output import fail


@click.group()
def journal() -> None:
    """Look after the journal, which holds every event that is owed.

    \b
    Example:
      fanout journal backup fanout.tar
    """


@journal.command()
@click.argument("file", type=click.Path(dir_okay=False, path_type=pathlib.Path))
@admin_option
def backup(file: pathlib.Path, admin: str | None) -> None:
    """Write a backup of the journal into FILE, a tar, while the dispatcher goes on.

    It has everything that was committed when the copy was whole, events with their bodies included: keep it as safely
    as the journal. To restore, unpack it into an empty data folder and start a dispatcher there; never run two on
    copies of one journal.

    \b
    Example:
      fanout journal backup fanout.tar
      mkdir DATA && tar -xf fanout.tar -C DATA
    """
    if file.exists():
        raise fail(f"{file} is there already: give another name")
    part = file.with_name(f".{file.name}.part")
    try:
        part.touch(mode=0o600)
        with part.open("wb") as stream:
            Admin(admin).save("/v1/journal/backup", stream)
            stream.flush()
            os.fsync(stream.fileno())
        names = _names(part)
        part.rename(file)
    except OSError as fault:
        raise fail(f"{file} cannot be written: {fault.strerror or fault}") from None
    finally:
        part.unlink(missing_ok=True)
    click.echo(f"{file}: {', '.join(names)}, {file.stat().st_size} bytes")


def _names(part: pathlib.Path) -> list[str]:
    """Say what is in it; one that was cut off is no backup."""
    try:
        with tarfile.open(part) as found:
            names = found.getnames()
    except tarfile.TarError as fault:
        raise fail(f"the backup was cut off: {fault}") from None
    return names
