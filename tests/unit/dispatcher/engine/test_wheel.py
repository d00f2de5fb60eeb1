"""Deadlines in virtual time: none fires early, none is lost, and what has landed is never called late."""

import asyncio
import typing

import uvloop
from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.engine.wheel import GRACE, TICK, Wheel
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Outcome
from tests.sim.loop import run
from tests.unit.dispatcher.engine.scripted import event


class Watch:
    """A wheel on the running loop, and when each flight expired (by number)."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.expired: list[tuple[int, float]] = []
        self.wheel = Wheel(self.loop)

    def flight(self, number: int) -> Flight:
        return Flight(landing=self, event=event(number), target="a", number=number, started=0.0)

    def land(self, flight: Flight, outcome: Outcome) -> None:
        raise AssertionError("a wheel lands nothing")

    def late(self, flight: Flight) -> None:
        self.expired.append((flight.number, self.loop.time()))


class Chain(Watch):
    """Adds the next flight as one expires, up to the fifth."""

    def late(self, flight: Flight) -> None:
        super().late(flight)
        if flight.number < 5:
            self.wheel.add(self.flight(flight.number + 1), self.loop.time())


def test_a_deadline_passes_at_most_a_tick_late_and_never_early() -> None:
    async def scenario() -> None:
        watch = Watch()
        for number in range(200):
            watch.wheel.add(watch.flight(number), number * 0.0137)

        await asyncio.sleep(10)

        assert sorted(number for number, _ in watch.expired) == list(range(200))
        assert all(number * 0.0137 <= at <= number * 0.0137 + TICK + 1e-6 for number, at in watch.expired)

    run(scenario())


def test_an_earlier_deadline_added_later_is_not_overslept() -> None:
    async def scenario() -> None:
        watch = Watch()
        watch.wheel.add(watch.flight(1), 10.0)
        watch.wheel.add(watch.flight(2), 1.0)

        await asyncio.sleep(2)

        assert [number for number, _ in watch.expired] == [2]

    run(scenario())


def test_what_has_landed_does_not_expire() -> None:
    async def scenario() -> None:
        watch = Watch()
        landed, hung = watch.flight(1), watch.flight(2)
        watch.wheel.add(landed, 1.0)
        watch.wheel.add(hung, 1.0)

        watch.wheel.drop(landed)
        await asyncio.sleep(2)

        assert [number for number, _ in watch.expired] == [2]

    run(scenario())


def test_dropping_what_was_never_added_or_has_expired_is_harmless() -> None:
    async def scenario() -> None:
        watch = Watch()
        late = watch.flight(1)
        watch.wheel.add(late, 1.0)
        await asyncio.sleep(2)

        watch.wheel.drop(late)
        watch.wheel.drop(watch.flight(2))

        assert len(watch.expired) == 1

    run(scenario())


def test_a_deadline_that_has_passed_already_is_told_soon_not_inside_the_call() -> None:
    async def scenario() -> None:
        watch = Watch()
        await asyncio.sleep(5)
        watch.wheel.add(watch.flight(1), 1.0)
        assert watch.expired == []

        await asyncio.sleep(TICK)

        assert [number for number, _ in watch.expired] == [1]

    run(scenario())


def test_flights_of_one_tick_expire_in_the_order_in_which_they_were_added() -> None:
    """A run is decided by its seed: no order may come from where an object lies in memory."""

    async def scenario() -> None:
        watch = Watch()
        flights = [watch.flight(number) for number in range(100)]
        for one in reversed(flights):
            watch.wheel.add(one, 1.001)

        await asyncio.sleep(2)

        assert [number for number, _ in watch.expired] == list(reversed(range(100)))

    run(scenario())


def test_one_that_expires_may_add_another() -> None:
    async def scenario() -> None:
        watch = Chain()
        watch.wheel.add(watch.flight(1), 1.0)
        await asyncio.sleep(2)

        assert [number for number, _ in watch.expired] == [1, 2, 3, 4, 5]

    run(scenario())


def test_a_closed_wheel_tells_nothing_any_more() -> None:
    async def scenario() -> None:
        watch = Watch()
        watch.wheel.add(watch.flight(1), 1.0)

        watch.wheel.close()
        await asyncio.sleep(2)

        assert watch.expired == []

    run(scenario())


@given(st.lists(st.tuples(st.floats(0.0, 5.0), st.floats(0.0, 5.0), st.booleans()), max_size=60))
def test_every_flight_expires_once_or_has_landed(plans: list[tuple[float, float, bool]]) -> None:
    """Each is (added at, how long, whether it lands halfway)."""

    async def scenario() -> None:
        watch = Watch()
        for number, (start, seconds, lands) in enumerate(plans):
            one = watch.flight(number)
            watch.loop.call_at(start, watch.wheel.add, one, start + seconds)
            if lands:
                watch.loop.call_at(start + seconds / 2, watch.wheel.drop, one)

        await asyncio.sleep(20)

        late = [number for number, _ in watch.expired]
        assert len(late) == len(set(late))
        assert {number for number, (_, _, lands) in enumerate(plans) if not lands} <= set(late)
        assert not {number for number, (_, seconds, lands) in enumerate(plans) if lands and seconds > 1e-6} & set(late)
        assert not watch.wheel.slots

    run(scenario())


def test_a_process_that_stood_still_reads_the_answers_that_wait_before_it_calls_anybody_late() -> None:
    """SIGSTOP, a suspended laptop: the loop finds deadlines passed and sockets full at the same moment."""

    async def scenario() -> None:
        watch = Watch()
        answered, hung = watch.flight(1), watch.flight(2)
        watch.wheel.add(answered, 1.0)
        watch.wheel.add(hung, 1.0)

        watch.loop.call_at(0.9, stand_still, watch.loop, 12.0)
        watch.loop.call_at(12.95, watch.wheel.drop, answered)  # its answer, read in the first turn after the pause
        await asyncio.sleep(20)

        assert [number for number, _ in watch.expired] == [2]

    run(scenario())


def test_what_is_started_after_a_standstill_takes_no_time_from_what_was_under_way() -> None:
    async def scenario() -> None:
        watch = Watch()
        answered, hung = watch.flight(1), watch.flight(2)
        watch.wheel.add(answered, 1.0)
        watch.wheel.add(hung, 1.5)

        watch.loop.call_at(0.9, stand_still, watch.loop, 12.0)
        watch.loop.call_at(12.92, watch.wheel.add, watch.flight(3), 13.2)
        watch.loop.call_at(12.9 + GRACE / 2, watch.wheel.drop, answered)
        await asyncio.sleep(20)

        assert [number for number, _ in watch.expired] == [3, 2]

    run(scenario())


def stand_still(loop: asyncio.AbstractEventLoop, seconds: float) -> None:
    loop._jump.now += seconds  # type: ignore[attr-defined]


def test_a_deadline_that_is_past_when_it_is_added_stops_nobody_from_adding_others() -> None:
    """For such a time uvloop gives a handle that does not say when; a loop that stood still meets it."""

    async def scenario() -> None:
        watch = Watch()
        now = watch.loop.time()
        watch.wheel.add(watch.flight(1), now - 10)
        watch.wheel.add(watch.flight(2), now - 11)
        watch.wheel.add(watch.flight(3), now + 0.01)

        await asyncio.sleep(0.2)

        assert [number for number, _ in watch.expired] == [2, 1, 3]

    uvloop.run(scenario())


class Breaks(Watch):
    """Breaks when the second is late."""

    def late(self, flight: Flight) -> None:
        super().late(flight)
        if flight.number == 2:
            raise RuntimeError("a fault of ours")


def test_one_that_breaks_is_told_of_and_costs_no_other_its_deadline() -> None:
    async def scenario() -> None:
        watch = Breaks()
        said: list[dict[str, typing.Any]] = []
        watch.loop.set_exception_handler(lambda _, context: said.append(context))
        for number, at in enumerate([1.0, 1.001, 1.002, 1.5, 3.0], start=1):
            watch.wheel.add(watch.flight(number), at)

        await asyncio.sleep(4)

        assert [number for number, _ in watch.expired] == [1, 2, 3, 4, 5]
        assert [repr(one["exception"]) for one in said] == ["RuntimeError('a fault of ours')"]

    run(scenario())
