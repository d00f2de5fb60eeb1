"""What commands write: tables for people, JSON for programs, and one sentence on stderr when it did not work.

Exit codes: 0 done, 1 it failed or something is dead, 2 the command was used wrongly. Text from outside (errors, ids) is
shown as it stands but for what would steer a terminal; `listing` shows many rows of it.
"""

import datetime
import typing
from collections.abc import Sequence

import click
import orjson
import rich.console

from fanout_dispatcher.cli.listing import Column, Listing, Row, plain, text

__all__ = [
    "Column", "Row", "console", "fail", "formats", "limited", "listing", "plain", "text", "write_json", "write_page",
    "write_table",
]  # fmt: skip

UNBOUNDED: typing.Final = 1_000_000  # columns where no terminal sets a bound

formats = click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write it.",
)


limited = click.option(
    "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="How many at most."
)


def fail(sentence: str) -> click.ClickException:
    """Make the error that ends a command with exit code 1."""
    return click.ClickException(sentence)


def write_json(value: object) -> None:
    """Write one JSON document."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def write_table(rows: typing.Iterable[Row], columns: Sequence[Column], *, empty: str) -> None:
    """Write *rows*, or the sentence *empty* when there are none."""
    found = list(rows)
    if not found:
        click.echo(empty, err=True)
        return
    console().print(listing(found, columns))


def write_page(rows: typing.Iterable[Row], columns: Sequence[Column], *, empty: str, following: str | None) -> None:
    """Write one page of a list; *following* is the cursor of the next one, None after the last."""
    write_table(rows, columns, empty=empty)
    if following:
        click.echo(f"there are more: --after {following}", err=True)


def listing(rows: typing.Iterable[Row], columns: Sequence[Column]) -> Listing:
    """Make a listing as of now."""
    return Listing(rows, columns, datetime.datetime.now().astimezone())  # noqa: TID251 (a command's own clock)


def console() -> rich.console.Console:
    """Make a console on stdout; without a bound when it is a pipe, so that each row stays one line."""
    made = rich.console.Console(soft_wrap=False, highlight=False)
    if not made.is_terminal:
        made.width = UNBOUNDED
    return made
