"""The cases, by key. Each runs its systems in turn (A B A B …), so that what the machine does meanwhile hits both."""

import concurrent.futures
import contextlib
import pathlib
import statistics
import typing
from collections.abc import Callable

from bench import load
from bench.control import apply_to_ready_ms
from bench.process import AROUND
from bench.results import Result, judged, percentile
from bench.stage import Stage, System
from bench.terms import Terms, folder

REPETITIONS: typing.Final = 3
WARM_UP: typing.Final = 1.0  # seconds of load before anything is counted
RATE: typing.Final = 200.0  # events/s of the isolation cases


Open = Callable[[Stage], contextlib.AbstractContextManager[System]]


def fan_out_3(terms: Terms) -> Result:
    """Saturated by 64 connections: CPU per event, naive ÷ ours with the journal."""
    return _against_naive(terms, Stage.ours, must="≥ 3")


def fan_out_3_memory(terms: Terms) -> Result:
    """The same with durability Memory."""
    return _against_naive(terms, lambda stage: stage.ours("Memory"), must="≥ 3")


def hung_p99(terms: Terms) -> Result:
    """One target of three accepts and never answers: p99 at the two others, with ÷ without.

    Both run at the same time, each with its own targets and generator, so that what else the machine does hits both.
    """
    runs = []
    for number in range(REPETITIONS):
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            runners = [both.submit(_latency, terms, hung=hung) for hung in (0, 1)]
            without, beside = [runner.result() for runner in runners]
        runs.append({"without_ms": without, "with_ms": beside, "value": beside / without})
        terms.tell(f"{number + 1}: {without:.2f} ms without, {beside:.2f} ms with")
    note = f"{RATE:.0f} events/s each; from when an event was due at the generator until it is at the target"
    return judged("value", runs, unit="×", must="≤ 1.1", note=note)


def accept_p99_ms(terms: Terms) -> Result:
    """The 202 at half the load that saturates us, fsync on."""
    with folder(terms) as path, Stage(path) as stage, stage.ours() as system:
        full = _saturated(terms, stage, system, path)["events_per_second"]
    runs = []
    for number in range(REPETITIONS):
        with folder(terms) as path, Stage(path) as stage, stage.ours() as system:
            load.closed(system.url, WARM_UP, folder=path, core=AROUND)
            asked = load.fixed(system.url, full / 2, terms.seconds, folder=path, core=AROUND)
            _all_taken(asked)
        runs.append(
            {
                "value": percentile(asked.latencies, 0.99),
                "p50_ms": percentile(asked.latencies, 0.5),
                "max_ms": asked.latencies[-1],
                "events_per_second": full / 2,
            }
        )
        terms.tell(f"{number + 1}: {runs[-1]['value']:.1f} ms at {full / 2:.0f}/s")
    return judged(
        "value", runs, unit="ms", must="≤ 15", note="half of the saturating rate; counted from when each was due"
    )


CASES: typing.Final[dict[str, Callable[[Terms], Result]]] = {
    "fan_out_3": fan_out_3,
    "fan_out_3_memory": fan_out_3_memory,
    "hung_p99": hung_p99,
    "accept_p99_ms": accept_p99_ms,
    "apply_to_ready_ms": apply_to_ready_ms,
}


def _against_naive(terms: Terms, ours: Open, *, must: str) -> Result:
    runs = []
    for number in range(REPETITIONS):
        naive = _cost(terms, Stage.naive)
        mine = _cost(terms, ours)
        ratio = naive["us"] / mine["us"]
        runs.append(
            {"ratio": ratio}
            | {f"naive_{name}": value for name, value in naive.items()}
            | {f"ours_{name}": value for name, value in mine.items()}
        )
        terms.tell(f"{number + 1}: naive {naive['us']:.0f} µs, ours {mine['us']:.0f} µs an event, {ratio:.2f} ×")
    naive_us, ours_us = (statistics.median(run[f"{who}_us"] for run in runs) for who in ("naive", "ours"))
    busiest = max(run[f"{who}_around"] for run in runs for who in ("naive", "ours"))
    note = f"{naive_us:.0f} ÷ {ours_us:.0f} µs of CPU an event; generator and sinks: {busiest:.0%} of their core"
    return judged("ratio", runs, unit="×", must=must, note=note)


def _cost(terms: Terms, system: Open) -> dict[str, float]:
    """CPU per event of one saturated run."""
    with folder(terms) as path, Stage(path) as stage, system(stage) as running:
        return _saturated(terms, stage, running, path)


def _saturated(terms: Terms, stage: Stage, system: System, path: pathlib.Path) -> dict[str, float]:
    load.closed(system.url, WARM_UP, folder=path, core=AROUND)
    stage.settle(1)
    stage.reset()
    before, around = system.process.seconds(), stage.sink.seconds()
    asked = load.closed(system.url, terms.seconds, folder=path, core=AROUND)
    if asked.other:
        raise RuntimeError(f"{asked.other} events were not accepted")
    events = stage.settle(asked.accepted, asked.accepted + load.CONNECTIONS)  # wrk stops in mid-request
    cpu = system.process.seconds() - before
    return {
        "us": cpu / events * 1e6,
        "events": float(events),
        "events_per_second": asked.accepted / terms.seconds,
        "around": (stage.sink.seconds() - around + asked.cpu) / terms.seconds,
        "peak_mb": system.process.peak(),
    }


def _latency(terms: Terms, *, hung: int) -> float:
    """p99 from due to delivered, ms, at the targets that answer."""
    with folder(terms) as path, Stage(path, hung=hung) as stage, stage.ours() as system:
        load.fixed(system.url, RATE, WARM_UP, folder=path, core=AROUND)
        stage.settle(1)
        stage.reset()
        asked = load.fixed(system.url, RATE, terms.seconds * 2, folder=path, core=AROUND)
        _all_taken(asked)
        stage.settle(asked.accepted, asked.accepted)
        return percentile(stage.latencies(), 0.99)


def _all_taken(asked: load.Asked) -> None:
    if asked.other:
        raise RuntimeError(f"{asked.other} of {asked.other + asked.accepted} events were not accepted")
