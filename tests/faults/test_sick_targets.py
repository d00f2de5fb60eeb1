"""P4, P6: one sick target of three costs the other two no delivery, and the dispatcher no memory without a bound.

Every ailment gets a route of its own, and its breaker is switched off: so the sick one is asked again and again, as
often as its bulkhead allows, until its route is suspended. What it was owed has to be in the ledger at the end.
How the healthy ones fare beside it is a figure, and `make bench` measures it better: this machine is also the load.
"""

import asyncio
import typing

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Load, Process
from tests.support.figures import Figure
from tests.support.ledger import lost, metrics, quantile, unexplained
from tests.support.sick_target import AILMENTS, SickTarget
from tests.support.targets import Target

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

CAP: typing.Final = 200.0  # MB: about three times what an idle one has


class Fared(typing.NamedTuple):
    """How the healthy targets fared."""

    accepted: int
    rate: float  # events per second
    p99: float  # seconds from the post to the target


async def tried(process: Process, healthy: list[Target], name: str, seconds: float) -> Fared:
    """Post to route *name* for *seconds*; everything has to reach the healthy ones."""
    load = await Load(process, f"{name}-{len(healthy[0].got)}", path=f"shop/{name}", connections=4).last(seconds)
    posted, accepted = load.posted, load.accepted

    async def arrived() -> bool:
        return not lost(accepted, healthy)

    await eventually(arrived)
    took = sorted(got.at - posted[got.event] for one in healthy for got in one.got if got.event in accepted)
    return Fared(len(accepted), len(accepted) / seconds, quantile(took, 0.99))


async def test_one_sick_target_of_three_costs_the_healthy_no_delivery(bench: Bench, form: Form, figure: Figure) -> None:
    seconds = form(0.2, 5.0)
    healthy = [await bench.target("a"), await bench.target("b")]
    sick = [await SickTarget(name, ailment).open() for name, ailment in AILMENTS.items()]
    policy = patient(attempt="1s", wait="20ms") | {"bulkhead": {"maxConcurrent": 8}}
    bench.route(*healthy, name="well")

    def route(one: SickTarget, *, suspend: bool = False) -> None:
        wanted = {"name": one.name, "url": one.url, "policy": policy}
        bench.route(*healthy, wanted, name=one.name, suspend=suspend)

    for one in sick:
        route(one)
    process = await bench.started()

    fared = {}
    for one in sick:
        well = await tried(process, healthy, "well", seconds)
        ill = await tried(process, healthy, one.name, seconds)
        fared[one.name] = (well, ill)
        route(one, suspend=True)
    counted = await metrics(process)
    peak = process.memory()
    code = await asyncio.to_thread(process.stop)
    for one in sick:
        await one.close()

    for name, (well, ill) in fared.items():
        rates, p99s = ill.rate / well.rate, ill.p99 / well.p99
        figure("P4", beside=name, events=ill.accepted, rate_ratio=rates, p99_ratio=p99s)
    figure("P6", sick_targets=len(sick), requests_to_them=sum(one.asked for one in sick), peak_rss_mb=peak, cap_mb=CAP)
    assert all(one.asked for one in sick), "each was asked"
    assert all(ill.accepted for _, ill in fared.values())
    assert unexplained(healthy, killed=False) == []
    for name, (_, ill) in fared.items():
        ends = [
            counted(what, target=name) for what in ("fanout_pending", "fanout_delivered_total", "fanout_dead_letters")
        ]
        assert sum(ends) == ill.accepted, (name, ends)
    assert peak < CAP
    assert code == 0
