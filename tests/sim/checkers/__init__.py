"""What the promises make of a history: one module per promise, none of which knows the engine.

Each has ``check(reading)``, which returns a sentence for every violation: nothing is a clean bill.
"""

import traceback
import typing

from tests.sim.checkers import (
    acceptance,
    adaptive,
    answers,
    batches,
    breaker,
    budget,
    cache,
    conservation,
    delay,
    due,
    duplicates,
    earlier,
    fallbacks,
    flights,
    generations,
    hedges,
    isolation,
    keys,
    letters,
    order,
    queues,
    rates,
    sagas,
    schedule,
    total,
)
from tests.sim.checkers.reading import Reading, read
from tests.sim.history import History

CHECKERS: typing.Final[dict[str, typing.Callable[[Reading], list[str]]]] = {
    "P1 acceptance": acceptance.check,
    "P2 conservation": conservation.check,
    "P3 duplicates": duplicates.check,
    "P5 order": order.check,
    "P7 queues": queues.check,
    "P9 schedule": schedule.check,
    "P9 delay": delay.check,
    "P9 due": due.check,
    "P9 total": total.check,
    "P10 budget": budget.check,
    "P11 breaker": breaker.check,
    "P12 rates": rates.check,
    "P13 in flight": flights.check,
    "P13 adaptive": adaptive.check,
    "P14 dead letters": letters.check,
    "P15 sagas": sagas.check,
    "P15 earlier answers": earlier.check,
    "P16 answers": answers.check,
    "P16 fallbacks": fallbacks.check,
    "P17 keys": keys.check,
    "P18 cache": cache.check,
    "P19 batches": batches.check,
    "P24 generations": generations.check,
    "P35 hedges": hedges.check,
}


def judge(history: History, twin: History | None = None, healthy: tuple[str, ...] = ()) -> list[str]:
    """All violations, each with the promise that it breaks."""
    reading = read(history)
    wrong = [f"{promise}: {why}" for promise, check in CHECKERS.items() for why in check(reading)]
    if twin is not None:
        wrong += [f"P4 isolation: {why}" for why in isolation.check(reading, read(twin), healthy)]
    return wrong + ["a callback raised: " + "".join(traceback.format_exception(one)) for one in history.faults]
