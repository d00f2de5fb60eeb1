"""What a lane makes of an answer before anybody else sees it: successOn, and probes that prove nothing."""

import asyncio
import collections.abc
import random

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.journal.disk import LoopDisk
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import DueRow
from fanout_dispatcher.policies.circuit import CircuitState
from fanout_dispatcher.telemetry.seam import Silent
from fanout_dispatcher.transport.memory import Reply, Script, ScriptedSender, in_turn, status
from fanout_dispatcher.values.event import Event, State
from tests.sim.loop import run
from tests.support.plans import a_target
from tests.unit.dispatcher.engine.scripted import HEAD, Written

ROUTE = "shop/order-placed"


class Bench:
    """One lane over a journal in memory, and a target that answers from a script, or with *replies* in turn."""

    def __init__(
        self,
        replies: collections.abc.Iterable[Reply],
        policy: dict[str, object],
        *,
        script: Script | None = None,
        works: Works | None = None,
        journal: MemoryJournal | None = None,
        route: str = ROUTE,
    ) -> None:
        loop = asyncio.get_running_loop()
        self.journal = journal or MemoryJournal()
        recovered = self.journal.open()
        clock = Clock(loop, base=recovered.now, wall=loop.time)
        self.works = works or Works(clock, seam=Silent(), seed=1, changed=lambda route: None)
        disk = LoopDisk(self.journal, rng=random.Random(1), latency=(0.0, 0.004))
        self.book = Book(disk, recovered, worker="0", clock=clock, max_bytes=1 << 20, troubled=lambda fault: None)
        target = a_target(policy=policy)
        self.lane = Lane(route, target, book=self.book, works=self.works)
        self.frozen = self.book.freeze(route, 1, (target.name,))
        self.sender = ScriptedSender(loop, script or in_turn(replies))
        self.lane.adopt(target, self.sender, None)

    def owes(self) -> Pending:
        """An event for the lane, as acceptance brings it."""
        now = self.lane.clock.now()
        event = Event(seq=self.book.next_seq(), frozen=self.frozen, accepted=now, head=HEAD, body=b"{}")
        pending = Pending(event=event, states=bytearray(1), left=1)
        self.lane.tally.came(2)
        spilled = () if self.lane.promise(now) else (DueRow(self.lane.number, event.seq, now),)
        self.book.committer.append(Written(event, lambda seq, fault: self._committed(pending, spilled), spilled))
        return pending

    def _committed(self, pending: Pending, spilled: tuple[DueRow, ...]) -> None:
        if spilled:
            return self.lane.spilled(spilled[0].at)
        self.book.live[pending.event.seq] = pending
        pending.refs += 1
        return self.lane.offer(pending, 0)


def test_a_status_of_success_on_is_delivered_and_the_circuit_takes_it_for_one() -> None:
    async def scenario() -> None:
        bench = Bench([status(503)] * 4 + [status(409)] + [status(503)] * 4, {"retry": {"success_on": ((409, 409),)}})

        for _ in range(9):
            bench.owes()
            await asyncio.sleep(0.01)

        assert bench.lane.tally.meter.delivered == 1
        assert bench.lane.circuit.state is CircuitState.CLOSED

    run(scenario())


def test_a_success_settles_the_delivery() -> None:
    async def scenario() -> None:
        bench = Bench([status(200)], {})
        pending = bench.owes()

        await asyncio.sleep(0.1)

        assert (State.read(pending.states[0]), pending.left) == ((State.DELIVERED, 1), 0)
        assert bench.book.live == {}

    run(scenario())


def test_a_probe_that_proves_nothing_is_spent_and_waits_like_any_attempt() -> None:
    """A 408 is tried again but blames nobody; unspent and due at once, its probe would go round and round."""

    async def scenario() -> None:
        bench = Bench(
            [status(503)] * 5 + [status(408)],
            {
                "circuit_breaker": {"open_duration": 1.0, "max_open_duration": 1.0},
                "retry": {"backoff": {"jitter": "None", "base_delay": 10.0, "max_delay": 10.0}},
            },
        )
        for _ in range(5):
            bench.owes()
        await asyncio.sleep(5.0)
        assert bench.lane.circuit.state is CircuitState.OPEN
        bench.owes()

        await asyncio.sleep(4.0)

        assert bench.sender.seen == 6

    run(scenario())
