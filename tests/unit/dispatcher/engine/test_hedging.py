"""Hedges of one target: when a second try is sent, whose outcome counts, and that an attempt stays one attempt."""

import asyncio
import collections.abc
import typing

import msgspec
import pytest

from fanout_crds import plan
from fanout_dispatcher.engine.hedging import hedged, weightier
from fanout_dispatcher.policies.circuit import CircuitState
from fanout_dispatcher.policies.decide import Rules
from fanout_dispatcher.transport.batched import batched
from fanout_dispatcher.transport.memory import NEVER, Reply, fault, in_turn, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Heard
from fanout_dispatcher.values.earlier import Earlier
from fanout_dispatcher.values.event import State
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Reason, Refused
from tests.sim.loop import run
from tests.support.plans import a_policy
from tests.unit.dispatcher.engine.scripted import event
from tests.unit.dispatcher.engine.test_lane_landing import Bench

DELAY: typing.Final = 0.1
ONE: typing.Final = plan.Hedge(delay=DELAY, max_extra=1)
TWO: typing.Final = plan.Hedge(delay=DELAY, max_extra=2)
SLOW: typing.Final = status(200, 5.0)
QUICK: typing.Final = status(200, 0.01)


def hedging(replies: collections.abc.Iterable[Reply], **policy: object) -> Bench:
    """A lane whose sender hedges, once unless *policy* says otherwise."""
    bench = Bench(replies, {"hedge": ONE} | policy)
    bench.lane.sender = hedged(bench.sender, bench.lane.target.policy, bench.lane)
    return bench


def counted(bench: Bench) -> tuple[int, int, int]:
    """Tries that were sent, hedges among them, and hedges that won."""
    meter = bench.lane.tally.meter
    return bench.sender.seen, meter.hedges, meter.hedges_won


def left(bench: Bench) -> tuple[int, int]:
    """What is still in flight, as the bulkhead and the sender see it."""
    return bench.lane.gates.bulkhead.in_flight, len(bench.sender._flying)


def test_without_the_field_a_sender_is_what_it_was() -> None:
    async def scenario() -> None:
        bench = Bench([QUICK], {})

        assert hedged(bench.sender, bench.lane.target.policy, bench.lane) is bench.sender

    run(scenario())


def test_a_quick_answer_is_not_hedged() -> None:
    async def scenario() -> None:
        bench = hedging([status(200, DELAY / 2)])
        bench.owes()

        await asyncio.sleep(1.0)

        assert counted(bench) == (1, 0, 0)
        assert bench.lane.tally.meter.delivered == 1

    run(scenario())


def test_a_slow_one_is_and_the_first_to_succeed_counts_once() -> None:
    async def scenario() -> None:
        bench = hedging([SLOW, QUICK])
        pending = bench.owes()

        await asyncio.sleep(0.2)

        assert counted(bench) == (2, 1, 1)
        assert State.read(pending.states[0]) == (State.DELIVERED, 1), "it spends one attempt"
        assert (bench.lane.tally.meter.delivered, pending.left) == (1, 0)
        assert left(bench) == (0, 0), "the slow one is cancelled"
        assert bench.lane.circuit.window.calls == 1, "what is cancelled is no evidence"

    run(scenario())


def test_the_first_may_still_win() -> None:
    async def scenario() -> None:
        bench = hedging([status(200, 0.2), SLOW])
        bench.owes()

        await asyncio.sleep(0.3)

        assert counted(bench) == (2, 1, 0)
        assert (bench.lane.tally.meter.delivered, left(bench)) == (1, (0, 0))

    run(scenario())


def test_each_hedge_is_a_delay_after_the_one_before_and_there_are_no_more_than_asked_for() -> None:
    async def scenario() -> None:
        bench = hedging([NEVER], hedge=TWO)
        bench.owes()
        seen = []

        for _ in range(4):
            await asyncio.sleep(DELAY + 0.01)
            seen.append(bench.sender.seen)

        assert seen == [2, 3, 3, 3]

    run(scenario())


def test_all_tries_of_an_attempt_have_its_number() -> None:
    async def scenario() -> None:
        numbers: list[int] = []
        replies = in_turn([SLOW, status(503), NEVER])

        def script(flight: Flight) -> Reply:
            numbers.append(flight.number)
            return replies(flight)

        bench = Bench([], {"hedge": TWO, "timeouts": {"attempt": 1.0}}, script=script)
        bench.lane.sender = hedged(bench.sender, bench.lane.target.policy, bench.lane)
        bench.owes()

        await asyncio.sleep(8.0)

        assert numbers[:5] == [1, 1, 2, 2, 2]

    run(scenario())


def test_all_tries_of_an_attempt_send_the_same() -> None:
    async def scenario() -> None:
        flights: list[Flight] = []

        def script(flight: Flight) -> Reply:
            flights.append(flight)
            return NEVER

        bench = Bench([], {"hedge": ONE}, script=script)
        made = hedged(bench.sender, bench.lane.target.policy, bench.lane)
        earlier = Earlier((Heard("stock", State.DELIVERED),))
        one = event(7)
        whole = Flight(landing=bench.lane, event=one, target="a", number=3, started=0.0, capture=9, earlier=earlier)
        made.start(whole)

        await asyncio.sleep(0.2)

        assert [(try_.event, try_.number, try_.capture, try_.earlier) for try_ in flights] == [(one, 3, 9, earlier)] * 2

    run(scenario())


@pytest.mark.parametrize("answer", [409, 503])
def test_a_failure_does_not_decide_while_another_try_is_in_flight(answer: int) -> None:
    """Also one that would not be tried again: by 409 a target says of the second that it has the first."""

    async def scenario() -> None:
        bench = hedging([status(200, 0.5), status(answer, 0.01)])
        bench.owes()

        await asyncio.sleep(1.0)

        meter = bench.lane.tally.meter
        assert (meter.delivered, meter.failed, meter.dead, bench.sender.seen) == (1, {}, {}, 2)

    run(scenario())


@pytest.mark.parametrize(
    ("replies", "slots"), [([NEVER, status(503, 0.01), QUICK], 1), ([status(503, 0.15), NEVER, QUICK], 2)]
)
def test_none_is_sent_beside_a_failure(replies: list[Reply], slots: int) -> None:
    """Whether the newest try has failed, or the first while the newest is in time: its slot is the attempt's."""

    async def scenario() -> None:
        bench = hedging(replies, hedge=TWO, timeouts={"attempt": 1.0})
        bench.owes()

        await asyncio.sleep(0.9)

        assert (counted(bench), left(bench)) == ((2, 1, 0), (slots, 1))

    run(scenario())


def test_when_all_have_failed_that_is_one_failure_and_the_retry_is_as_without_hedges() -> None:
    async def scenario() -> None:
        steady = {"backoff": {"type": "Constant", "base_delay": 1.0, "jitter": "None"}}
        bench = hedging([status(503, 0.3), status(400, 0.01), QUICK], retry=steady)
        bench.owes()

        await asyncio.sleep(1.0)
        failed, retried = dict(bench.lane.tally.meter.failed), bench.lane.tally.meter.retried
        await asyncio.sleep(1.0)

        assert (failed, retried) == ({"503": 1}, 1), "one that is tried again outweighs one that is not"
        assert (bench.lane.tally.meter.delivered, bench.sender.seen) == (1, 3)
        assert bench.lane.circuit.consecutive == 0

    run(scenario())


def test_the_deadline_of_an_attempt_is_that_of_all_its_tries() -> None:
    async def scenario() -> None:
        bench = hedging([NEVER], hedge=TWO, timeouts={"attempt": 0.5}, retry={"max_attempts": 1})
        pending = bench.owes()

        await asyncio.sleep(0.6)

        assert bench.lane.tally.meter.failed == {"Timeout": 1}
        assert State.read(pending.states[0]) == (State.DEAD, 1)
        assert (counted(bench), left(bench)) == ((3, 2, 0), (0, 0))

    run(scenario())


def test_a_status_of_success_on_wins() -> None:
    async def scenario() -> None:
        bench = hedging([SLOW, status(404, 0.01)], retry={"success_on": ((404, 404),)})
        bench.owes()

        await asyncio.sleep(0.3)

        assert (bench.lane.tally.meter.delivered, counted(bench)) == (1, (2, 1, 1))

    run(scenario())


@pytest.mark.parametrize(
    "policy",
    [
        {"bulkhead": {"max_concurrent": 1}},
        {"rate_limit": plan.RateLimit(requests=1, per=60.0, burst=1)},
        {"retry": {"budget": plan.Budget(percent=0, min_retries_per_second=0.001)}},
    ],
    ids=["no slot", "no token", "no budget"],
)
def test_a_hedge_takes_what_is_to_spare_and_waits_for_nothing(policy: dict[str, object]) -> None:
    async def scenario() -> None:
        bench = hedging([status(200, 0.5)], **policy)
        budget = bench.lane.gates.budget
        if budget is not None and "retry" in policy:
            budget.empty = bench.lane.clock.now()
        bench.owes()

        await asyncio.sleep(1.0)

        assert (counted(bench), bench.lane.tally.meter.delivered) == ((1, 0, 0), 1)

    run(scenario())


def test_deliveries_that_wait_go_before_hedges() -> None:
    async def scenario() -> None:
        one = plan.RateLimit(requests=1, per=DELAY, burst=1)
        bench = hedging([status(200, 1.0)], rate_limit=one)
        for _ in range(5):
            bench.owes()

        await asyncio.sleep(0.45)

        assert (bench.sender.seen, bench.lane.tally.meter.hedges) == (5, 0)

    run(scenario())


@pytest.mark.parametrize("why", ["open", "held", "ended", "closed"])
def test_none_is_sent_where_nothing_is_sent(why: str) -> None:
    async def scenario() -> None:
        bench = hedging([status(200, 0.5)])
        bench.owes()
        await asyncio.sleep(DELAY / 2)
        lane = bench.lane
        match why:
            case "open":
                lane.circuit._open(lane.clock.now())
            case "held":
                lane.hold("Suspended")
            case "ended":
                lane.end(Reason.ROUTE_DELETED)
            case _:
                assert lane.sender is not None
                lane.sender.close()

        await asyncio.sleep(1.0)

        assert (counted(bench), lane.tally.meter.delivered) == ((1, 0, 0), 1)

    run(scenario())


def test_a_probe_is_not_hedged_though_others_close_the_circuit_meanwhile() -> None:
    async def scenario() -> None:
        breaker = {"open_duration": 0.5, "max_open_duration": 0.5, "half_open": {"success_threshold": 1}}
        bench = hedging([*[status(503, 0.01)] * 5, status(200, 1.0), QUICK], circuit_breaker=breaker)
        for _ in range(5):
            bench.owes()
        await asyncio.sleep(0.55)
        assert (bench.lane.circuit.state, bench.sender.seen) == (CircuitState.HALF_OPEN, 6)

        bench.lane.circuit._close()
        bench.lane.soon()  # whoever waits goes, so that it is not for them that the probe has no hedge
        await asyncio.sleep(0.9)

        assert (counted(bench), bench.lane.tally.meter.delivered) == ((10, 0, 0), 4)

    run(scenario())


def test_none_is_sent_once_the_time_of_the_whole_delivery_is_over() -> None:
    """The attempt began in time, and has its own."""

    async def scenario() -> None:
        bench = hedging([status(200, 1.0)], hedge=plan.Hedge(delay=DELAY, max_extra=5), timeouts={"total": 2.5 * DELAY})
        bench.owes()

        await asyncio.sleep(2.0)

        assert (counted(bench), bench.lane.tally.meter.delivered) == ((3, 2, 0), 1)

    run(scenario())


def test_of_a_batch_none_is_sent_once_the_time_of_its_oldest_delivery_is_over() -> None:
    async def scenario() -> None:
        bench = hedging([NEVER], timeouts={"total": 1.0 + DELAY / 2})
        await asyncio.sleep(1.0)
        now = bench.lane.clock.now()
        oldest, newest = (msgspec.structs.replace(event(1), accepted=at) for at in (now - 1.0, now))
        whole = batched([newest, oldest], [b"{}", b"{}"])
        started = now - bench.lane.clock.offset
        flight = Flight(landing=bench.lane, event=whole, target="a", number=1, started=started, entered=now)
        assert bench.lane.sender is not None

        bench.lane.sender.start(flight)
        await asyncio.sleep(5 * DELAY)

        assert bench.sender.seen == 1

    run(scenario())


def test_of_a_target_that_is_slow_for_everybody_only_a_share_is_hedged() -> None:
    """Each success fills the retry budget; the hedges' own is filled by first attempts and by time alone."""

    async def scenario() -> None:
        budget = plan.Budget(percent=20, min_retries_per_second=1)
        bench = hedging([status(200, 0.3)], retry={"budget": budget})
        for _ in range(1000):
            bench.owes()
            await asyncio.sleep(0.02)

        meter = bench.lane.tally.meter
        assert meter.delivered > 950
        assert 100 < meter.hedges <= 0.2 * 1000 + 20 + 64

    run(scenario())


@pytest.mark.parametrize(
    ("before", "then", "weighs_more"),
    [
        (None, Failed(status=400), "then"),
        (Failed(status=400), Failed(status=409), "then"),
        (Failed(status=503), Failed(status=400), "before"),
        (Failed(status=400), Failed(fault=Fault.RESET), "then"),
        (Failed(status=503), Failed(status=429, retry_after="7"), "then"),
        (Failed(status=400), Refused("the sender is closed"), "before"),
        (Refused("the sender is closed"), Failed(status=400), "then"),
    ],
)
def test_of_two_failures_one_that_is_tried_again_decides_and_the_later_of_two_alike(
    before: Outcome | None, then: Outcome, weighs_more: str
) -> None:
    chosen = weightier(before, then, Rules.of(a_policy()))

    assert chosen == {"before": before, "then": then}[weighs_more]


def test_an_outcome_that_comes_twice_moves_nothing() -> None:
    async def scenario() -> None:
        bench = hedging([fault(Fault.RESET, 0.3), SLOW])
        bench.owes()
        await asyncio.sleep(0.2)
        one = next(iter(bench.sender._flying))

        one.landing.land(one, Delivered(200))
        one.landing.land(one, Failed(status=400))
        await asyncio.sleep(0.05)

        assert (bench.lane.tally.meter.delivered, bench.lane.tally.meter.failed) == (1, {})

    run(scenario())
