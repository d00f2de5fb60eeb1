"""Two workers on two cores against one on one.

On a machine with two cores generator and targets sit on the same two, so the raw throughput says how much they left to
us rather than how we scale. The ratio is therefore one of CPU: two cores, at the events per CPU second that two workers
really had (contention, shared caches and the second journal included), over one core at that of one worker. The raw
ratio and what else used the cores stand beside it.
"""

import os
import statistics
import time

from bench.measure import loaded, prefixed
from bench.process import CORES, busy
from bench.results import Result, Run, judged, skipped
from bench.stage import Stage
from bench.terms import Terms, folder


def workers_2(terms: Terms) -> dict[str, Result]:
    """Two workers on two cores ÷ one on one: events per CPU second, times the cores."""
    if len(CORES) < 2:
        return {"workers_2": skipped("this machine lets us use one core only")}
    runs, shares = [], ""
    for turn in range(terms.repetitions):
        one, two = _run(terms, 0), _run(terms, 2)
        ratio = 2 * two["per_cpu_second"] / one["per_cpu_second"]
        raw = two["events_per_second"] / one["events_per_second"]
        runs.append({"ratio": ratio, "throughput": raw} | prefixed("one", one) | prefixed("two", two))
        shares = _shares(two)
        terms.tell(f"{turn + 1}: {ratio:.2f} × by CPU, {raw:.2f} × in events/s; {shares}")
    raw = statistics.median(run["throughput"] for run in runs)
    note = f"2 × events per CPU second; events/s {raw:.2f} ×, where of the cores {shares}"
    return {"workers_2": judged("ratio", runs, unit="×", must="≥ 1.7", aim="≥ 1.9", note=note)}


def _run(terms: Terms, workers: int) -> Run:
    with folder(terms) as path, Stage(path) as stage, stage.ours(workers=workers) as system:
        begun, all_before, before, sinks = time.monotonic(), busy(), system.process.seconds(), stage.sink.seconds()
        run = loaded(stage, system, path, seconds=terms.seconds)
        took = (time.monotonic() - begun) * (os.cpu_count() or 1)
        ours, targets = system.process.seconds() - before, stage.sink.seconds() - sinks
        shares = {"ours": ours / took, "targets": targets / took, "all": (busy() - all_before) / took}
    return run | {"per_cpu_second": 1e6 / run["us"]} | {f"share_{name}": share for name, share in shares.items()}


def _shares(run: Run) -> str:
    rest = max(0.0, run["share_all"] - run["share_ours"] - run["share_targets"])
    return f"we had {run['share_ours']:.0%}, the targets {run['share_targets']:.0%}, generator and others {rest:.0%}"
