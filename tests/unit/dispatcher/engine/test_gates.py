"""The gates of a target together: their order is behaviour, and a change of policy loses nothing."""

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_dispatcher.engine.gates import Gates
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.policies.ration import Pool
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome
from tests.support.plans import a_policy
from tests.unit.dispatcher.policies.crossing import Crossed

OK = Delivered(200)
BAD = Failed(status=503)
LIMIT = plan.RateLimit(requests=4, per=1.0, burst=2)
ADAPTIVE = plan.Adaptive(min=1, initial=3, max=8)
ALL_ON = a_policy(rate_limit=LIMIT, bulkhead={"max_concurrent": 8, "adaptive": ADAPTIVE})


class Bench:
    """Gates as a lane uses them."""

    def __init__(self, policy: plan.Policy) -> None:
        self.gates = Gates(policy, lambda state: None, Pool())
        self.flying: list[Crossed] = []
        self.now = 100.0

    def opens_at(self, number: int = 1) -> float:
        at = self.gates.opens_at(self.now)
        return at if number == 1 else max(at, self.gates.retries_at(self.now))

    def goes(self, number: int = 1) -> bool:
        if self.opens_at(number) > self.now:
            return False
        flight = Crossed(self.now, number=number)
        self.gates.enter(flight, self.now)
        self.flying.append(flight)
        return True

    def lands(self, outcome: Outcome, which: int = 0) -> None:
        self.gates.leave(self.flying.pop(which), outcome, self.now)


def names(bench: Bench) -> tuple[list[str], list[str]]:
    return (
        [type(gate).__name__ for gate in bench.gates.asked],
        [type(gate).__name__ for gate in bench.gates.told],
    )


def test_with_the_defaults_an_attempt_asks_three_gates_and_a_retry_the_budget_too() -> None:
    assert names(Bench(a_policy())) == (
        ["Circuit", "Bulkhead", "Ration"],
        ["Circuit", "Bulkhead", "Ration", "Budget"],
    )


def test_with_everything_on_each_stands_in_its_place() -> None:
    asked = ["Circuit", "Bulkhead", "Adaptive", "Ration", "Throttle"]

    assert names(Bench(ALL_ON)) == (asked, [*asked, "Budget"])


def test_an_open_circuit_takes_no_slot_and_spends_no_start() -> None:
    bench = Bench(a_policy(rate_limit=LIMIT, circuit_breaker={"mode": "ForcedOpen"}))

    assert not bench.goes()

    assert (bench.opens_at(), bench.gates.bulkhead.in_flight) == (NEVER, 0)
    assert bench.gates.throttle is not None
    assert bench.gates.throttle.opens_at(bench.now) == bench.now


def test_a_full_bulkhead_spends_no_start() -> None:
    bench = Bench(a_policy(rate_limit=LIMIT, bulkhead={"max_concurrent": 1}))
    bench.goes()

    assert not bench.goes()
    bench.lands(OK)

    assert bench.goes()


def test_retries_wait_for_the_budget_while_first_attempts_go() -> None:
    bench = Bench(a_policy(circuit_breaker={"enabled": False}, bulkhead={"max_concurrent": 4096}))
    while bench.goes(number=2):
        pass

    assert bench.opens_at(number=2) > bench.now
    assert bench.goes(number=1)


def test_what_starts_a_little_later_has_its_slot_at_once_and_pays_in_when_it_starts() -> None:
    bench = Bench(ALL_ON)
    first, again = Crossed(bench.now), Crossed(bench.now, number=2)
    budget = bench.gates.budget
    assert budget is not None
    before = budget.held(bench.now)

    for flight in (first, again):
        bench.gates.reserve(flight, bench.now)

    assert bench.gates.bulkhead.in_flight == 2
    assert bench.gates.opens_at(bench.now) == NEVER, "the burst of two is about to start"
    assert budget.held(bench.now) == pytest.approx(before - 1), "the next retry would take the same one"
    bench.gates.start(first, bench.now)
    bench.gates.hand_back(again, bench.now)
    assert bench.gates.bulkhead.in_flight == 1
    assert bench.opens_at() == bench.now, "one of the two did not start"
    assert budget.held(bench.now) == pytest.approx(before)


def test_flights_from_before_a_gate_came_or_went_land_as_well() -> None:
    bench = Bench(a_policy(bulkhead={"max_concurrent": 8}))
    for _ in range(8):
        bench.goes()

    bench.gates.follow(ALL_ON, bench.now)
    for _ in range(4):
        bench.lands(BAD)
    assert not bench.goes()  # four are still there, and the new limit is three
    bench.gates.follow(a_policy(), bench.now)
    for _ in range(4):
        bench.lands(OK)

    assert bench.gates.bulkhead.in_flight == 0


def test_what_a_gate_has_learnt_outlives_a_policy_that_keeps_it() -> None:
    bench = Bench(ALL_ON)
    while bench.goes():
        pass
    before = bench.opens_at()
    kept = bench.gates.told

    bench.gates.follow(a_policy(rate_limit=LIMIT, bulkhead={"max_concurrent": 7, "adaptive": ADAPTIVE}), bench.now)

    assert bench.gates.told == kept
    assert bench.opens_at() == before


def test_it_says_what_a_target_has() -> None:
    bench = Bench(a_policy())

    assert repr(bench.gates) == (
        "<Gates <Circuit Closed epoch=0 failures=0/0> <Bulkhead 0/64> <Ration 0 of <Pool 0/134217728 bytes>>"
        " <Budget 20% + 10/s, up to 100>>"
    )


POLICIES = [a_policy(), ALL_ON, a_policy(bulkhead={"max_concurrent": 2}), a_policy(retry={"budget": None})]


class GatesLife(RuleBasedStateMachine):
    """Whatever happens in whatever order, under whatever policy comes next: nothing is counted twice or forgotten."""

    @initialize(policy=st.sampled_from(POLICIES))
    def begins(self, policy: plan.Policy) -> None:
        self.bench = Bench(policy)

    @rule(eighths=st.integers(0, 16) | st.integers(0, 5000))
    def time_passes(self, eighths: int) -> None:
        self.bench.now += eighths / 8

    @rule(tries=st.integers(1, 20), number=st.integers(1, 2))
    def deliveries_want_to_go(self, tries: int, number: int) -> None:
        for _ in range(tries):
            limit = self.bench.gates.bulkhead.limit

            assert not self.bench.goes(number) or len(self.bench.flying) <= limit

    @precondition(lambda self: self.bench.flying)
    @rule(which=st.integers(0, 100), outcomes=st.lists(st.sampled_from([OK, OK, BAD]), min_size=1, max_size=8))
    def some_land(self, which: int, outcomes: list[Outcome]) -> None:
        for outcome in outcomes[: len(self.bench.flying)]:
            self.bench.lands(outcome, which % len(self.bench.flying))

    @rule(policy=st.sampled_from(POLICIES))
    def the_policy_changes(self, policy: plan.Policy) -> None:
        self.bench.gates.follow(policy, self.bench.now)

    @invariant()
    def the_bulkhead_knows_what_is_in_flight(self) -> None:
        if hasattr(self, "bench"):
            assert self.bench.gates.bulkhead.in_flight == len(self.bench.flying)

    def teardown(self) -> None:
        """A target that is well again is served, first attempts and retries."""
        if not hasattr(self, "bench"):
            return
        while self.bench.flying:
            self.bench.lands(OK)
        for number in (1, 2) * 10:
            at = self.bench.opens_at(number)
            assert at < NEVER
            self.bench.now = at
            assert self.bench.goes(number)
            self.bench.lands(OK)
        assert self.bench.gates.circuit.state.value == "Closed"


GatesLife.TestCase.settings = hypothesis.settings(max_examples=100, stateful_step_count=40)
TestGates = GatesLife.TestCase
