"""Fresh deliveries and those to be tried again share a lane, and neither stands in the other's way."""

import asyncio
import collections.abc

import pytest

from fanout_crds.plan import Batch
from fanout_dispatcher.engine.window import SIZE
from fanout_dispatcher.engine.works import QUANTUM
from fanout_dispatcher.transport.memory import NEVER, Reply, Script, status
from fanout_dispatcher.transport.protocol import Flight
from tests.sim.loop import run
from tests.unit.dispatcher.engine.test_lane_landing import Bench

WAIT = {"backoff": {"type": "Constant", "base_delay": 5.0, "jitter": "None"}}
PATIENT = {"circuit_breaker": {"enabled": False}, "retry": WAIT}


class Target:
    """Answers from a script and writes down what it is asked: event and attempt, in order."""

    def __init__(self, script: collections.abc.Callable[[Flight], Reply]) -> None:
        self.script = script
        self.asked: list[tuple[int, int]] = []

    def __call__(self, flight: Flight) -> Reply:
        self.asked.append((flight.event.seq, flight.number))
        return self.script(flight)


def test_retries_and_fresh_deliveries_take_turns_when_slots_are_scarce() -> None:
    """A slot at a time, and more of both than there are slots: each landing is the other kind's turn."""

    async def scenario() -> None:
        target = Target(lambda flight: status(503 if flight.number == 1 and flight.event.seq <= 4 else 200, 0.1))
        bench = Bench([], {**PATIENT, "bulkhead": {"max_concurrent": 1}}, script=target)
        for _ in range(4):
            bench.owes()
        await asyncio.sleep(5.05)  # the last of them has failed, the first is due again
        for _ in range(6):
            bench.owes()
        await asyncio.sleep(10.0)

        kinds = ["again" if number > 1 else "fresh" for _, number in target.asked[4:]]
        assert kinds == ["fresh", "again"] * 4 + ["fresh", "fresh"]

    run(scenario())


def test_a_retry_that_is_due_makes_no_new_event_spill() -> None:
    async def scenario() -> None:
        target = Target(lambda flight: status(503))
        bench = Bench([], {**PATIENT, "bulkhead": {"max_concurrent": 2}}, script=target)
        bench.owes()
        await asyncio.sleep(1.0)
        bench.lane.hold("Suspended")
        await asyncio.sleep(10.0)  # the retry is due, and may not go

        assert bench.lane.tried.next_due < bench.lane.clock.now()
        assert bench.lane.promise(bench.lane.clock.now())

    run(scenario())


def test_more_retries_than_a_window_holds_keep_no_fresh_delivery_waiting() -> None:
    async def scenario() -> None:
        many = 2 * SIZE
        target = Target(lambda flight: status(503) if flight.number == 1 and flight.event.seq <= many else NEVER)
        bench = Bench([], {**PATIENT, "bulkhead": {"max_concurrent": 8}}, script=target)
        for _ in range(many):
            bench.owes()
        await asyncio.sleep(4.9)
        del target.asked[:]
        await asyncio.sleep(2.0)  # retries hold all slots now, and will not let go
        assert len(target.asked) == 8
        bench.owes()
        await asyncio.sleep(0.1)
        bench.lane.gates.bulkhead.limit = 9
        bench.lane.soon()
        await asyncio.sleep(0.1)

        assert target.asked[-1] == (many + 1, 1)

    run(scenario())


@pytest.mark.parametrize("batch", [None, Batch(max_events=16, max_bytes=1 << 20, max_wait=0.0)])
def test_lanes_with_much_to_start_let_another_route_have_its_turn(batch: Batch | None) -> None:
    """Two lanes of one route are owed many deliveries at once, the lane of another one a single one."""

    async def scenario() -> None:
        order: list[str] = []

        def script(name: str) -> Script:
            def asked(flight: Flight) -> Reply:
                order.extend([name] * (len(flight.delivery) if isinstance(flight.delivery, list) else 1))
                return NEVER

            return asked

        policy: dict[str, object] = {"bulkhead": {"max_concurrent": 1000}, "batch": batch}
        first = Bench([], policy, script=script("flood"), route="shop/flood")
        second = Bench([], policy, script=script("flood"), works=first.works, route="shop/flood")
        small = Bench([], {}, script=script("small"), works=first.works, route="shop/small")
        for _ in range(4 * QUANTUM):
            first.owes()
            second.owes()
        small.owes()
        await asyncio.sleep(0.1)

        assert len(order) == 8 * QUANTUM + 1
        assert order.index("small") <= QUANTUM

    run(scenario())
