"""A listing: rows for people, in whatever width there is, and nothing of it ever cut.

Names, receipts and reasons are there to be copied, so they stand whole. What is tried, in this order: a table with
every column that says something; the same with short local times; the same with long texts folded; and where even
that is too wide, each row as a block of its own.
"""

import datetime
import typing
from collections.abc import Iterable, Iterator, Sequence

import orjson
import rich.box
from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.table import Table
from rich.text import Text

Row = typing.Mapping[str, typing.Any]
GAP: typing.Final = 2  # between two columns
FOLDED: typing.Final = 16  # a folded column is never narrower


class Column(typing.NamedTuple):
    """A column: its heading, the field it shows, and how it may give way where width is short."""

    heading: str
    field: str
    folds: bool = False  # a long text, which may go on in the next line
    when: bool = False  # a time of the API


Cells = Sequence[Sequence[str]]


class Listing:
    """*rows* as rich shows them; *now* tells which times are of today."""

    def __init__(self, rows: Iterable[Row], columns: Sequence[Column], now: datetime.datetime) -> None:
        self._rows = list(rows)
        self._now = now
        self._columns = [one for one in columns if any(row.get(one.field) not in (None, "") for row in self._rows)]

    def __rich_console__(self, _console: Console, options: ConsoleOptions) -> Iterator[RenderableType]:
        whole, short = self._cells(short=False), self._cells(short=True)
        for cells in (whole, short):
            if self._width(cells, folded=False) <= options.max_width:
                yield self._table(cells, options.max_width)
                return
        if self._width(short, folded=True) <= options.max_width:
            yield self._table(short, options.max_width)
        else:
            yield from self._blocks(short, options.max_width)

    def _cells(self, *, short: bool) -> Cells:
        return [[self._cell(row, one, short=short) for one in self._columns] for row in self._rows]

    def _cell(self, row: Row, column: Column, *, short: bool) -> str:
        found = text(row.get(column.field))
        return clock(found, self._now) if short and column.when and found else found

    def _natural(self, cells: Cells) -> list[int]:
        """Give the width that each column asks for."""
        return [
            max(cell_len(column.heading), *(cell_len(row[place]) for row in cells))
            for place, column in enumerate(self._columns)
        ]

    def _width(self, cells: Cells, *, folded: bool) -> int:
        widths = self._natural(cells)
        if folded:
            widths = [min(wide, FOLDED) if one.folds else wide for wide, one in zip(widths, self._columns, strict=True)]
        return sum(widths) + GAP * (len(widths) - 1)

    def _table(self, cells: Cells, width: int) -> Table:
        # The box itself puts one space between columns, and padding the other.
        table = Table(box=rich.box.SIMPLE_HEAD, show_edge=False, padding=(0, GAP - 1, 0, 0), pad_edge=False)
        table.header_style = "bold"
        for column, wide in zip(self._columns, self._natural(cells), strict=True):
            least = min(wide, FOLDED) if column.folds else wide
            table.add_column(column.heading, min_width=least, no_wrap=not column.folds, overflow="fold")
        for row in cells:
            table.add_row(*map(Text, row))
        table.width = None if self._width(cells, folded=False) <= width else width
        return table

    def _blocks(self, cells: Cells, width: int) -> Iterator[Text]:
        for row in cells:
            made, line = Text(), 0
            for column, value in zip(self._columns, row, strict=True):
                if not value:
                    continue
                item = Text.assemble((f"{column.heading} ", "bold"), value) if made else Text(value, "bold")
                if line and line + GAP + item.cell_len > width:
                    made.append("\n  ")
                    line = GAP
                elif line:
                    made.append("  ")
                    line += GAP
                made.append_text(item)
                line += item.cell_len
            made.overflow = "fold"
            yield made


def text(value: object) -> str:
    """Write one value; nothing for nothing."""
    if value is None:
        return ""
    return plain(value if isinstance(value, str) else orjson.dumps(value).decode())


def plain(said: str, *, keep: str = "") -> str:
    """Replace what a terminal would obey, but for the characters in *keep*."""
    return "".join(one if one.isprintable() or one in keep else "·" for one in said)


def clock(when: str, now: datetime.datetime) -> str:
    """Write a time of the API as a clock here shows it, with the day unless that is today."""
    here = datetime.datetime.fromisoformat(when).astimezone(now.tzinfo)
    return f"{here:%H:%M:%S}" if here.date() == now.date() else f"{here:%m-%d %H:%M:%S}"
