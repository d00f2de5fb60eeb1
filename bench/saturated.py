"""Saturated by 64 connections: what an event costs us, naive and nginx, by fan-out and by size of the body."""

import statistics
import typing
from collections.abc import Callable

from bench import nginx
from bench.expressions import FILTER
from bench.measure import Events, Open, cost, prefixed
from bench.results import Result, Run, judged, number, skipped
from bench.stage import Stage
from bench.terms import Terms

SYSTEMS: typing.Final[dict[str, Open]] = {
    "naive": Stage.naive,
    "ours": Stage.ours,
    "memory": lambda stage: stage.ours("Memory"),
    "nginx": Stage.nginx,
}
NEEDED: typing.Final = {
    "fan_out_3": ("naive", "ours"),
    "fan_out_3_memory": ("naive", "memory"),
    "nginx_mirror": ("ours", "memory", "nginx"),
}
FANS: typing.Final = (1, 10, 50)


def fan_out_3(terms: Terms) -> dict[str, Result]:
    """Saturated by 64 connections, three targets: CPU per event of naive, ours, ours in memory and nginx, in turn."""
    keys = [key for key in NEEDED if key in terms.keys]
    names = [name for name in SYSTEMS if any(name in NEEDED[key] for key in keys)]
    if nginx.NGINX is None:
        names = [name for name in names if name != "nginx"]
    runs = []
    for turn in range(terms.repetitions):
        found = {name: cost(terms, SYSTEMS[name]) for name in names}
        runs.append({field: value for name, run in found.items() for field, value in prefixed(name, run).items()})
        terms.tell(f"{turn + 1}: " + ", ".join(f"{name} {run['us']:.0f} µs" for name, run in found.items()))
    judges = {"fan_out_3": _durable, "fan_out_3_memory": _in_memory, "nginx_mirror": _nginx}
    return {key: judges[key](runs) for key in keys}


def scatter_gather_3(terms: Terms) -> dict[str, Result]:
    """Three targets that the caller waits for, in memory: CPU per event ÷ that of fan-out, which answers at once."""
    runs = []
    for turn in range(terms.repetitions):
        fan_out = cost(terms, SYSTEMS["memory"])
        gather = cost(terms, lambda stage: stage.ours("Memory", mode="Settled"))
        ratio = {"value": gather["us"] / fan_out["us"]}
        runs.append(ratio | prefixed("gather", gather) | prefixed("fan_out", fan_out))
        terms.tell(f"{turn + 1}: gather {gather['us']:.0f} µs, fan-out {fan_out['us']:.0f} µs")
    mine, other = (statistics.median(run[f"{who}_us"] for run in runs) for who in ("gather", "fan_out"))
    note = f"{mine:.0f} ÷ {other:.0f} µs of CPU an event; {around(runs, 'gather_', 'fan_out_')}"
    return {"scatter_gather_3": judged("value", runs, unit="×", must="≤ 1.3", note=note)}


def fan_out_n(terms: Terms) -> dict[str, Result]:
    """1, 10 and 50 targets, saturated: CPU per delivery, which should fall with the number of targets."""
    runs: dict[int, list[Run]] = {fan: [] for fan in FANS}
    for turn in range(terms.repetitions):
        for fan in FANS:
            run = cost(terms, Stage.ours, targets=fan)
            runs[fan].append(run | {"value": run["us"] / fan})
        terms.tell(f"{turn + 1}: " + ", ".join(f"{fan} {runs[fan][-1]['value']:.1f} µs" for fan in FANS))
    results, must = {}, ""
    for fan in FANS:
        middle = statistics.median(run["us"] for run in runs[fan])
        note = f"{middle:.0f} µs an event; {groups(runs[fan])}; {around(runs[fan])}"
        results[f"fan_out_{fan}"] = judged("value", runs[fan], unit="µs", must=must, note=note)
        must = f"< {results[f'fan_out_{fan}'].numbers['value'].median:.1f}"
    return results


def cel_when(terms: Terms) -> dict[str, Result]:
    """Three targets with a filter each that lets everything through: CPU per expression, over a route without."""
    runs = []
    for turn in range(terms.repetitions):
        plain, filtered = cost(terms, Stage.ours), cost(terms, lambda stage: stage.ours(when=FILTER))
        run = {"value": (filtered["us"] - plain["us"]) / 3} | prefixed("plain", plain) | prefixed("filtered", filtered)
        runs.append(run)
        terms.tell(f"{turn + 1}: plain {plain['us']:.0f} µs, filtered {filtered['us']:.0f} µs")
    plain_us, filtered_us = (statistics.median(run[f"{name}_us"] for run in runs) for name in ("plain", "filtered"))
    note = f"{filtered_us:.0f} − {plain_us:.0f} µs an event, three of `{FILTER}`; {around(runs, 'plain_', 'filtered_')}"
    return {"cel_when": judged("value", runs, unit="µs", must="", aim="≤ 10", note=note)}


def body(key: str, size: int) -> Callable[[Terms], dict[str, Result]]:
    """The case of events of *size* bytes."""

    def case(terms: Terms) -> dict[str, Result]:
        runs = []
        for turn in range(terms.repetitions):
            found = {name: cost(terms, SYSTEMS[name], events=Events(size=size)) for name in ("naive", "ours")}
            speed = {f"{name}_mb_per_cpu_second": size / run["us"] for name, run in found.items()}
            ratio = speed["ours_mb_per_cpu_second"] / speed["naive_mb_per_cpu_second"]
            fields = {field: value for name, run in found.items() for field, value in prefixed(name, run).items()}
            runs.append({"ratio": ratio} | speed | fields)
            terms.tell(f"{turn + 1}: " + ", ".join(f"{name} {value:.0f}" for name, value in speed.items()))
        ours, naive = (
            statistics.median(run[f"{name}_mb_per_cpu_second"] for run in runs) for name in ("ours", "naive")
        )
        note = (
            f"{ours:.0f} ÷ {naive:.0f} MB/s per CPU second; {groups(runs, 'ours_')}; {around(runs, 'ours_', 'naive_')}"
        )
        return {key: judged("ratio", runs, unit="×", must="≥ 2", note=note)}

    case.__doc__ = f"Events of {size:,} bytes to three targets: MB/s per CPU second, ours ÷ naive."
    return case


def groups(runs: list[Run], prefix: str = "") -> str:
    """How many events shared a commit."""
    found = [run[f"{prefix}group"] for run in runs if f"{prefix}group" in run]
    return f"{statistics.median(found):.1f} events a commit" if found else "no commits"


def around(runs: list[Run], *prefixes: str) -> str:
    """How busy generator and targets were at most: well under their core, or it is they that were measured."""
    busiest = max(run[f"{prefix}around"] for run in runs for prefix in prefixes or ("",))
    return f"generator and sinks at most {busiest:.0%} of their core"


def _durable(runs: list[Run]) -> Result:
    return _naive(runs, "ours", must="≥ 4", aim="≥ 6", extra=f"; {groups(runs, 'ours_')}")


def _in_memory(runs: list[Run]) -> Result:
    return _naive(runs, "memory", must="≥ 5", aim="≥ 8")


def _naive(runs: list[Run], ours: str, *, must: str, aim: str, extra: str = "") -> Result:
    runs = [{"ratio": run["naive_us"] / run[f"{ours}_us"]} | run for run in runs]
    naive, mine = (statistics.median(run[f"{who}_us"] for run in runs) for who in ("naive", ours))
    note = f"{naive:.0f} ÷ {mine:.0f} µs of CPU an event{extra}; {around(runs, 'naive_', f'{ours}_')}"
    return judged("ratio", runs, unit="×", must=must, aim=aim, note=note)


def _nginx(runs: list[Run]) -> Result:
    if nginx.NGINX is None:
        return skipped("nginx is not installed: neither on PATH nor in /usr/sbin (Debian: apt-get install nginx-light)")
    runs = [
        {"value": run["ours_us"] / run["nginx_us"], "memory": run["memory_us"] / run["nginx_us"]} | run for run in runs
    ]
    c, ours, memory = (statistics.median(run[f"{who}_us"] for run in runs) for who in ("nginx", "ours", "memory"))
    numbers = {
        "value": number("value", runs, unit="×", must="≤ 1.8", aim="≤ 1.3"),
        "memory": number("memory", runs, unit="×", must="≤ 1.2", aim="≤ 1.0"),
    }
    note = f"ours {ours:.0f} and in memory {memory:.0f} ÷ nginx {c:.0f} µs of CPU an event; {around(runs, 'nginx_')}"
    return Result(runs=runs, numbers=numbers, note=note)
