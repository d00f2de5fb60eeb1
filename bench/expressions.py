"""What an expression costs by itself: evaluations in this process, of the event that every case sends.

`cel_when` is the same in a dispatcher that does everything else beside it, so that neither code nor data are in the
core's caches when their turn comes.
"""

import time
import typing
from collections.abc import Callable

from bench import event
from bench.results import Result, Run, number
from bench.terms import Terms
from fanout_crds import expressions
from fanout_crds.expressions import WHEN
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.facts import Facts

FILTER: typing.Final = "data.total > 100.0 && data.currency == 'EUR'"
BATCH: typing.Final = 1000
HEAD: typing.Final = Head(
    id="1",
    source="/bench/events",
    type="dev.fanout.request",
    identity=b"",
    attributes=b"ce-specversion: 1.0\r\nce-id: 1\r\nce-source: /bench/events\r\nce-type: dev.fanout.request\r\n"
    b"content-type: application/json\r\n",
)


def cel_evaluation(terms: Terms) -> dict[str, Result]:
    """One filter over the data: an evaluation alone, and the first of an event, which has the data read for it."""
    expression, body = expressions.compile(FILTER, WHEN), event.body()
    read = Facts(HEAD, body, expression.reads)

    def alone() -> object:
        return read.value(expression)

    def first() -> object:
        return Facts(HEAD, body, expression.reads).value(expression)

    runs: list[Run] = []
    for turn in range(terms.repetitions):
        runs.append({"value": us(alone, terms.seconds / 2), "first": us(first, terms.seconds / 2)})
        terms.tell(f"{turn + 1}: alone {runs[-1]['value']:.1f} µs, the first of an event {runs[-1]['first']:.1f} µs")
    numbers = {"value": number("value", runs, unit="µs", must="≤ 10"), "first": number("first", runs, unit="µs")}
    return {"cel_evaluation": Result(runs=runs, numbers=numbers, note=f"`{FILTER}`, the fastest batch of {BATCH}")}


def us(call: Callable[[], object], seconds: float) -> float:
    """CPU of one *call*, in µs: of batches that take *seconds* in all the fastest, which nobody disturbed."""
    fastest, end = float("inf"), time.process_time() + seconds
    while (began := time.process_time()) < end:
        for _ in range(BATCH):
            call()
        fastest = min(fastest, time.process_time() - began)
    return fastest / BATCH * 1e6
