"""A target occupies its own slots and no more (promise P13)."""

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_dispatcher.policies.bulkhead import Bulkhead
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused
from tests.unit.dispatcher.policies.crossing import Crossed


def test_it_is_open_while_a_slot_is_free() -> None:
    bulkhead = Bulkhead(2)
    bulkhead.enter(Crossed(), 0.0)

    assert bulkhead.opens_at(7.0) == 7.0


def test_full_means_that_only_a_landing_can_tell() -> None:
    bulkhead = Bulkhead(1)
    bulkhead.enter(Crossed(), 0.0)

    assert bulkhead.opens_at(7.0) == NEVER


@pytest.mark.parametrize(
    "outcome", [Delivered(200), Failed(status=404), Failed(fault=Fault.TIMEOUT), Refused("closing")]
)
def test_every_landing_gives_its_slot_back(outcome: Outcome) -> None:
    bulkhead = Bulkhead(1)
    flight = Crossed()
    bulkhead.enter(flight, 0.0)

    bulkhead.leave(flight, outcome, 1.0)

    assert bulkhead.opens_at(7.0) == 7.0


def test_a_smaller_limit_waits_until_the_old_flights_are_below_it() -> None:
    bulkhead = Bulkhead(3)
    flights = [Crossed() for _ in range(3)]
    for flight in flights:
        bulkhead.enter(flight, 0.0)

    bulkhead.limit = 1
    opened = []
    for flight in flights:
        bulkhead.leave(flight, Delivered(200), 1.0)
        opened.append(bulkhead.opens_at(1.0) == 1.0)

    assert opened == [False, False, True]


def test_it_says_how_full_it_is() -> None:
    bulkhead = Bulkhead(64)
    bulkhead.enter(Crossed(), 0.0)

    assert repr(bulkhead) == "<Bulkhead 1/64>"


class BulkheadLife(RuleBasedStateMachine):
    """The gate against the list of who is in flight, with limits that change under it."""

    @initialize(limit=st.integers(1, 5))
    def begins(self, limit: int) -> None:
        self.gate = Bulkhead(limit)
        self.flying: list[Crossed] = []

    @rule(limit=st.integers(1, 5))
    def the_plan_changes(self, limit: int) -> None:
        self.gate.limit = limit

    @rule()
    def one_wants_to_start(self) -> None:
        if self.gate.opens_at(7.0) == 7.0:
            self.flying.append(Crossed())
            self.gate.enter(self.flying[-1], 7.0)
            assert len(self.flying) <= self.gate.limit

    @precondition(lambda self: self.flying)
    @rule(outcome=st.sampled_from([Delivered(200), Failed(status=503), Refused("closing")]), which=st.integers(0, 4))
    def one_lands(self, outcome: Outcome, which: int) -> None:
        self.gate.leave(self.flying.pop(which % len(self.flying)), outcome, 8.0)

    @invariant()
    def it_is_open_while_a_slot_is_free(self) -> None:
        if hasattr(self, "gate"):
            assert (self.gate.opens_at(9.0) == 9.0) == (len(self.flying) < self.gate.limit)


TestBulkheadLife = BulkheadLife.TestCase
