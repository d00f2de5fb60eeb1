"""``make bench``: run the cases, print a table, write bench/out/latest.json.

python -m bench.main [--only KEY]… [--seconds N] [--repetitions N]
"""

import os
import pathlib
import time

import click
import msgspec
from rich.console import Console

from bench.cases import CASES
from bench.machine import facts
from bench.process import AROUND, CORES, ROOT, UNDER_TEST
from bench.results import Result, failed
from bench.table import table
from bench.terms import Terms
from tests.harness import loopback

OUT = ROOT / "bench" / "out"


@click.command()
@click.option("--only", multiple=True, type=click.Choice(list(CASES)), help="Run this case; repeatable. Unset: all.")
@click.option("--seconds", default=3.0, show_default=True, help="How long each run is loaded.")
@click.option("--repetitions", default=3, show_default=True, help="Runs of each case; 1: a quick look.")
def main(only: tuple[str, ...], seconds: float, repetitions: int) -> None:
    """Measure what Fanout costs, against what one would write without it (bench/README.md)."""
    console = Console()
    loopback.bring_up()
    OUT.mkdir(exist_ok=True)
    machine = facts(OUT)
    introduce(console, machine)
    begun = time.monotonic()
    terms = Terms(
        seconds=seconds,
        repetitions=repetitions,
        keys=frozenset(only or CASES),
        out=OUT,
        tell=lambda line: console.print(f"  {line}", highlight=False),
    )
    found = _run(console, terms)
    machine["load_average_after"] = os.getloadavg()[0]
    machine["seconds"] = round(time.monotonic() - begun, 1)
    write(OUT / "latest.json", found, machine)
    console.print(table(found))
    console.print(f"{machine['seconds']:.0f} s; written to {OUT / 'latest.json'}", highlight=False)
    if any(one.failed for one in found.values()):
        raise SystemExit(1)


def _run(console: Console, terms: Terms) -> dict[str, Result]:
    """Run each case that was asked for, once, whichever of its keys were."""
    found: dict[str, Result] = {}
    for key, case in CASES.items():
        if key in terms.keys and key not in found:
            same = [other for other, its in CASES.items() if its is case and other in terms.keys]
            said = (case.__doc__ or "").splitlines()[0]
            console.print(f"[bold]{', '.join(same)}[/]  {said}", highlight=False)
            try:
                found |= case(terms)
            except RuntimeError as error:  # the other cases are not thrown away for one that went wrong
                console.print(f"  [red]{error}[/]", highlight=False)
                found |= dict.fromkeys(same, failed(str(error)))
    return found


def introduce(console: Console, machine: dict[str, object]) -> None:
    """Say what is measured on."""
    console.print(
        f"{machine['cpu']}, {machine['cores']} core(s); fsync {machine['fsync_ms']} ms; load {os.getloadavg()[0]:.1f}"
    )
    console.print(
        f"closed loop: {machine['closed_loop']}; system under test on core {UNDER_TEST}, all else on {AROUND}"
    )
    if len(CORES) < 2:
        console.print("[yellow]one core only: generator and targets compete with the system under test[/]")


def write(path: pathlib.Path, found: dict[str, Result], machine: dict[str, object]) -> None:
    """Only what was run now is in the file: figures of several runs side by side would be those of none."""
    told = {key: one.written() for key, one in found.items()} | {"machine": machine}
    path.write_bytes(msgspec.json.format(msgspec.json.encode(told), indent=2) + b"\n")


if __name__ == "__main__":
    main()
