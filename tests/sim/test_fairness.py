"""Two routes ask for the loop's time 1 : 100, and together for twice what there is: the small one gets all it asks for.

Each attempt that is started costs a millisecond of virtual time, in which nobody else is served: so the loop's capacity
is the one thing that the routes share. The flooding route has room in its bulkheads for all it can ever have in memory,
so that nothing but the routes' turns holds it back. To how many targets it sends all that makes no difference.
"""

import asyncio
import collections.abc
import typing

import pytest

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.engine import Engine, Opened
from fanout_dispatcher.engine.works import QUANTUM
from fanout_dispatcher.journal.disk import Done, Job, result_of
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import Journal
from fanout_dispatcher.telemetry.seam import Silent
from fanout_dispatcher.transport.memory import Reply, ScriptedSenders, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.event import Head
from tests.sim.loop import VirtualLoop, run
from tests.support.figures import Figure
from tests.support.plans import a_plan, a_target

COST = 0.001  # seconds of the loop that one start takes
CAPACITY = 1 / COST
RATES = {"small": 20.0, "flood": 2000.0}  # attempts offered per second
SECONDS = 20.0
TURNS = (
    8  # of the loop, each with one quantum of the flood, until an event that was offered has been committed and sent
)
WIDE = 16  # targets
ROOMY: dict[str, object] = {"bulkhead": {"max_concurrent": 10_000}, "timeouts": {"attempt": 0.0}}


T = typing.TypeVar("T")


class Thread:
    """The journal's thread beside a busy loop: what it is asked in one turn of that, it answers in the next."""

    def __init__(self, loop: asyncio.AbstractEventLoop, journal: Journal) -> None:
        self._loop = loop
        self._journal = journal

    def run(self, job: Job[T], done: Done[T]) -> None:
        """Run *job*, after those that were handed in before."""
        self._loop.call_soon(lambda: done(result_of(job, self._journal)))


class Crowd:
    """An engine with the two routes, the flood to *wide* targets, and when their events were offered and started."""

    def __init__(self, wide: int) -> None:
        self.targets = {"small": 1, "flood": wide}
        self.loop = typing.cast(VirtualLoop, asyncio.get_running_loop())
        self.offered: dict[str, float] = {}
        self.waited: dict[str, list[float]] = {name: [] for name in RATES}
        journals = [MemoryJournal(), MemoryJournal()]
        durable, memory = (
            Opened(disk=Thread(self.loop, one), recovered=one.open(), max_bytes=1 << 30) for one in journals
        )
        self.engine = Engine(
            Clock(self.loop, base=0.0, wall=self.loop.time),
            durable=durable,
            memory=memory,
            senders=ScriptedSenders(self.loop, lambda target: self.started),
            seam=Silent(),
        )
        for name, many in self.targets.items():
            targets = [a_target(f"{name}-{number}", policy=ROOMY) for number in range(many)]
            self.engine.adopt(a_plan(*targets, name=name, path=f"/{name}"), {})
        self.engine.start()

    def started(self, flight: Flight) -> Reply:
        ident = flight.event.head.id
        self.waited[ident.partition("/")[0]].append(self.loop.time() - self.offered[ident])
        self.loop._jump.now += COST
        return status(200, 0.01)

    async def offer(self, name: str) -> None:
        """Post at the route's rate, and make up for what the loop's other work has delayed."""
        route = self.engine.route_at(f"/{name}")
        assert route is not None
        begun, number, rate = self.loop.time(), 0, RATES[name] / self.targets[name]
        while self.loop.time() < begun + SECONDS:
            while number < (self.loop.time() - begun) * rate:
                ident = f"{name}/{number}"
                self.offered[ident] = begun + number / rate
                head = Head(id=ident, source="/sim", type="sim", identity=b"", attributes=b"")
                self.engine.accept(route, head, b"{}", lambda answered: None)
                number += 1
            await asyncio.sleep(COST)


def jain(shares: collections.abc.Collection[float]) -> float:
    """Jain's index of fairness: 1 when all have the same, 1/n when one has everything."""
    return sum(shares) ** 2 / (len(shares) * sum(share * share for share in shares))


def share_of(name: str, waited: dict[str, list[float]]) -> float:
    """What a route got of what it has a right to: all it asks for, or what the others leave of the capacity."""
    others = sum(rate for other, rate in RATES.items() if other != name and rate < CAPACITY / 2)
    right = min(RATES[name], CAPACITY - others) * SECONDS
    return len(waited[name]) / right


@pytest.mark.parametrize("wide", [1, WIDE])
def test_a_flooding_route_takes_no_more_than_its_share(wide: int, figure: Figure) -> None:
    async def scenario() -> None:
        crowd = Crowd(wide)
        await asyncio.gather(*(crowd.offer(name) for name in RATES))

        shares = {name: share_of(name, crowd.waited) for name in RATES}
        slowest = max(crowd.waited["small"])
        figure("P34", targets_of_the_flood=wide, jain=f"{jain(shares.values()):.4f}", slowest_ms=slowest * 1e3)
        assert shares["small"] > 0.98
        assert shares["flood"] > 0.9, "the loop was not the bottleneck, so this shows nothing"
        assert len(crowd.waited["flood"]) < 0.6 * RATES["flood"] * SECONDS
        assert jain(shares.values()) > 0.99
        assert slowest < TURNS * QUANTUM * COST

    run(scenario())


def test_the_index_of_fairness_tells_fair_from_unfair() -> None:
    assert jain([1.0, 1.0]) == 1.0
    assert jain([0.0, 1.0]) == 0.5
