"""What one ailing target of three costs the other two: their p99, with ÷ without it.

Both sides run at the same time, each with its own targets and generator, so that what else the machine does hits both.
"""

import concurrent.futures
import typing
from collections.abc import Callable

from bench import load
from bench.measure import WARM_UP, all_taken
from bench.process import AROUND
from bench.results import Result, judged, percentile
from bench.stage import Stage
from bench.terms import Terms, folder

RATE: typing.Final = 200.0  # events/s


def hung_p99(terms: Terms) -> dict[str, Result]:
    """One target of three accepts and never answers: p99 at the two others, with ÷ without."""
    return {"hung_p99": _compared(terms, lambda path: Stage(path, hung=1))}


def slow_p99(terms: Terms) -> dict[str, Result]:
    """One target of three takes 500 ms to answer: p99 at the two others, with ÷ without."""
    return {"slow_p99": _compared(terms, lambda path: Stage(path, slow=1))}


def _compared(terms: Terms, ailing: Callable[..., Stage]) -> Result:
    runs = []
    for turn in range(terms.repetitions):
        with concurrent.futures.ThreadPoolExecutor(2) as both:
            runners = [both.submit(_latency, terms, make) for make in (Stage, ailing)]
            without, beside = [runner.result() for runner in runners]
        runs.append({"without_ms": without, "with_ms": beside, "value": beside / without})
        terms.tell(f"{turn + 1}: {without:.2f} ms without, {beside:.2f} ms with")
    note = f"{RATE:.0f} events/s each; from when an event was due at the generator until it is at the target"
    return judged("value", runs, unit="×", must="≤ 1.1", aim="≤ 1.0", note=note)


def _latency(terms: Terms, make: Callable[..., Stage]) -> float:
    """p99 from due to delivered, ms, at the healthy targets."""
    with folder(terms) as path, make(path) as stage, stage.ours() as system:
        stage.settle(load.fixed(system.url, RATE, WARM_UP, folder=path, core=AROUND).accepted)
        stage.reset()
        asked = load.fixed(system.url, RATE, terms.seconds * 2, folder=path, core=AROUND)
        all_taken(asked)
        stage.settle(asked.accepted, asked.accepted)
        return percentile(stage.latencies(), 0.99)
