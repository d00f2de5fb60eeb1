"""The table that ``make bench`` prints: a row for each number, and one for each case that could not run."""

import typing

from rich.table import Table

from bench.results import Number, Result

COLUMNS: typing.Final = (
    ("key", "left"),
    ("median", "right"),
    ("min–max", "right"),
    ("must", "right"),
    ("aim", "right"),
)
MARKS: typing.Final = {True: " [green]✔[/]", False: " [red]✘[/]", None: ""}


def table(found: dict[str, Result]) -> Table:
    """All that was found, in order; below each case its note."""
    made = Table(title="Fanout, measured", pad_edge=False)
    for name, justify in COLUMNS:
        made.add_column(name, justify="right" if justify == "right" else "left", no_wrap=True)
    made.add_column("", overflow="fold")
    for key, one in found.items():
        if one.skipped:
            made.add_row(key, "[yellow]skipped[/]", "", "", "", one.skipped)
        if one.failed:
            made.add_row(key, "[red]failed[/]", "", "", "", one.failed)
        for place, (name, number) in enumerate(one.numbers.items()):
            made.add_row(_named(key, name, place), *_cells(number), "" if place else one.note)
    return made


def _named(key: str, name: str, place: int) -> str:
    return f"  {name}" if place else key


def _cells(number: Number) -> tuple[str, ...]:
    spread = f"{number.least:.2f}–{number.most:.2f}"
    judged = [f"{bound}{MARKS[met]}" for bound, met in ((number.must, number.met), (number.aim, number.reached))]
    return f"{number.median:.2f} {number.unit}", spread, *judged
