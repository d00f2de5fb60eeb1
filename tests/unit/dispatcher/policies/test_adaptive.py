"""A limit that follows the target: always within its bounds, lower under load, and up again when that is over."""

import collections
import heapq
import typing

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_dispatcher.policies.adaptive import Adaptive, adaptive
from fanout_dispatcher.policies.bulkhead import Bulkhead
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused
from tests.support.plans import a_policy
from tests.unit.dispatcher.policies.crossing import Crossed

OK = Delivered(200)
OUTCOMES: typing.Final[list[Outcome]] = [
    OK,
    Failed(status=503),
    Failed(fault=Fault.TIMEOUT),
    Failed(fault=Fault.CONNECT_FAILURE),
    Refused("closing"),
]


class Bench:
    """The two gates in their order, and what is in flight."""

    def __init__(self, least: int = 1, initial: int = 20, most: int = 64, *, slots: int = 64) -> None:
        self.bulkhead = Bulkhead(slots)
        self.adaptive = Adaptive(plan.Adaptive(min=least, initial=initial, max=most), self.bulkhead)
        self.flying: list[Crossed] = []
        self.now = 0.0

    @property
    def limit(self) -> int:
        return int(self.adaptive.limit)

    def goes(self) -> bool:
        if max(gate.opens_at(self.now) for gate in (self.bulkhead, self.adaptive)) > self.now:
            return False
        flight = Crossed(self.now)
        self.bulkhead.enter(flight, self.now)
        self.adaptive.enter(flight, self.now)
        self.flying.append(flight)
        return True

    def lands(self, outcome: Outcome = OK, which: int = 0) -> None:
        flight = self.flying.pop(which)
        self.adaptive.leave(flight, outcome, self.now)
        self.bulkhead.leave(flight, outcome, self.now)

    def round(self, took: float, outcome: Outcome = OK) -> None:
        """As many go as may, take so long, and land."""
        while self.goes():
            pass
        self.now += took
        while self.flying:
            self.lands(outcome)


def queueing(bench: Bench, slots: int, answers: int) -> list[int]:
    """A target that works on *slots* at a time, 100 ms each, while the others wait there. The limit at each answer."""
    free = [0.0] * slots
    finishing: collections.deque[float] = collections.deque()
    seen = []
    for _ in range(answers):
        while bench.goes():
            begins = max(heapq.heappop(free), bench.now)
            heapq.heappush(free, begins + 0.1)
            finishing.append(begins + 0.1)
        bench.now = max(bench.now, finishing.popleft())
        bench.lands()
        seen.append(bench.limit)
    return seen


def test_without_adaptive_there_is_no_gate() -> None:
    assert adaptive(a_policy(), Bulkhead(64)) is None


def test_the_gate_is_the_policys_and_begins_where_it_says() -> None:
    policy = a_policy(bulkhead={"adaptive": plan.Adaptive(min=2, initial=7, max=9)})

    assert repr(adaptive(policy, Bulkhead(64))) == "<Adaptive 0/7 of 2–9>"


def test_full_means_that_only_a_landing_can_tell() -> None:
    bench = Bench(initial=2)

    assert [bench.goes() for _ in range(3)] == [True, True, False]
    assert bench.adaptive.opens_at(1.0) == NEVER


def test_a_target_that_answers_as_ever_is_given_more_up_to_the_highest() -> None:
    bench = Bench(most=50)

    for _ in range(30):
        bench.round(0.1)

    assert bench.limit == 50


def test_a_target_that_is_hardly_asked_is_given_no_more() -> None:
    """Nothing says that it would take it."""
    bench = Bench()

    for _ in range(100):
        bench.goes()
        bench.now += 0.1
        bench.lands()

    assert bench.limit == 20


def test_a_target_that_slows_down_is_given_less_and_never_less_than_the_lowest() -> None:
    bench = Bench(least=6)
    for _ in range(30):
        bench.round(0.1)

    bench.round(2.0)

    assert bench.limit < 20
    for _ in range(5):
        bench.round(20.0)
        assert bench.limit >= 6


def test_when_answers_are_quick_again_the_limit_recovers() -> None:
    bench = Bench()
    for _ in range(30):
        bench.round(0.1)
    for _ in range(3):
        bench.round(5.0)
    assert bench.limit < 20

    for _ in range(30):
        bench.round(0.1)

    assert bench.limit == 64


def test_a_long_time_under_load_does_not_keep_it_from_recovering() -> None:
    bench = Bench()
    for _ in range(300):
        bench.round(5.0)

    for _ in range(100):
        bench.round(0.1)

    assert bench.adaptive.usual < 0.3
    assert bench.limit == 64


def test_one_slow_answer_moves_it_little() -> None:
    bench = Bench(most=50)
    for _ in range(30):
        bench.round(0.1)

    while bench.goes():
        pass
    bench.now += 30.0
    bench.lands()

    assert bench.limit >= 45


@pytest.mark.parametrize("outcome", [Failed(status=503), Failed(fault=Fault.RESET), Refused("closing")])
def test_what_fails_says_nothing_about_how_long_the_work_takes(outcome: Outcome) -> None:
    bench = Bench()

    for _ in range(50):
        bench.round(0.001, outcome)

    assert (bench.limit, bench.adaptive.answers) == (20, 0)


def test_an_attempt_that_ran_out_of_time_says_that_it_takes_at_least_so_long() -> None:
    bench = Bench()
    for _ in range(30):
        bench.round(0.1)

    bench.round(10.0, Failed(fault=Fault.TIMEOUT))

    assert bench.limit < 20


@pytest.mark.parametrize("slots", [10, 25])
def test_it_settles_at_what_the_target_can_do_at_once_and_a_short_queue(slots: int) -> None:
    """Around it, to be exact: the limit feels its way up and is sent back. It does not stay at the highest."""
    seen = queueing(Bench(most=200, slots=200), slots, 5000)

    assert slots < sum(seen[-2000:]) / 2000 < 4 * slots


def test_new_bounds_hold_at_once_and_keep_what_was_learnt() -> None:
    bench = Bench()
    bench.round(0.1)

    bench.adaptive.follow(plan.Adaptive(min=1, initial=1, max=10))

    assert (bench.limit, bench.adaptive.answers) == (10, 10)


class AdaptiveLife(RuleBasedStateMachine):
    """Whatever a target does, the limit is between its bounds and no more are in flight than it, or than the slots."""

    @initialize(
        bounds=st.tuples(*[st.integers(1, 64)] * 3).map(sorted), slots=st.integers(1, 64), now=st.floats(0.0, 1e8)
    )
    def begins(self, bounds: list[int], slots: int, now: float) -> None:
        self.bench = Bench(*bounds, slots=slots)
        self.bench.now = now

    @rule(passed=st.floats(0.0, 1.0) | st.floats(0.0, 1e5))
    def time_passes(self, passed: float) -> None:
        self.bench.now += passed

    @rule(tries=st.integers(1, 80))
    def deliveries_want_to_go(self, tries: int) -> None:
        for _ in range(tries):
            limit = min(self.bench.adaptive.limit, self.bench.bulkhead.limit)
            before = len(self.bench.flying)

            assert self.bench.goes() == (before + 1 <= limit)

    @precondition(lambda self: self.bench.flying)
    @rule(which=st.integers(0, 100), outcomes=st.lists(st.sampled_from(OUTCOMES), min_size=1, max_size=30))
    def some_land(self, which: int, outcomes: list[Outcome]) -> None:
        for outcome in outcomes[: len(self.bench.flying)]:
            self.bench.lands(outcome, which % len(self.bench.flying))

    @rule(bounds=st.tuples(*[st.integers(1, 64)] * 3).map(sorted))
    def the_rules_change(self, bounds: list[int]) -> None:
        self.bench.adaptive.follow(plan.Adaptive(min=bounds[0], initial=bounds[1], max=bounds[2]))

    @invariant()
    def the_limit_is_within_its_bounds(self) -> None:
        if hasattr(self, "bench"):
            rule = self.bench.adaptive.rule

            assert rule.min <= self.bench.adaptive.limit <= rule.max

    def teardown(self) -> None:
        """Once answers are quick and steady again, the target gets all that it may have."""
        if not hasattr(self, "bench"):
            return
        while self.bench.flying:
            self.bench.lands()
        for _ in range(400):
            self.bench.round(0.05)
        assert self.bench.limit == self.bench.adaptive.rule.max or self.bench.limit > self.bench.bulkhead.limit


AdaptiveLife.TestCase.settings = hypothesis.settings(max_examples=30, stateful_step_count=30)
TestAdaptive = AdaptiveLife.TestCase
