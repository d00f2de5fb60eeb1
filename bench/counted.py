"""What an event costs in instructions, counted by valgrind: the one figure that a busy machine does not move.

CPU time is what is paid, and on a shared machine it swings by a third within the hour; a change of two per cent cannot
be seen in it. The instructions of a process do not depend on its neighbours: two runs of the same code differ by half a
per cent. They say nothing of the kernel, of caches and of waiting, so they judge changes and not systems.

Counted twice, with few events and with many, and the difference divided: starting costs as much as thousands of events.
"""

import os
import pathlib
import re
import shutil
import signal
import typing

from bench import load
from bench.measure import all_taken
from bench.process import AROUND
from bench.results import Result, Run, judged, skipped
from bench.stage import Stage
from bench.terms import Terms, folder

VALGRIND: typing.Final = shutil.which("valgrind")
COUNTING: typing.Final = ("--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
FEW: typing.Final = 640  # events
MANY: typing.Final = 2560  # a quarter of a minute: counting makes everything thirty times as slow
PATIENCE: typing.Final = 120.0  # seconds that stopping may take


def instructions(terms: Terms) -> dict[str, Result]:
    """Instructions of our process for an event to three targets, those of the kernel not counted."""
    if VALGRIND is None:
        return {"instructions": skipped("valgrind is not installed (Debian: apt-get install valgrind)")}
    few, many = _counted(terms, FEW), _counted(terms, MANY)
    found: Run = {"value": (many - few) / (MANY - FEW), "starting": few}
    terms.tell(f"{found['value']:,.0f} an event")
    return {"instructions": judged("value", [found], unit="instructions", note="without the kernel's")}


def _counted(terms: Terms, events: int) -> int:
    """Instructions of the process from its start to its end, with so many events between."""
    with folder(terms) as path, Stage(path, under=(str(VALGRIND), *COUNTING)) as stage, stage.ours() as running:
        all_taken(load.counted(running.url, events, folder=path, core=AROUND))
        stage.settle(events, events)
        os.kill(running.process.process.pid, signal.SIGTERM)
        running.process.wait(PATIENCE)
        return _said(running.process.log)


def _said(log: pathlib.Path) -> int:
    found = re.search(r"I\s+refs:\s+([\d,]+)", log.read_text(encoding="utf-8"))
    if found is None:
        raise RuntimeError(f"valgrind did not count: {log}")
    return int(found[1].replace(",", ""))
