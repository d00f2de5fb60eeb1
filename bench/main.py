"""``make bench``: run the cases, print a table, write bench/out/latest.json.

python -m bench.main [--only KEY]… [--seconds N]
"""

import os
import pathlib
import time

import click
import msgspec
from rich.console import Console
from rich.table import Table

from bench.cases import CASES
from bench.machine import facts
from bench.process import AROUND, CORES, ROOT, UNDER_TEST
from bench.results import Result
from bench.terms import Terms
from tests.harness import loopback

OUT = ROOT / "bench" / "out"


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CASES)), help="Run this case; repeatable. Unset: all.")
@click.option("--seconds", default=3.0, show_default=True, help="How long each run is loaded.")
def main(only: tuple[str, ...], seconds: float) -> None:
    """Measure what Fanout costs, against what one would write without it (bench/README.md)."""
    console = Console()
    loopback.bring_up()
    OUT.mkdir(exist_ok=True)
    machine = facts(OUT)
    _introduce(console, machine)
    found: dict[str, Result] = {}
    begun = time.monotonic()
    for key in only or CASES:
        console.print(f"[bold]{key}[/]  {_first_line(key)}")
        terms = Terms(seconds=seconds, out=OUT, tell=lambda line: console.print(f"  {line}", highlight=False))
        found[key] = CASES[key](terms)
    machine["load_average_after"] = os.getloadavg()[0]
    machine["seconds"] = round(time.monotonic() - begun, 1)
    _write(OUT / "latest.json", found, machine)
    console.print(_table(found))
    console.print(f"{machine['seconds']:.0f} s; written to {OUT / 'latest.json'}", highlight=False)


def _introduce(console: Console, machine: dict[str, object]) -> None:
    console.print(
        f"{machine['cpu']}, {machine['cores']} core(s); fsync {machine['fsync_ms']} ms; load {os.getloadavg()[0]:.1f}"
    )
    console.print(
        f"closed loop: {machine['closed_loop']}; system under test on core {UNDER_TEST}, all else on {AROUND}"
    )
    if len(CORES) < 2:
        console.print("[yellow]one core only: generator and targets compete with the system under test[/]")


def _first_line(key: str) -> str:
    return (CASES[key].__doc__ or "").splitlines()[0]


def _table(found: dict[str, Result]) -> Table:
    table = Table(title="Fanout, measured")
    for name, justify in (("key", "left"), ("median", "right"), ("min–max", "right"), ("must", "right"), ("", "left")):
        table.add_column(name, justify="right" if justify == "right" else "left", overflow="fold")
    for key, one in found.items():
        spread = f"{one.least:.2f}–{one.most:.2f}"
        mark = {True: "[green]✔[/]", False: "[red]✘[/]", None: ""}[one.met]
        table.add_row(key, f"{one.number:.2f} {one.unit}", spread, f"{one.must} {mark}", one.note)
    return table


def _write(path: pathlib.Path, found: dict[str, Result], machine: dict[str, object]) -> None:
    """Keys that were not run keep their last result out of the file: a mixture of runs would be no run."""
    told = {key: msgspec.to_builtins(one) for key, one in found.items()} | {"machine": machine}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")


if __name__ == "__main__":
    main()
