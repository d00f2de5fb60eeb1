"""Below saturation: what an event costs when few share a commit, how long a 202 takes, and the commits it waits for.

And how late a caller is told that its targets are.
"""

import statistics
import typing

from bench import load
from bench.measure import WARM_UP, Events, all_taken, cost, loaded, prefixed
from bench.process import AROUND
from bench.results import Result, judged, percentile
from bench.saturated import around, groups
from bench.stage import Stage
from bench.terms import Terms, folder

RATE: typing.Final = 500.0  # events/s
LEAST: typing.Final = 4.0  # seconds of a run at that rate: CPU is counted in steps of 10 ms
LONG: typing.Final = 3  # times a run's seconds, so that commits meet several checkpoints


WAITING: typing.Final = 200.0  # callers/s that wait for a target that never answers
WAIT: typing.Final = 200  # ms that each of them waits
EARLY: typing.Final = 2  # ms: the loop's clock counts in milliseconds, and stands still within a turn
PATIENT: typing.Final = 5.0  # seconds of a run at most: after 10 the attempts are over, and their circuit opens


def rate_500(terms: Terms) -> dict[str, Result]:
    """500 events/s offered, three targets: CPU per event, naive ÷ ours with the journal."""
    longer = terms.lasting(max(LEAST, terms.seconds))
    runs = []
    for turn in range(terms.repetitions):
        naive, mine = (cost(longer, system, events=Events(rate=RATE)) for system in (Stage.naive, Stage.ours))
        runs.append({"ratio": naive["us"] / mine["us"]} | prefixed("naive", naive) | prefixed("ours", mine))
        terms.tell(f"{turn + 1}: naive {naive['us']:.0f} µs, ours {mine['us']:.0f} µs an event")
    naive_us, ours_us = (statistics.median(run[f"{who}_us"] for run in runs) for who in ("naive", "ours"))
    note = (
        f"{naive_us:.0f} ÷ {ours_us:.0f} µs of CPU an event; {groups(runs, 'ours_')}; {around(runs, 'ours_', 'naive_')}"
    )
    return {"rate_500": judged("ratio", runs, unit="×", must="≥ 1.2", aim="≥ 2", note=note)}


def accept_p99_ms(terms: Terms) -> dict[str, Result]:
    """The 202 at half the load that saturates us, fsync on."""
    full = cost(terms, Stage.ours)["events_per_second"]
    runs = []
    for turn in range(terms.repetitions):
        with folder(terms) as path, Stage(path) as stage, stage.ours() as system:
            load.closed(system.url, WARM_UP, folder=path, core=AROUND)
            asked = load.fixed(system.url, full / 2, terms.seconds, folder=path, core=AROUND)
            all_taken(asked)
        runs.append(
            {
                "value": percentile(asked.latencies, 0.99),
                "p50_ms": percentile(asked.latencies, 0.5),
                "max_ms": asked.latencies[-1],
                "events_per_second": full / 2,
            }
        )
        terms.tell(f"{turn + 1}: {runs[-1]['value']:.1f} ms at {full / 2:.0f}/s")
    note = f"{full / 2:.0f} events/s, half of the saturating rate; counted from when each was due"
    return {"accept_p99_ms": judged("value", runs, unit="ms", must="≤ 15", aim="≤ 8", note=note)}


def commit_p99_ms(terms: Terms) -> dict[str, Result]:
    """A journal commit with the loop saturated and checkpoints going on, from the loop to the disk and back."""
    runs = []
    for turn in range(terms.repetitions):
        with folder(terms) as path, Stage(path) as stage, stage.ours() as system:
            run = loaded(stage, system, path, seconds=terms.seconds * LONG)
            written = (path / "data" / "journal.db").stat().st_size / 1e6  # only a checkpoint writes there
        runs.append({"value": run["commit_p99_ms"], "journal_mb": written} | run)
        terms.tell(f"{turn + 1}: {run['commit_p99_ms']:.1f} ms; {written:.0f} MB checkpointed into the file")
    note = f"{groups(runs)}; from the histogram of our metrics page; {around(runs)}"
    return {"commit_p99_ms": judged("value", runs, unit="ms", note=note)}


def respond_overshoot_ms(terms: Terms) -> dict[str, Result]:
    """200 callers a second wait 200 ms for three targets, of which one never answers: how late their 504 is."""
    runs = []
    for turn in range(terms.repetitions):
        with (
            folder(terms) as path,
            Stage(path, hung=1) as stage,
            stage.ours(mode="Settled", timeout=f"{WAIT}ms") as system,
        ):
            load.fixed(system.url, WAITING, WARM_UP, folder=path, core=AROUND)
            asked = load.fixed(system.url, WAITING, min(terms.seconds, PATIENT), folder=path, core=AROUND)
        if asked.accepted or asked.waits[0] < WAIT - EARLY:
            raise RuntimeError("a caller was answered before its time was up")
        over = [wait - WAIT for wait in asked.waits]
        middle, value, due = percentile(over, 0.5), percentile(over, 0.99), percentile(asked.latencies, 0.99) - WAIT
        runs.append({"value": value, "p50_ms": middle, "max_ms": over[-1], "due_ms": due})
        terms.tell(f"{turn + 1}: {middle:.1f} ms in the middle, {value:.1f} at p99, {due:.1f} from when they were due")
    due = statistics.median(run["due_ms"] for run in runs)
    note = f"{WAITING:.0f} callers/s, {WAIT} ms each, from when each was sent; {due:.1f} from when it was due"
    return {"respond_overshoot_ms": judged("value", runs, unit="ms", must="≤ 5", note=note)}
