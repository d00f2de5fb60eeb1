"""What the cases have in common: a system under a load, and what that cost it per event."""

import contextlib
import pathlib
import time
import typing
from collections.abc import Callable

import msgspec

from bench import load
from bench.event import SIZE
from bench.page import Page, commits
from bench.process import AROUND, busy
from bench.results import Run
from bench.stage import Stage, System
from bench.terms import Terms, folder

WARM_UP: typing.Final = 1.0  # seconds of load before anything is counted

Open = Callable[[Stage], contextlib.AbstractContextManager[System]]
Ask = Callable[[float], load.Asked]  # for that many seconds


class Events(msgspec.Struct, frozen=True, kw_only=True):
    """What is sent, and when it is over."""

    size: int = SIZE  # bytes of each
    rate: float = 0.0  # per second; 0: as fast as they are answered
    keyed: bool = False  # each has an Idempotency-Key of its own
    answered: bool = False  # the answer is the end of an event: none need reach a target


ANY: typing.Final = Events()


def cost(terms: Terms, system: Open, *, targets: int = 3, events: Events = ANY) -> Run:
    """CPU per event of one run on a stage of its own."""
    with folder(terms) as path, Stage(path, targets=targets) as stage, system(stage) as running:
        return loaded(stage, running, path, seconds=terms.seconds, events=events)


def loaded(stage: Stage, system: System, path: pathlib.Path, *, seconds: float, events: Events = ANY) -> Run:
    """CPU per event of a system that runs, from the load's begin until every delivery is in."""

    def ask(seconds: float) -> load.Asked:
        if events.rate:
            return load.fixed(system.url, events.rate, seconds, folder=path, core=AROUND)
        return load.closed(system.url, seconds, folder=path, core=AROUND, size=events.size, keyed=events.keyed)

    warm = ask(WARM_UP)
    if not events.answered:
        stage.settle(max(1, warm.accepted))
    stage.reset()
    page = system.metrics() if system.metrics is not None else None
    before, around = system.process.seconds(), stage.sink.seconds()
    begun, all_before = time.monotonic(), busy()
    asked = ask(seconds)
    took, cores = time.monotonic() - begun, busy() - all_before
    ours, targets = system.process.seconds() - before, stage.sink.seconds() - around
    all_taken(asked)
    count = asked.accepted
    if not events.answered:
        count = stage.settle(count, count + load.CONNECTIONS)  # wrk stops in mid-request
    cpu = system.process.seconds() - before
    run = {
        "us": cpu / count * 1e6,
        "events": float(count),
        "events_per_second": asked.accepted / seconds,
        "around": (stage.sink.seconds() - around + asked.cpu) / seconds,
        "peak_mb": system.process.peak(),
        "cores_ours": ours / took,  # these three while the load lasted, without what came after it
        "cores_targets": targets / took,
        "cores_all": cores / took,
    }
    if page is None or system.metrics is None:
        return run
    return run | _shared(page, system.metrics())


def all_taken(asked: load.Asked) -> None:
    """Raises RuntimeError when an event was not accepted: then it is not the load that was meant."""
    if asked.other:
        raise RuntimeError(f"{asked.other} of {asked.other + asked.accepted} events were not accepted")


def prefixed(name: str, run: Run) -> Run:
    """The fields of a run beside those of another system's."""
    return {f"{name}_{field}": value for field, value in run.items()}


def _shared(before: Page, after: Page) -> Run:
    """What the journal's commits shared; nothing for routes that it does not keep."""
    found = commits(before, after)
    return {"group": found.group, "commit_p99_ms": found.quantile(0.99) * 1000} if found.events else {}
