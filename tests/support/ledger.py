"""The ledger of a fault run: what was acknowledged against what reached the targets. It knows only promises.

A delivery that came twice is *explained* when a kill lies between the two, or when the first was not answered to its
end; then it carries the same key.
"""

import asyncio
import collections
import itertools
import typing
from collections.abc import Collection, Iterable, Sequence

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.support.dispatcher import Process
from tests.support.targets import Got, Target

PATIENCE: typing.Final = 120.0  # seconds until everything has to be settled


def lost(accepted: Collection[str], targets: Iterable[Target]) -> list[tuple[str, str]]:
    """Acknowledged events that a target never got."""
    return [(event, one.name) for one in targets for event in set(accepted) - {got.event for got in one.got}]


def unexplained(targets: Iterable[Target], *, killed: bool) -> list[tuple[Got, Got]]:
    """Deliveries that came again for no reason; *killed* says that a new life may have begun by a kill."""
    return [
        (before, after)
        for before, after in again(targets)
        if before.key != after.key or (before.answered and not (killed and before.life != after.life))
    ]


def again(targets: Iterable[Target]) -> list[tuple[Got, Got]]:
    """Whatever a target got twice."""
    return [pair for one in targets for pair in _again(one.got)]


def _again(got: list[Got]) -> Iterable[tuple[Got, Got]]:
    by_event = collections.defaultdict(list)
    for one in got:
        by_event[one.event].append(one)
    return itertools.chain.from_iterable(itertools.pairwise(all_of) for all_of in by_event.values())


def quantile(ordered: Sequence[float], share: float) -> float:
    """The value below which *share* of sorted values lie; 0 when there are none."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else 0.0


async def settled(process: Process, route: str = "shop/order-placed", patience: float = PATIENCE) -> None:
    """Wait until nothing of *route* is pending."""
    async with asyncio.timeout(patience), httpx.AsyncClient(trust_env=False) as client:
        while True:
            answer = await client.get(f"{process.admin}/v1/routes/{route}")
            if all(one["pending"] == 0 for one in answer.json()["targets"]):
                return
            await asyncio.sleep(0.1)


async def metrics(process: Process) -> "Metrics":
    """What /metrics says now."""
    async with httpx.AsyncClient(trust_env=False) as client:
        return Metrics((await client.get(f"{process.admin}/metrics")).text)


class Metrics:
    """One scrape; ``metrics("fanout_attempts_total", target="a")`` sums whatever has these labels."""

    def __init__(self, page: str) -> None:
        self.samples = [sample for family in text_string_to_metric_families(page) for sample in family.samples]

    def __call__(self, name: str, **labels: str) -> int:
        wanted = labels.items()
        return int(sum(one.value for one in self.samples if one.name == name and wanted <= one.labels.items()))
