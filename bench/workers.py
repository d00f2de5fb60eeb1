"""Two workers on two cores against one on one.

With four cores or more the ratio is one of events per second. With fewer, generator and targets sit on the same two
cores as the workers, so throughput says how much they left to us rather than how we scale. Then the ratio is one of
CPU: two cores, as far as they were busy, at the events per CPU second that two workers really had (contention, shared
caches and the second journal included), over one core at that of one worker. What was idle counts against us: two
workers that wait for each other, or that share a core, come out near 1. The ratio in events per second and what
else used the cores stand beside it.
"""

import statistics
import typing

from bench.measure import loaded, prefixed
from bench.process import CORES
from bench.results import Result, Run, judged, skipped
from bench.stage import Stage
from bench.terms import Terms, folder

ENOUGH: typing.Final = 4  # cores: two for the workers, one for the generator, one for the targets


def workers_2(terms: Terms) -> dict[str, Result]:
    """Two workers on two cores ÷ one on one."""
    if len(CORES) < 2:
        return {"workers_2": skipped("this machine lets us use one core only")}
    runs, shares = [], ""
    for turn in range(terms.repetitions):
        one, two = _run(terms, 0), _run(terms, 2)
        raw = two["events_per_second"] / one["events_per_second"]
        ratio = raw if len(CORES) >= ENOUGH else _by_cpu(one, two)
        runs.append({"ratio": ratio, "throughput": raw} | prefixed("one", one) | prefixed("two", two))
        shares = _shares(two)
        terms.tell(f"{turn + 1}: {ratio:.2f} ×, {raw:.2f} × in events/s; {shares}")
    raw = statistics.median(run["throughput"] for run in runs)
    what = "events/s" if len(CORES) >= ENOUGH else "busy cores × events per CPU second"
    note = f"{what}; events/s {raw:.2f} ×, {shares}"
    return {"workers_2": judged("ratio", runs, unit="×", must="≥ 1.7", aim="≥ 1.9", note=note)}


def _by_cpu(one: Run, two: Run) -> float:
    return two["cores_all"] * one["us"] / two["us"]


def _run(terms: Terms, workers: int) -> Run:
    with folder(terms) as path, Stage(path) as stage, stage.ours(workers=workers) as system:
        return loaded(stage, system, path, seconds=terms.seconds)


def _shares(run: Run) -> str:
    whole = len(CORES)
    rest = max(0.0, run["cores_all"] - run["cores_ours"] - run["cores_targets"])
    names = {"us": run["cores_ours"], "targets": run["cores_targets"], "generator and others": rest}
    shares = [f"{name} {cores / whole:.0%}" for name, cores in {**names, "idle": whole - run["cores_all"]}.items()]
    return f"of the cores {', '.join(shares)}"
