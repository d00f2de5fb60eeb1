"""The adaptive limit against a specification that shares no code with it (promise P13).

`Spec` says what Gradient2 is in the way and with the figures of Netflix' concurrency-limits. Hypothesis drives both
through the same lives. Both work in floats and round in other places: so they agree to a billionth, and after each
answer the specification takes over the limit, lest a rounding decide whether half of it is in flight.
"""

import hypothesis
import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_dispatcher.policies.adaptive import Adaptive
from fanout_dispatcher.policies.bulkhead import Bulkhead
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused
from tests.unit.dispatcher.policies.crossing import Crossed

ENDS: list[tuple[Outcome, bool]] = [  # whether it tells how long the target takes
    (Delivered(200), True),
    (Delivered(204), True),
    (Failed(fault=Fault.TIMEOUT), True),
    (Failed(status=503), False),
    (Failed(status=429), False),
    (Failed(fault=Fault.RESET), False),
    (Failed(fault=Fault.CONNECT_FAILURE), False),
    (Refused("closing"), False),
]
ALMOST = 1e-9

bounds = st.just(plan.Adaptive(min=2, initial=20, max=60)) | st.tuples(*[st.integers(1, 64)] * 3).map(
    lambda it: plan.Adaptive(**dict(zip(("min", "initial", "max"), sorted(it), strict=True)))
)
milliseconds = st.sampled_from([50, 100, 110, 200]) | st.integers(1, 60_000)
times = milliseconds.map(lambda it: it / 1000 + 0.00037)  # so that none is just the double of an average


class Spec:
    """Gradient2 as one would explain it."""

    def __init__(self, rule: plan.Adaptive) -> None:
        self.rule = rule
        self.limit = float(rule.initial)
        self.count = 0
        self.usual = 0.0  # how long answers take: plain for the first ten, exponential over 600 from then on

    def answers(self, took: float, in_flight: int) -> None:
        """*in_flight* with the one that has just landed."""
        self.count += 1
        if self.count <= 10:
            usual = ((self.count - 1) * self.usual + took) / self.count
        else:
            usual = (599 * self.usual + 2 * took) / 601
        self.usual = 0.95 * usual if took < usual / 2 else usual  # one far too high is of a time under load: it fades
        if 2 * in_flight < self.limit:
            return  # the target was hardly asked: nothing says that it would take more
        share = 1.0 if took <= 1.5 * usual else max(1.5 * usual / took, 0.5)
        aim = share * self.limit + 4
        self.moves_to(self.limit + (aim - self.limit) / 5)

    def moves_to(self, limit: float) -> None:
        self.limit = sorted((self.rule.min, limit, self.rule.max))[1]

    def follows(self, rule: plan.Adaptive) -> None:
        self.rule = rule
        self.moves_to(self.limit)


class AdaptiveLife(RuleBasedStateMachine):
    """One target's life behind both gates, in their order: the bulkhead counts, the adaptive limit learns."""

    @initialize(bounds=bounds, slots=st.sampled_from([64, 64, 8]))
    def begins(self, bounds: plan.Adaptive, slots: int) -> None:
        self.now = 0.0
        self.bulkhead = Bulkhead(slots)
        self.gate = Adaptive(bounds, self.bulkhead)
        self.spec = Spec(bounds)
        self.flying: list[Crossed] = []

    @rule(tries=st.integers(1, 80))
    def deliveries_want_to_go(self, tries: int) -> None:
        for _ in range(tries):
            self.goes()

    def goes(self) -> bool:
        at = self.gate.opens_at(self.now)
        assert at in (self.now, NEVER)
        assert (at == self.now) == (len(self.flying) + 1 <= self.spec.limit)
        if max(at, self.bulkhead.opens_at(self.now)) > self.now:
            return False
        flight = Crossed(self.now)
        self.bulkhead.enter(flight, self.now)
        self.gate.enter(flight, self.now)
        self.flying.append(flight)
        return True

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000), passed=times, ends=st.sampled_from(ENDS))
    def one_lands(self, which: int, passed: float, ends: tuple[Outcome, bool]) -> None:
        self.now += passed
        self.lands(which % len(self.flying), ends)

    def lands(self, which: int, ends: tuple[Outcome, bool]) -> None:
        if ends[1]:
            self.spec.answers(self.now - self.flying[which].entered, len(self.flying))
        flight = self.flying.pop(which)
        self.gate.leave(flight, ends[0], self.now)
        assert self.gate.limit == pytest.approx(self.spec.limit, rel=ALMOST)
        self.spec.limit = self.gate.limit
        self.bulkhead.leave(flight, ends[0], self.now)

    @rule(took=times, rounds=st.integers(1, 5), ends=st.sampled_from(ENDS))
    def as_many_go_as_may_and_all_take_so_long(self, took: float, rounds: int, ends: tuple[Outcome, bool]) -> None:
        for _ in range(rounds):
            while self.goes():
                pass
            self.now += took
            while self.flying:
                self.lands(0, ends)

    @rule(took=times, answers=st.integers(1, 20))
    def one_goes_at_a_time(self, took: float, answers: int) -> None:
        """While others hang, or alone: then the limit stays, whatever the answers."""
        for _ in range(answers):
            if self.goes():
                self.now += took
                self.lands(len(self.flying) - 1, ENDS[0])

    @rule(took=times)
    def one_lands_of_just_half_the_limit(self, took: float) -> None:
        half = int(self.spec.limit) // 2
        while len(self.flying) > half:
            self.lands(0, ENDS[3])
        while len(self.flying) < half and self.goes():
            pass
        self.now += took
        if self.flying:
            self.lands(0, ENDS[0])

    @rule(bounds=bounds)
    def the_rules_change(self, bounds: plan.Adaptive) -> None:
        self.gate.follow(bounds)
        self.spec.follows(bounds)

    @invariant()
    def both_have_the_same_limit_within_its_bounds(self) -> None:
        assert self.gate.limit == self.spec.limit
        assert self.gate.rule.min <= self.gate.limit <= self.gate.rule.max


AdaptiveLife.TestCase.settings = hypothesis.settings(max_examples=40, stateful_step_count=25, derandomize=True)
TestAdaptive = AdaptiveLife.TestCase
