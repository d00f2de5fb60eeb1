"""What people see: headings, sentences, proofs, and the deliveries while they change.

On a terminal the deliveries are a live table; elsewhere (CI, a pipe) a plain line each time their numbers change.
"""

import collections
import contextlib
import time
import typing
from collections.abc import Callable, Iterator, Mapping

import rich.box
from rich.console import Console, Group
from rich.live import Live
from rich.markup import escape
from rich.table import Table

from demo.admin import Json, Sight, seconds

ROWS: typing.Final = 14  # events in the live table
COLUMN: typing.Final = 24
PLAIN_WIDTH: typing.Final = 120
PLAIN_EVERY: typing.Final = 0.5  # seconds between two plain lines
WORDS: typing.Final = ("delivered", "pending", "held", "dead", "replayed")

Look = Callable[[Sight], None]


class Show:
    """The screen. *orders* names the events by receipt."""

    def __init__(self, console: Console, orders: Callable[[], Mapping[str, int]]) -> None:
        self._console = console
        self._orders = orders
        self._began = time.monotonic()

    def heading(self, text: str) -> None:
        """Begin an act."""
        self._console.print(f"\n[bold]{escape(text)}[/bold]")

    def say(self, text: str) -> None:
        """Tell something in passing."""
        self._console.print(f"  {escape(text)}", style="dim", soft_wrap=True)

    def proof(self, text: str) -> None:
        """Tell something that was proven."""
        self._console.print(f"[green]  ✔[/green] {escape(text)}", soft_wrap=True)

    def failed(self, text: str) -> None:
        """Tell what was not so."""
        self._console.print(f"[red]  ✘[/red] {escape(text)}", soft_wrap=True)

    def output(self, command: str, text: str) -> None:
        """Show a command and what it wrote."""
        self._console.print(f"  $ {escape(command)}", soft_wrap=True)
        for line in text.splitlines():
            if line.strip():
                self._console.print(f"    {escape(line.rstrip())}", highlight=False, soft_wrap=True)

    def elapsed(self) -> float:
        """Give the seconds since the beginning."""
        return time.monotonic() - self._began

    @contextlib.contextmanager
    def live(self) -> Iterator[Look]:
        """Show sights for as long as the block lasts."""
        if not self._console.is_terminal:
            yield self._line_by_line()
            return
        with Live(console=self._console, auto_refresh=False) as live:
            yield lambda sight: live.update(self._table(sight), refresh=True)

    def _line_by_line(self) -> Look:
        last, at = "", -PLAIN_EVERY

        def look(sight: Sight) -> None:
            nonlocal last, at
            line, now = summary(sight), self.elapsed()
            if line != last and now - at >= PLAIN_EVERY:
                last, at = line, now
                self._console.print(f"  {now:5.1f} s  {line}", soft_wrap=True, highlight=False)

        return look

    def _table(self, sight: Sight) -> Group:
        table = Table("event", box=rich.box.SIMPLE_HEAD, header_style="bold", pad_edge=False)
        for target in sight.targets:
            table.add_column(target, min_width=COLUMN)
        orders = self._orders()
        for event in sight.events[:ROWS]:
            name = orders.get(event["receipt"])
            cells = {each["target"]: cell(each) for each in event["deliveries"]}
            label = event["receipt"] if name is None else f"order {name}"
            table.add_row(label, *(cells.get(target, "") for target in sight.targets))
        more = len(sight.events) - ROWS
        return Group(table, f"  … and {more} older ones" if more > 0 else "", f"  {summary(sight)}")


def cell(delivery: Json) -> str:
    """Write one delivery, as rich markup."""
    state = delivery["state"]
    if delivery["replayedAs"]:
        return "dead, and replayed"
    if state == "Dead":
        return f"[red]dead: {delivery['reason']}[/red]"
    if state != "Pending":
        return f"[green]{state.lower()}[/green]"
    if delivery["held"]:
        return f"[yellow]held: {delivery['held']}[/yellow]"
    tries = delivery["attempts"]
    if not tries or not delivery["due"]:
        return "…"
    wait = seconds(delivery["due"]) - seconds(delivery["history"][-1]["at"]) if delivery["history"] else 0.0
    return f"{tries} tr{'y' if tries == 1 else 'ies'}, waits {wait:.2f} s"


def summary(sight: Sight) -> str:
    """Put the deliveries in numbers, and the circuits beside them."""
    states: collections.Counter[str] = collections.Counter()
    for event in sight.events:
        for each in event["deliveries"]:
            states[_word(each)] += 1
    counted = " · ".join(f"{states[word]} {word}" for word in WORDS if states[word])
    circuits = ", ".join(f"{name} {each['circuit']}" for name, each in sight.targets.items())
    return f"{counted or 'no deliveries yet'} | circuits: {circuits}"


def _word(delivery: Json) -> str:
    if delivery["replayedAs"]:
        return "replayed"
    return "held" if delivery["state"] == "Pending" and delivery["held"] else str(delivery["state"]).lower()
