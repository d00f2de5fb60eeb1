"""The circuit against a specification that shares no code with it (promise P11).

`Spec` says what a breaker is in the plainest way: it keeps every call since the last change and looks at them anew each
time. Hypothesis drives both through the same lives (attempts that start, land late or never, time that passes, rules
that change) and compares what they let through. At the end of each life the target is well, and the circuit must close.
"""

import hypothesis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_dispatcher.policies.circuit import Circuit
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused
from tests.support.plans import a_policy, changed
from tests.unit.dispatcher.policies.crossing import Crossed

BUCKETS = 10
EVIDENCE: list[tuple[Outcome, str]] = [
    (Delivered(200), "good"),
    (Delivered(204), "good"),
    (Failed(status=503), "bad"),
    (Failed(status=429), "bad"),
    (Failed(fault=Fault.TIMEOUT), "bad"),
    (Failed(fault=Fault.CONNECT_FAILURE), "bad"),
    (Failed(status=404), "none"),
    (Failed(status=302), "none"),
    (Failed(fault=Fault.ANSWER_TOO_LARGE), "none"),
    (Refused("closing"), "none"),
]

windows = st.builds(plan.Window, type=st.just("Count"), size=st.integers(1, 12).map(float))
windows |= st.builds(plan.Window, type=st.just("Time"), size=st.sampled_from([2.5, 10.0, 40.0]))
breakers = st.fixed_dictionaries(
    {
        "window": windows,
        "minimum_calls": st.sampled_from([1, 4, 8, 1000]),  # 1000: only failures in a row can open it
        "failure_rate_threshold": st.integers(1, 100),
        "consecutive_failures": st.integers(0, 4),
        "open_duration": st.sampled_from([1.0, 5.0, 30.0]),
        "max_open_duration": st.sampled_from([30.0, 70.0]),
        "half_open": st.sampled_from([(1, 1), (2, 1), (5, 3), (3, 3), (2, 4)]).map(
            lambda it: plan.HalfOpen(max_calls=it[0], success_threshold=it[1], max_wait=20.0)
        ),
    }
).map(lambda fields: changed(a_policy().circuit_breaker, fields))


class Spec:
    """A circuit breaker as one would explain it."""

    def __init__(self, rule: plan.CircuitBreaker) -> None:
        self.rule = rule
        self.state = "Closed"
        self.period = 0  # a new one with every change of state
        self.calls: list[tuple[float, bool]] = []  # of this period under these rules: when, and whether it failed
        self.row: list[bool] = []  # of this period
        self.opened = 0.0
        self.failed_probes = 0  # since it was last closed
        self.half_opened = 0.0
        self.probing: set[int] = set()
        self.good = 0

    def allows(self, now: float) -> bool:
        half_open = self.rule.half_open
        if self.state == "HalfOpen" and now - self.half_opened >= half_open.max_wait:
            self.becomes("Open", now)
        if self.state == "Closed":
            return True
        if self.state == "Open":
            longest = max(self.rule.open_duration, self.rule.max_open_duration)
            return now >= self.opened + min(self.rule.open_duration * 2.0**self.failed_probes, longest)
        return len(self.probing) < half_open.max_calls and len(self.probing) + self.good < half_open.success_threshold

    def starts(self, ticket: int, now: float) -> int:
        if self.state == "Open":
            self.becomes("HalfOpen", now)
        if self.state == "HalfOpen":
            self.probing.add(ticket)
        return self.period

    def lands(self, ticket: int, period: int, meaning: str, now: float) -> None:
        if period != self.period:
            return
        self.probing.discard(ticket)
        if meaning == "none":
            return
        if self.state == "HalfOpen":
            if meaning == "bad":
                self.failed_probes += 1
                self.becomes("Open", now)
                return
            self.good += 1
            if self.good >= self.rule.half_open.success_threshold:
                self.failed_probes = 0
                self.becomes("Closed", now)
            return
        self.calls.append((now, meaning == "bad"))
        self.row.append(meaning == "bad")
        if meaning == "bad" and self.broken(now):
            self.becomes("Open", now)

    def broken(self, now: float) -> bool:
        most = self.rule.consecutive_failures
        if most and len(self.row) >= most and all(self.row[-most:]):
            return True
        if self.rule.window.type == "Count":
            seen = [failed for _, failed in self.calls[-int(self.rule.window.size) :]]
        else:
            width = self.rule.window.size / BUCKETS
            seen = [failed for at, failed in self.calls if at // width > now // width - BUCKETS]
        return len(seen) >= self.rule.minimum_calls and sum(seen) * 100 >= self.rule.failure_rate_threshold * len(seen)

    def becomes(self, state: str, now: float) -> None:
        self.state = state
        self.period += 1
        self.calls, self.row, self.probing, self.good = [], [], set(), 0
        if state == "Open":
            self.opened = now
        elif state == "HalfOpen":
            self.half_opened = now


class CircuitLife(RuleBasedStateMachine):
    """One target's life. Time moves in quarters of a second, so that no rounding comes between the two."""

    @initialize(breaker=breakers)
    def begins(self, breaker: plan.CircuitBreaker) -> None:
        self.now = 0.0
        self.told: list[str] = ["Closed"]
        self.circuit = Circuit(breaker, lambda state: self.told.append(state.value))
        self.spec = Spec(breaker)
        self.flying: list[tuple[int, Crossed, int]] = []
        self.tickets = 0

    @rule(quarters=st.integers(0, 8) | st.integers(0, 400))
    def time_passes(self, quarters: int) -> None:
        self.now += quarters / 4

    @rule()
    def the_time_comes_that_the_circuit_names(self) -> None:
        self.spec.allows(self.now)
        self.now = self.circuit.opens_at(self.now)

    @rule(ends=st.lists(st.sampled_from(EVIDENCE), max_size=12))
    def attempts_come_and_go(self, ends: list[tuple[Outcome, str]]) -> None:
        for one in ends:
            if self.goes():
                self.an_attempt_lands(len(self.flying) - 1, one)

    @rule(tries=st.integers(1, 6))
    def deliveries_want_to_go(self, tries: int) -> None:
        for _ in range(tries):
            self.goes()

    def goes(self) -> bool:
        at = self.circuit.opens_at(self.now)
        assert at >= self.now
        assert (at == self.now) == self.spec.allows(self.now)
        if at > self.now:
            assert at < float("inf")  # it always names a time at which to ask again
            return False
        self.tickets += 1
        flight = Crossed()
        self.circuit.enter(flight, self.now)
        self.flying.append((self.tickets, flight, self.spec.starts(self.tickets, self.now)))
        assert flight.probe == (self.spec.state == "HalfOpen")
        return True

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000), ends=st.sampled_from(EVIDENCE))
    def an_attempt_lands(self, which: int, ends: tuple[Outcome, str]) -> None:
        ticket, flight, period = self.flying.pop(which % len(self.flying))
        self.circuit.leave(flight, ends[0], self.now)
        self.spec.lands(ticket, period, ends[1], self.now)

    @precondition(lambda self: self.flying)
    @rule(ends=st.sampled_from(EVIDENCE[2:4]))
    def everything_in_flight_fails(self, ends: tuple[Outcome, str]) -> None:
        while self.flying:
            self.an_attempt_lands(0, ends)

    @rule(window=windows, most=st.integers(0, 4))
    def the_rules_change(self, window: plan.Window, most: int) -> None:
        new = changed(self.spec.rule, {"window": window, "consecutive_failures": most})
        self.circuit.follow(new)
        self.spec.rule = new
        self.spec.calls = []

    @invariant()
    def both_are_in_the_same_state(self) -> None:
        assert self.told[-1] == self.spec.state == self.circuit.state.value

    @invariant()
    def no_more_probes_than_allowed_are_in_flight(self) -> None:
        probes = sum(flight.probe and flight.epoch == self.circuit.epoch for _, flight, _ in self.flying)

        assert probes <= self.circuit.rule.half_open.max_calls

    def teardown(self) -> None:
        if not hasattr(self, "circuit"):
            return
        legal = {("Closed", "Open"), ("Open", "HalfOpen"), ("HalfOpen", "Open"), ("HalfOpen", "Closed")}
        assert set(zip(self.told, self.told[1:], strict=False)) <= legal
        self.a_target_that_is_well_again_is_served()

    @rule()
    def a_target_that_is_well_again_is_served(self) -> None:
        """Even when everything in flight hangs for ever."""
        for _ in range(20):
            if self.goes():
                self.an_attempt_lands(len(self.flying) - 1, EVIDENCE[0])
            self.now = self.circuit.opens_at(self.now)
        assert self.circuit.state.value == "Closed"


CircuitLife.TestCase.settings = hypothesis.settings(max_examples=250, stateful_step_count=50, deadline=None)
TestCircuit = CircuitLife.TestCase
