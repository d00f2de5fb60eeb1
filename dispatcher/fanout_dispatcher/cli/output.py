"""What commands write: tables for people, JSON for programs, and one sentence on stderr when it did not work.

Exit codes: 0 done, 1 it failed or something is dead, 2 the command was used wrongly. Text from outside (errors, ids) is
escaped, so that it can neither style a table nor steer a terminal.
"""

import typing

import click
import orjson
import rich.box
import rich.console
import rich.markup
import rich.table

Row = typing.Mapping[str, typing.Any]
Columns = typing.Mapping[str, str]  # heading -> field
WIDE: typing.Final = 200  # columns when nobody's terminal says

formats = click.option(
    "--output",
    "-o",
    "form",
    type=click.Choice(["table", "json"]),
    default="table",
    show_default=True,
    help="How to write it.",
)


def fail(sentence: str) -> click.ClickException:
    """Make the error that ends a command with exit code 1."""
    return click.ClickException(sentence)


def write_json(value: object) -> None:
    """Write one JSON document."""
    click.echo(orjson.dumps(value, option=orjson.OPT_INDENT_2).decode())


def write_table(rows: typing.Iterable[Row], columns: Columns, *, empty: str) -> None:
    """Write *rows*, or the sentence *empty* when there are none."""
    found = list(rows)
    if not found:
        click.echo(empty, err=True)
        return
    console().print(table(found, columns))


def table(rows: typing.Iterable[Row], columns: Columns) -> rich.table.Table:
    """Make a plain table."""
    made = rich.table.Table(*columns, box=rich.box.SIMPLE_HEAD, pad_edge=False, header_style="bold")
    for row in rows:
        made.add_row(*(cell(row.get(field)) for field in columns.values()))
    return made


def cell(value: object) -> str:
    """Write one value; nothing for nothing."""
    if value is None:
        return ""
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return rich.markup.escape(plain(text))


def plain(text: str, *, keep: str = "") -> str:
    """Replace what a terminal would obey, but for the characters in *keep*."""
    return "".join(one if one.isprintable() or one in keep else "·" for one in text)


def console() -> rich.console.Console:
    """Make a console on stdout; wide when it is a pipe, so that no id is cut."""
    made = rich.console.Console(soft_wrap=False, highlight=False)
    if not made.is_terminal:
        made.width = WIDE
    return made
