"""A million deliveries pending: memory, what an event costs meanwhile, how soon a restart is ready, how fast it drains.

Beside the route that is used as in every case there is one with the same targets that is suspended: events for it are
accepted and kept. It is filled over HTTP like any other; then the process is killed with SIGKILL and started again, and
the route is resumed in its manifest. One run: filling takes a minute.
"""

import pathlib
import statistics
import time
import typing

from bench import load, manifests
from bench.measure import all_taken, loaded
from bench.page import total
from bench.process import AROUND, Child
from bench.results import Result, Run, judged, number
from bench.stage import Stage, System, until
from bench.terms import Terms, folder

DELIVERIES: typing.Final = 1_000_000
TARGETS: typing.Final = 3
HELD: typing.Final = "held"
STRETCH: typing.Final = 5.0  # seconds of filling between two looks
PATIENCE: typing.Final = 300.0  # seconds until it has to be full
DRAINED: typing.Final = 10.0  # seconds of draining that are measured
ONCE: typing.Final = "one run"


def backlog(terms: Terms) -> dict[str, Result]:
    """1,000,000 deliveries pending: memory, accepting meanwhile, restart after kill -9, draining."""
    with folder(terms) as path, Stage(path, targets=TARGETS) as stage:
        manifest = _write(stage, suspend=True)
        with stage.running(manifest) as system:
            live = loaded(stage, system, path, seconds=terms.seconds)
            filled = _fill(terms, stage, system, path)
            beside = loaded(stage, system, path, seconds=terms.seconds)
            memory = {"value": system.process.resident(), "peak_mb": system.process.peak()}
        begun = time.monotonic()
        with stage.running(manifest) as system:
            restart = {"value": time.monotonic() - begun, "rss_mb": system.process.resident()}
            restart["pending"] = total(stage.metrics(), "fanout_pending")
            terms.tell(f"ready after {restart['value']:.2f} s with {restart['pending']:,.0f} pending")
            drained = _drain(stage, system.process)
    memory |= filled | {"live_ratio": live["us"] / beside["us"]}
    rate = TARGETS * 1e6 / live["us"]
    drained |= {"live_per_cpu_second": rate, "ratio": drained["per_cpu_second"] / rate}
    terms.tell(f"drained at {drained['per_cpu_second']:,.0f} deliveries per CPU second, live {rate:,.0f}")
    return {
        "backlog_rss_mb": _memory(memory),
        "restart_1m_seconds": judged("value", [restart], unit="s", must="≤ 5", aim="≤ 1", note=_restarted(restart)),
        "drain": judged("ratio", [drained], unit="×", must="≥ 0.7", aim="≥ 1.0", note=_drained(drained)),
    }


def _write(stage: Stage, *, suspend: bool) -> pathlib.Path:
    used, held = manifests.route(stage.urls), manifests.route(stage.urls, name=HELD, suspend=suspend)
    return manifests.write(stage.folder / "routes.yaml", used, held)


def _fill(terms: Terms, stage: Stage, system: System, path: pathlib.Path) -> Run:
    """Send until the deliveries are pending; how accepting went at the end ÷ at the beginning."""
    url = system.url.replace(manifests.NAME, HELD)
    load.closed(url, 1.0, folder=path, core=AROUND)  # the window is full, and what comes now goes to the index
    stretches: list[Run] = []
    begun = time.monotonic()
    while (pending := total(stage.metrics(), "fanout_pending")) < DELIVERIES:
        if time.monotonic() - begun > PATIENCE:
            raise RuntimeError(f"after {PATIENCE:.0f} s no more than {pending:,.0f} deliveries are pending")
        before = system.process.seconds()
        asked = load.closed(url, STRETCH, folder=path, core=AROUND)
        all_taken(asked)
        cpu = system.process.seconds() - before
        stretches.append({"per_cpu_second": asked.accepted / cpu, "per_second": asked.accepted / STRETCH})
    took = time.monotonic() - begun
    terms.tell(f"{pending:,.0f} pending after {took:.0f} s")
    first, last = stretches[0], stretches[-2:]
    ratio = statistics.mean(run["per_cpu_second"] for run in last) / first["per_cpu_second"]
    rate = statistics.mean(run["per_second"] for run in last) / first["per_second"]
    return {"pending": pending, "fill_seconds": took, "accept_ratio": ratio, "accept_per_second_ratio": rate}


def _drain(stage: Stage, process: Child) -> Run:
    """Resume the route; deliveries per CPU second once they flow."""
    stage.reset()
    _write(stage, suspend=False)
    until(lambda: sum(stage.deliveries()) > DELIVERIES // 100, process)
    before, cpu, begun = sum(stage.deliveries()), process.seconds(), time.monotonic()
    time.sleep(DRAINED)
    after, used, took = sum(stage.deliveries()), process.seconds() - cpu, time.monotonic() - begun
    if after >= DELIVERIES:
        raise RuntimeError(f"the backlog was gone within {took:.0f} s: measure for a shorter time")
    return {"per_cpu_second": (after - before) / used, "per_second": (after - before) / took}


def _memory(run: Run) -> Result:
    numbers = {
        "value": number("value", [run], unit="MB", must="≤ 400", aim="≤ 200"),
        "accept_ratio": number("accept_ratio", [run], unit="×", must="≥ 0.8"),
    }
    note = (
        f"{run['pending']:,.0f} pending, filled in {run['fill_seconds']:.0f} s; accept_ratio: events per CPU second at"
        f" the end of that ÷ at its beginning; with deliveries, on a route beside it: {run['live_ratio']:.2f}; {ONCE}"
    )
    return Result(runs=[run], numbers=numbers, note=note)


def _restarted(run: Run) -> str:
    return f"from starting the process until /readyz, after SIGKILL; {run['rss_mb']:.0f} MB then; {ONCE}"


def _drained(run: Run) -> str:
    drained, live = run["per_cpu_second"], run["live_per_cpu_second"]
    return f"{drained:,.0f} ÷ {live:,.0f} deliveries per CPU second, over {DRAINED:.0f} s; {ONCE}"
