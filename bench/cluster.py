"""``make bench-control``: what thousands of routes cost the operator, with a real API server and a real dispatcher.

python -m bench.cluster [--routes N] [--rate N] [--seconds N]

Operator, dispatcher, API server, etcd (without fsync) and this program share the cores of the machine. One run goes
through an operator's life (`life.py`): all routes are there before it is; it starts; they are edited at a rate; nothing
happens for a minute; it starts again; and again while edits go on. Prints a table, writes bench/out/control.json.
"""

import os
import pathlib
import tempfile
import time

import click
import uvloop
from rich.console import Console

from bench.crowd import NAMESPACES, watching
from bench.life import Life
from bench.machine import facts
from bench.main import OUT, introduce, write
from bench.table import table
from tests.controlplane.dispatcher import Dispatcher
from tests.controlplane.installed import Installation, define
from tests.harness import apiserver

CLASS = "bench"


@click.command()
@click.option(
    "--routes", default=5_000, show_default=True, help="How many routes of three Services, each with a Secret."
)
@click.option("--rate", default=10.0, show_default=True, help="Edits a second.")
@click.option("--seconds", default=60.0, show_default=True, help="How long they are edited.")
def main(routes: int, rate: float, seconds: float) -> None:
    """Measure the operator with many routes (bench/README.md)."""
    console = Console()
    OUT.mkdir(exist_ok=True)
    machine = facts(OUT)
    introduce(console, machine)
    begun = time.monotonic()
    with apiserver.running() as server, tempfile.TemporaryDirectory(prefix="run-", dir=OUT) as data:
        define(server)
        installation = Installation(server, CLASS)
        installation.install()
        namespaces = tuple(server.namespace("team") for _ in range(NAMESPACES))
        dispatcher = Dispatcher(installation, pathlib.Path(data))
        with dispatcher.running():
            operator = installation.operator(f"--dispatcher=http://127.0.0.1:{dispatcher.report}")
            life = Life(lambda line: console.print(f"  {line}", highlight=False), operator, rate=rate, seconds=seconds)
            try:
                uvloop.run(_live(life, installation, namespaces, routes))
            finally:
                operator.kill()
    found = life.results(routes)
    machine["load_average_after"] = os.getloadavg()[0]
    machine["seconds"] = round(time.monotonic() - begun, 1)
    write(OUT / "control.json", found, machine)
    console.print(table(found))
    console.print(f"{machine['seconds']:.0f} s; written to {OUT / 'control.json'}", highlight=False)


async def _live(life: Life, installation: Installation, namespaces: tuple[str, ...], routes: int) -> None:
    async with watching(installation.server, namespaces, CLASS) as crowd:
        await life.made(crowd, routes)
        await life.from_nothing(crowd)
        await life.edits(crowd)
        await life.idle()
        await life.again()
        await life.edits_while_starting(crowd)


if __name__ == "__main__":
    main()
