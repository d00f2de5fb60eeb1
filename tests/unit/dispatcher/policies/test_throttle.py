"""A rate limit towards a target is never exceeded, in no window (promise P12), and never costs more than it must."""

import itertools
from fractions import Fraction

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.policies.throttle import Throttle, throttle
from fanout_dispatcher.values.outcome import Delivered
from tests.support.plans import a_policy
from tests.unit.dispatcher.policies.crossing import Crossed

limits = st.builds(
    plan.RateLimit, requests=st.integers(1, 1000), per=st.floats(0.001, 3600.0), burst=st.integers(1, 100)
)
exact = st.builds(  # an interval that floats hold exactly, so that the model and the gate must agree to the instant
    plan.RateLimit,
    requests=st.sampled_from([1, 2, 4, 16]),
    per=st.sampled_from([0.25, 1.0, 4.0, 64.0]),
    burst=st.integers(1, 12),
)


def limit(requests: int, per: float = 1.0, burst: int = 1) -> Throttle:
    return Throttle(plan.RateLimit(requests=requests, per=per, burst=burst))


def start(gate: Throttle, now: float) -> None:
    assert gate.opens_at(now) == now
    gate.enter(Crossed(now), now)


def test_without_a_rate_limit_there_is_no_gate() -> None:
    assert throttle(a_policy()) is None


def test_the_gate_is_the_policys() -> None:
    gate = throttle(a_policy(rate_limit=plan.RateLimit(requests=5, per=60.0, burst=2)))

    assert repr(gate) == "<Throttle 5/60s burst=2>"


def test_a_burst_goes_at_once_and_the_next_one_at_the_even_pace() -> None:
    gate = limit(10, burst=3)
    for _ in range(3):
        start(gate, 100.0)

    assert gate.opens_at(100.0) == pytest.approx(100.1)


def test_without_a_burst_attempts_go_one_by_one() -> None:
    gate = limit(4)
    start(gate, 100.0)

    assert [gate.opens_at(now) for now in (100.0, 100.25, 100.5)] == [100.25, 100.25, 100.5]


def test_a_quiet_time_is_worth_no_more_than_the_burst() -> None:
    gate = limit(10, burst=3)
    start(gate, 0.0)

    for _ in range(3):
        start(gate, 1e6)

    assert gate.opens_at(1e6) > 1e6


def test_how_an_attempt_went_changes_nothing() -> None:
    gate = limit(4)
    flight = Crossed()
    gate.enter(flight, 0.0)

    gate.leave(flight, Delivered(200), 0.1)

    assert gate.opens_at(0.1) == 0.25


@given(rule=limits, waits=st.lists(st.floats(0.0, 10.0), max_size=60))
def test_in_every_window_of_any_length_no_more_start_than_the_limit_and_the_burst(
    rule: plan.RateLimit, waits: list[float]
) -> None:
    """Deliveries that always want to go, and now and then do not for a while."""
    gate, now, starts = Throttle(rule), 0.0, []

    for wait in waits:
        now = gate.opens_at(now + wait)
        start(gate, now)
        starts.append(now)

    for first, last in itertools.combinations(range(len(starts)), 2):
        most = rule.requests * (starts[last] - starts[first]) / rule.per + rule.burst
        assert last - first + 1 <= most + 1e-6


@given(rule=limits, count=st.integers(1, 300))
def test_what_always_wants_to_go_goes_as_fast_as_the_limit_allows(rule: plan.RateLimit, count: int) -> None:
    gate, now = Throttle(rule), 50.0

    for _ in range(rule.burst + count):
        now = gate.opens_at(now)
        start(gate, now)

    assert now - 50.0 == pytest.approx(count * rule.per / rule.requests)


@given(rule=limits, now=st.floats(0.0, 1e8), starts=st.integers(0, 200))
def test_the_time_it_names_is_one_at_which_it_is_open(rule: plan.RateLimit, now: float, starts: int) -> None:
    gate = Throttle(rule)
    for _ in range(starts):
        gate.enter(Crossed(now), now)

    at = gate.opens_at(now)

    assert gate.opens_at(at) == at


@given(before=limits, after=limits, starts=st.integers(0, 200))
def test_a_new_limit_waits_at_most_one_interval_of_its_own(
    before: plan.RateLimit, after: plan.RateLimit, starts: int
) -> None:
    """An hourly limit that became one per second must not make anybody wait for an hour."""
    gate = Throttle(before)
    for _ in range(starts):
        gate.enter(Crossed(100.0), 100.0)

    gate.follow(after, 100.0)

    assert 100.0 <= gate.opens_at(100.0) <= 100.0 + after.per / after.requests + 1e-6


def test_a_new_limit_does_not_give_a_second_burst() -> None:
    gate = limit(1, per=1.0, burst=10)
    for _ in range(10):
        start(gate, 100.0)

    gate.follow(plan.RateLimit(requests=2, per=1.0, burst=10), 100.0)

    assert gate.opens_at(100.0) == 100.5


def test_what_is_reserved_is_counted_when_it_starts_and_nobody_comes_in_between() -> None:
    gate = limit(10, burst=1)
    gate.reserve(Crossed(100.0), 100.0)
    assert gate.opens_at(103.0) == NEVER

    gate.start(Crossed(103.0), 103.0)

    assert gate.opens_at(103.0) == pytest.approx(103.1)


def test_what_is_handed_back_was_never_there() -> None:
    gate = limit(10, burst=1)
    gate.reserve(Crossed(100.0), 100.0)

    gate.hand_back(Crossed(100.0), 100.0)

    assert gate.opens_at(100.0) == 100.0


class ThrottleLife(RuleBasedStateMachine):
    """The gate against a bucket of tokens that is counted exactly."""

    @initialize(rule=exact)
    def begins(self, rule: plan.RateLimit) -> None:
        self.now = 0.0
        self.gate = Throttle(rule)
        self.rate = Fraction(rule.requests) / Fraction(rule.per)
        self.tokens = Fraction(rule.burst)
        self.reserved = 0

    @rule(eighths=st.integers(0, 8) | st.integers(0, 10_000))
    def time_passes(self, eighths: int) -> None:
        self.now += eighths / 8
        self.tokens = min(Fraction(self.gate.rule.burst), self.tokens + Fraction(eighths, 8) * self.rate)

    @rule(tries=st.integers(1, 15))
    def deliveries_want_to_go(self, tries: int) -> None:
        for _ in range(tries):
            if self.gate.opens_at(self.now) == self.now:
                self.gate.enter(Crossed(self.now), self.now)
                self.tokens -= 1

    @rule(tries=st.integers(1, 15))
    def deliveries_are_about_to_go(self, tries: int) -> None:
        for _ in range(tries):
            if self.gate.opens_at(self.now) == self.now:
                self.gate.reserve(Crossed(self.now), self.now)
                self.reserved += 1

    @precondition(lambda self: self.reserved)
    @rule(starts=st.booleans())
    def what_was_reserved_goes_or_does_not(self, starts: bool) -> None:
        self.reserved -= 1
        if starts:
            self.gate.start(Crossed(self.now), self.now)
            self.tokens -= 1
        else:
            self.gate.hand_back(Crossed(self.now), self.now)

    @invariant()
    def there_is_a_token_for_whatever_is_reserved(self) -> None:
        assert self.tokens >= self.reserved

    @precondition(lambda self: not self.reserved)
    @invariant()
    def it_is_open_while_there_is_a_token_and_names_the_time_of_the_next(self) -> None:
        missing = max(Fraction(0), 1 - self.tokens)

        assert Fraction(self.gate.opens_at(self.now)) == Fraction(self.now) + missing / self.rate


ThrottleLife.TestCase.settings = hypothesis.settings(max_examples=100, stateful_step_count=40)
TestThrottle = ThrottleLife.TestCase
