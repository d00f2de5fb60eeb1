"""``make bench PROFILE=1``: where our CPU goes, part by part, saturated with three targets.

First an undisturbed stretch: CPU per event of the process and of each of its threads, from /proc. Then py-spy looks at
the stacks, native frames included, a hundred times a second under the same load; its samples split each thread's figure
into parts (parts.py). Beside it stand the floor and nginx under the same load. The samples lie in bench/out/profile.txt
as collapsed stacks: flamegraph.pl and speedscope draw them.

A sample shows where a thread is, not whether it has the core: on a machine where others take the core away, they gather
where that happened to be. Shares are to be believed on a quiet machine only.

    python -m bench.profiling [--seconds N] [--durability Memory] [--size BYTES]
"""

import pathlib
import sys
import typing

import click
from rich.console import Console
from rich.table import Table

from bench import load, nginx, parts
from bench.event import SIZE
from bench.main import OUT
from bench.measure import WARM_UP, Events, cost, loaded
from bench.process import AROUND, Child
from bench.results import Run
from bench.stage import Stage
from bench.terms import Terms, folder
from tests.harness import loopback

SAMPLES: typing.Final = 100  # a second
FUNCTIONS: typing.Final = 20  # of ours in the second table
GRACE: typing.Final = 3.0  # seconds of load beyond the sampling
PATIENCE: typing.Final = 60.0  # seconds that writing the samples may take


class Found(typing.NamedTuple):
    """What a profile is made of: an undisturbed run, CPU seconds of its threads, and the samples of a second one."""

    run: Run
    threads: dict[int, float]
    samples: list[tuple[list[str], int]]


@click.command()
@click.option("--seconds", default=8.0, show_default=True, help="How long to look.")
@click.option("--durability", default="Journal", type=click.Choice(["Journal", "Memory"]), show_default=True)
@click.option("--size", default=SIZE, show_default=True, help="Bytes of an event.")
def main(seconds: float, durability: str, size: int) -> None:
    """Say where the CPU of `fanout run` goes while it is saturated (bench/README.md)."""
    console = Console()
    loopback.bring_up()
    OUT.mkdir(exist_ok=True)
    terms = Terms(seconds=seconds, repetitions=1, keys=frozenset(), out=OUT, tell=console.print)
    found = _profile(terms, durability, size)
    budget = parts.budget(found.samples, found.threads, found.run["us"])
    console.print(_budget(budget, found.run["us"]))
    console.print(_functions(parts.functions(found.samples, FUNCTIONS)))
    compared = {"the floor": cost(terms, Stage.floor, events=Events(size=size))["us"], "ours": found.run["us"]}
    if nginx.NGINX is not None:
        compared["nginx mirror, in memory"] = cost(terms, Stage.nginx, events=Events(size=size))["us"]
    for name, us in compared.items():
        console.print(f"{name}: {us:.0f} µs of CPU an event", highlight=False)
    console.print(f"samples: {OUT / 'profile.txt'}", highlight=False)


def _profile(terms: Terms, durability: str, size: int) -> Found:
    raw = terms.out / "profile.txt"
    with folder(terms) as path, Stage(path) as stage, stage.ours(durability) as system:
        load.closed(system.url, WARM_UP, folder=path, core=AROUND, size=size)
        before = system.process.threads()
        run = loaded(stage, system, path, seconds=terms.seconds, events=Events(size=size))
        threads = {thread: spent - before.get(thread, 0.0) for thread, spent in system.process.threads().items()}
        with _spy(system.process, raw, terms.seconds, log=path / "spy.log") as spy:
            load.closed(system.url, terms.seconds + GRACE, folder=path, core=AROUND, size=size)
            spy.wait(PATIENCE)  # it fails where processes may not be traced, and says so
    return Found(run, threads, parts.read(raw.read_text(encoding="utf-8")))


def _spy(process: Child, raw: pathlib.Path, seconds: float, *, log: pathlib.Path) -> Child:
    spy = str(pathlib.Path(sys.executable).with_name("py-spy"))
    how = ["--native", "--threads", "--format", "raw", "--rate", str(SAMPLES), "--duration", str(round(seconds))]
    return Child([spy, "record", "--pid", str(process.process.pid), *how, "--output", str(raw)], log, core=AROUND)


def _budget(budget: list[tuple[str, float]], us: float) -> Table:
    table = Table(title="CPU per event, by part")
    table.add_column("part")
    table.add_column("µs", justify="right")
    table.add_column("share", justify="right")
    for name, spent in budget:
        table.add_row(name, f"{spent:.1f}", f"{spent / us:.0%}")
    table.add_row("[bold]all[/]", f"{us:.1f}", "")
    return table


def _functions(functions: list[tuple[str, float]]) -> Table:
    table = Table(title="Our functions, with the native code they call (share of all working samples)")
    table.add_column("function")
    table.add_column("share", justify="right")
    for name, share in functions:
        table.add_row(name, f"{share:.1%}")
    return table


if __name__ == "__main__":
    main()
