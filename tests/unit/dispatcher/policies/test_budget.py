"""Retries stay within what firsts, successes and time have put in (promise P10), and a recovered backlog drains."""

import typing
from fractions import Fraction

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_dispatcher.policies.budget import Budget, budget
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused
from tests.support.plans import a_policy
from tests.unit.dispatcher.policies.crossing import Crossed

OK = Delivered(200)
NOT: typing.Final[list[Outcome]] = [Failed(status=503), Failed(fault=Fault.TIMEOUT), Refused("closing")]


def a_budget(percent: int = 20, least: int = 10, slots: int = 64) -> Budget:
    return Budget(plan.Budget(percent=percent, min_retries_per_second=least), slots)


def emptied(gate: Budget, now: float) -> Budget:
    while gate.opens_at(now) == now:
        gate.enter(Crossed(now, number=2), now)
    return gate


def test_a_policy_without_a_budget_has_no_gate() -> None:
    assert budget(a_policy(retry={"budget": None})) is None


def test_the_default_is_a_fifth_and_ten_per_second() -> None:
    assert repr(budget(a_policy())) == "<Budget 20% + 10/s, up to 100>"


@pytest.mark.parametrize(("least", "slots", "holds"), [(10, 64, 100), (1, 64, 64), (1, 4, 30), (10, 500, 500)])
def test_the_bucket_holds_ten_seconds_a_bulkhead_or_a_few_tens(least: int, slots: int, holds: int) -> None:
    assert a_budget(0, least, slots).held(1e6) == holds


def test_it_begins_full() -> None:
    assert a_budget().held(0.0) == 100


def test_an_empty_one_opens_when_time_has_put_one_in() -> None:
    gate = emptied(a_budget(20, 8), 50.0)

    assert gate.opens_at(50.0) == 50.125


def test_at_a_quarter_four_first_attempts_pay_for_one_retry() -> None:
    gate = emptied(a_budget(25, 8), 50.0)

    opened = []
    for _ in range(4):
        gate.enter(Crossed(50.0), 50.0)
        opened.append(gate.opens_at(50.0) == 50.0)

    assert opened == [False, False, False, True]


def test_a_delivery_that_succeeds_pays_for_one_retry_and_nothing_else_does() -> None:
    gate = emptied(a_budget(20, 8), 50.0)
    for outcome in NOT:
        gate.leave(Crossed(), outcome, 50.0)
    assert gate.opens_at(50.0) > 50.0

    gate.leave(Crossed(), OK, 50.0)

    assert gate.opens_at(50.0) == 50.0


def test_a_dead_target_sees_a_fifth_of_its_first_attempts_and_ten_per_second_more() -> None:
    """An hour: a hundred new events per second, and a backlog that always wants to be retried."""
    gate, retries, seconds = a_budget(), 0, 3600

    for tick in range(seconds * 100):
        now = tick / 100
        gate.enter(Crossed(now), now)
        while gate.opens_at(now) == now:
            gate.enter(Crossed(now, number=2), now)
            retries += 1

    assert retries == pytest.approx(100 + seconds * (10 + 20), rel=0.001)


def test_a_recovered_backlog_is_soon_at_full_speed() -> None:
    """Each answer takes 100 ms, 64 may be in flight: full speed is 640 per second."""
    gate = emptied(a_budget(), 0.0)
    flying: list[float] = []
    per_second = [0] * 15

    for tick in range(15_000):
        now = tick / 1000
        while flying and flying[0] <= now:
            gate.leave(Crossed(flying.pop(0), number=2), OK, now)
            per_second[tick // 1000] += 1
        while len(flying) < 64 and gate.opens_at(now) == now:
            gate.enter(Crossed(now, number=2), now)
            flying.append(now + 0.1)

    assert per_second[0] < 100
    assert per_second[-1] >= 630


def test_new_figures_keep_what_is_in_the_bucket() -> None:
    gate = emptied(a_budget(20, 8), 50.0)

    gate.follow(plan.Budget(percent=50, min_retries_per_second=1), 64, 50.0)

    assert gate.opens_at(50.0) == 51.0


def test_a_smaller_bucket_spills_what_it_does_not_hold() -> None:
    gate = a_budget(20, 10)

    gate.follow(plan.Budget(percent=20, min_retries_per_second=1), 4, 50.0)

    assert gate.held(50.0) == 30


class BudgetLife(RuleBasedStateMachine):
    """The gate against a bucket that is counted exactly, with figures that floats hold exactly."""

    @initialize(
        percent=st.sampled_from([0, 25, 50, 100]), least=st.sampled_from([1, 2, 8, 16]), slots=st.sampled_from([1, 40])
    )
    def begins(self, percent: int, least: int, slots: int) -> None:
        self.now = 0.0
        self.gate = a_budget(percent, least, slots)
        self.percent, self.least = Fraction(percent, 100), least
        self.brim = Fraction(max(10 * least, slots, 30))
        self.bucket = self.brim
        self.flying: list[Crossed] = []
        self.retries = self.firsts = self.delivered = 0

    @rule(eighths=st.integers(0, 8) | st.integers(0, 400))
    def time_passes(self, eighths: int) -> None:
        self.now += eighths / 8
        self.put(Fraction(eighths, 8) * self.least)

    @rule(tries=st.integers(1, 50))
    def retries_want_to_go(self, tries: int) -> None:
        for _ in range(tries):
            if self.gate.opens_at(self.now) == self.now:
                self.goes(Crossed(self.now, number=2))
                self.bucket -= 1
                self.retries += 1

    @rule(count=st.integers(1, 50))
    def events_come(self, count: int) -> None:
        for _ in range(count):
            self.goes(Crossed(self.now))
            self.put(self.percent)
            self.firsts += 1

    def goes(self, flight: Crossed) -> None:
        self.gate.enter(flight, self.now)
        self.flying.append(flight)

    def put(self, retries: Fraction) -> None:
        self.bucket = min(self.brim, self.bucket + retries)

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000), outcome=st.sampled_from([OK, *NOT]))
    def one_lands(self, which: int, outcome: Outcome) -> None:
        self.gate.leave(self.flying.pop(which % len(self.flying)), outcome, self.now)
        if outcome is OK:
            self.put(Fraction(1))
            self.delivered += 1

    @invariant()
    def it_is_open_while_there_is_one_and_names_the_time_of_the_next(self) -> None:
        missing = max(Fraction(0), 1 - self.bucket)

        assert self.bucket >= 0
        assert Fraction(self.gate.opens_at(self.now)) == Fraction(self.now) + missing / self.least

    @invariant()
    def retries_are_paid_for(self) -> None:
        paid = self.brim + Fraction(self.now) * self.least + self.firsts * self.percent + self.delivered

        assert self.retries <= paid


BudgetLife.TestCase.settings = hypothesis.settings(max_examples=100, stateful_step_count=40)
TestBudget = BudgetLife.TestCase
