"""The circuit against a specification that shares no code with it (promise P11).

`Spec` says what a breaker is in the plainest way: it keeps every call since the last change and looks at them anew each
time. Hypothesis drives both through the same lives (attempts that start, land late or never, time that passes, rules
and modes that change) and compares what they let through. At the end of each life the target is well and nobody forces
anything, and the circuit must close.
"""

import typing

import hypothesis
import msgspec
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_crds import plan
from fanout_crds.breaker import CircuitMode
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
modes: st.SearchStrategy[CircuitMode] = st.sampled_from(typing.get_args(CircuitMode))
half_opens = st.sampled_from([(1, 1), (2, 1), (5, 3), (3, 3), (2, 4)]).map(
    lambda it: plan.HalfOpen(max_calls=it[0], success_threshold=it[1], max_wait=20.0)
)
breakers = st.fixed_dictionaries(
    {
        "window": windows,
        "minimum_calls": st.sampled_from([1, 4, 8, 1000]),  # 1000: only failures in a row can open it
        "failure_rate_threshold": st.integers(1, 100),
        "consecutive_failures": st.integers(0, 4),
        "slow_call_duration": st.sampled_from([0.0, 1.0, 3.0]),
        "slow_call_rate_threshold": st.sampled_from([25, 50, 100]) | st.integers(1, 100),
        "mode": st.sampled_from(["Auto", "Auto", "DryRun"]) | modes,
        "open_duration": st.sampled_from([1.0, 5.0, 30.0]),
        "max_open_duration": st.sampled_from([30.0, 70.0]),
        "half_open": half_opens,
    }
).map(lambda fields: changed(a_policy().circuit_breaker, fields))


class Call(typing.NamedTuple):
    """A call that told something about the target."""

    at: float
    failed: bool
    slow: bool


class Spec:
    """A circuit breaker as one would explain it."""

    def __init__(self, rule: plan.CircuitBreaker) -> None:
        self.rule = rule
        self.state = "Open" if rule.mode == "ForcedOpen" else "Closed"
        self.period = 0  # a new one with every change of state
        self.calls: list[Call] = []  # of this period under these rules
        self.row: list[bool] = []  # of this period: whether it failed
        self.opened = 0.0
        self.failed_probes = 0  # since it was last closed
        self.asked = 0.0  # since when probes are out
        self.probing: set[int] = set()
        self.good: list[Call] = []  # probes

    @property
    def counts(self) -> bool:
        return self.rule.mode in ("Auto", "DryRun")

    def allows(self, now: float) -> bool:
        match self.rule.mode:
            case "Auto":
                return self.would_allow(now)
            case "DryRun":
                self.would_allow(now)  # time passes for it all the same
                return True
            case "ForcedOpen":
                return False
            case _:
                return True

    def would_allow(self, now: float) -> bool:
        half_open = self.rule.half_open
        if self.state == "HalfOpen" and self.probing and now - self.asked >= half_open.max_wait:
            self.becomes("Open", now)
        if self.state == "Closed":
            return True
        if self.state == "Open":
            longest = max(self.rule.open_duration, self.rule.max_open_duration)
            return now >= self.opened + min(self.rule.open_duration * 2.0**self.failed_probes, longest)
        due = half_open.success_threshold - len(self.good)
        return len(self.probing) < min(half_open.max_calls, due)

    def starts(self, ticket: int, now: float) -> int | None:
        """The period that the attempt tells something about; None for one that only a dry run lets pass."""
        if self.counts and not self.would_allow(now):
            return None
        if self.state == "Open":
            self.becomes("HalfOpen", now)
        if self.state == "HalfOpen":
            self.asked = self.asked if self.probing else now
            self.probing.add(ticket)
        return self.period

    def lands(self, ticket: int, period: int | None, meaning: str, took: float, now: float) -> None:
        if period != self.period or not self.counts:
            return
        self.probing.discard(ticket)
        if meaning == "none":
            return
        call = Call(now, meaning == "bad", 0 < self.rule.slow_call_duration < took)
        if self.state == "HalfOpen":
            self.probed(call)
            return
        self.calls.append(call)
        self.row.append(call.failed)
        if self.broken(call):
            self.becomes("Open", now)

    def probed(self, call: Call) -> None:
        if call.failed:
            self.failed_probes += 1
            self.becomes("Open", call.at)
        else:
            self.good.append(call)
            self.judges(call.at)

    def judges(self, now: float) -> None:
        """Enough good probes decide, whether the last of them made it enough or a person did."""
        if len(self.good) < self.rule.half_open.success_threshold:
            return
        slow = self.too_slow(self.good)
        self.failed_probes = self.failed_probes + 1 if slow else 0
        self.becomes("Open" if slow else "Closed", now)

    def broken(self, last: Call) -> bool:
        """Whether *last* was the one too many: a good and quick call never is."""
        most = self.rule.consecutive_failures
        if most and len(self.row) >= most and all(self.row[-most:]):
            return True
        if self.rule.window.type == "Count":
            seen = self.calls[-int(self.rule.window.size) :]
        else:
            width = self.rule.window.size / BUCKETS
            seen = [call for call in self.calls if call.at // width > last.at // width - BUCKETS]
        failures = sum(call.failed for call in seen)
        too_many = last.failed and failures * 100 >= self.rule.failure_rate_threshold * len(seen)
        return len(seen) >= self.rule.minimum_calls and (too_many or (last.slow and self.too_slow(seen)))

    def too_slow(self, calls: list[Call]) -> bool:
        slow = sum(call.slow for call in calls)
        return slow > 0 and slow * 100 >= self.rule.slow_call_rate_threshold * len(calls)

    def becomes(self, state: str, now: float) -> None:
        self.state = state
        self.period += 1
        self.calls, self.row, self.probing, self.good = [], [], set(), []
        if state == "Open":
            self.opened = now

    def follows(self, rule: plan.CircuitBreaker, now: float) -> None:
        counted = self.counts
        self.rule = rule
        self.calls = []
        if not self.counts:
            self.row, self.failed_probes = [], 0
        wanted = "Open" if rule.mode == "ForcedOpen" else "Closed"
        if not (counted and self.counts) and self.state != wanted:
            self.failed_probes = 0
            self.becomes(wanted, now)
        elif self.state == "HalfOpen":
            self.judges(now)


class CircuitLife(RuleBasedStateMachine):
    """One target's life. Time moves in quarters of a second, so that no rounding comes between the two."""

    @initialize(breaker=breakers)
    def begins(self, breaker: plan.CircuitBreaker) -> None:
        self.now = 0.0
        self.spec = Spec(breaker)
        self.told: list[str] = [self.spec.state]
        self.legal = {("Closed", "Open"), ("Open", "HalfOpen"), ("HalfOpen", "Open"), ("HalfOpen", "Closed")}
        self.circuit = Circuit(breaker, lambda state: self.told.append(state.value))
        self.flying: list[tuple[int, Crossed, int | None]] = []
        self.tickets = 0

    @rule(quarters=st.integers(0, 8) | st.integers(0, 400))
    def time_passes(self, quarters: int) -> None:
        self.now += quarters / 4

    @rule()
    def the_time_comes_that_the_circuit_names(self) -> None:
        self.spec.allows(self.now)
        at = self.circuit.opens_at(self.now)
        if at < float("inf"):
            self.now = at

    @rule(ends=st.lists(st.sampled_from(EVIDENCE), max_size=12))
    def attempts_come_and_go(self, ends: list[tuple[Outcome, str]]) -> None:
        for one in ends:
            if self.goes():
                self.an_attempt_lands(len(self.flying) - 1, one)

    @rule(takes=st.lists(st.sampled_from([0.0, 1.0, 1.25, 4.0]), max_size=12), ends=st.sampled_from(EVIDENCE[:3]))
    def some_take_their_time(self, takes: list[float], ends: tuple[Outcome, str]) -> None:
        for seconds in takes:
            if self.goes():
                self.now += seconds
                self.an_attempt_lands(len(self.flying) - 1, ends)

    @rule(tries=st.integers(1, 6))
    def deliveries_want_to_go(self, tries: int) -> None:
        for _ in range(tries):
            self.goes()

    def goes(self) -> bool:
        at = self.circuit.opens_at(self.now)
        assert at >= self.now
        assert (at == self.now) == self.spec.allows(self.now)
        if at > self.now:
            assert (at < float("inf")) == self.spec.counts  # unless forced, it names a time at which to ask again
            return False
        self.tickets += 1
        flight = Crossed(self.now)
        self.circuit.enter(flight, self.now)
        self.flying.append((self.tickets, flight, self.spec.starts(self.tickets, self.now)))
        assert flight.probe == (self.spec.state == "HalfOpen" and self.spec.rule.mode == "Auto")
        if self.spec.state == "HalfOpen" and flight.epoch == self.circuit.epoch:
            probes = sum(flight.epoch == self.circuit.epoch for _, flight, _ in self.flying)
            assert probes <= self.circuit.rule.half_open.max_calls
        return True

    @precondition(lambda self: self.flying)
    @rule(which=st.integers(0, 1000), ends=st.sampled_from(EVIDENCE))
    def an_attempt_lands(self, which: int, ends: tuple[Outcome, str]) -> None:
        ticket, flight, period = self.flying.pop(which % len(self.flying))
        probes = self.spec.state == "HalfOpen" and period == self.spec.period
        self.circuit.leave(flight, ends[0], self.now)
        self.spec.lands(ticket, period, ends[1], self.now - flight.entered, self.now)
        held = self.circuit.failed_probe(flight, ends[0], self.now)
        if flight.probe and ends[1] == "bad" and self.spec.rule.mode in ("Auto", "ForcedOpen"):
            assert held == (self.spec.state == "Open" and not self.spec.allows(self.now))
            assert held or not probes
        else:
            assert not held

    @precondition(lambda self: self.flying)
    @rule(ends=st.sampled_from(EVIDENCE[2:4]))
    def everything_in_flight_fails(self, ends: tuple[Outcome, str]) -> None:
        while self.flying:
            self.an_attempt_lands(0, ends)

    @rule(window=windows, most=st.integers(0, 4))
    def the_rules_change(self, window: plan.Window, most: int) -> None:
        self.follow({"window": window, "consecutive_failures": most})

    @rule(half_open=half_opens, percent=st.sampled_from([25, 50, 100]))
    def what_is_asked_of_probes_changes(self, half_open: plan.HalfOpen, percent: int) -> None:
        self.follow({"half_open": half_open, "slow_call_rate_threshold": percent})

    @precondition(lambda self: self.spec.good)
    @rule(threshold=st.integers(1, 2))
    def a_person_finds_fewer_good_probes_enough(self, threshold: int) -> None:
        half_open = msgspec.structs.replace(self.spec.rule.half_open, success_threshold=threshold)
        self.follow({"half_open": half_open})

    @rule(mode=modes)
    def a_person_sets_the_mode(self, mode: CircuitMode) -> None:
        self.follow({"mode": mode, "enabled": mode != "Disabled"})

    def follow(self, changes: dict[str, object]) -> None:
        new = changed(self.spec.rule, changes)
        forced = not self.spec.counts
        self.circuit.follow(new, self.now)
        self.spec.follows(new, self.now)
        if forced or not self.spec.counts:
            self.legal.add(("Open", "Closed"))  # only a person does that

    @invariant()
    def both_are_in_the_same_state(self) -> None:
        assert self.told[-1] == self.spec.state == self.circuit.state.value

    @invariant()
    def what_the_outside_sees_is_what_it_does(self) -> None:
        mode, is_open = self.spec.rule.mode, self.spec.state == "Open"

        assert self.circuit.shown.value == ("Disabled" if mode == "Disabled" else self.spec.state)
        assert self.circuit.holds == (is_open and mode != "DryRun")
        assert (self.circuit.probe_at is not None) == (is_open and mode == "Auto")

    def teardown(self) -> None:
        if not hasattr(self, "circuit"):
            return
        self.a_target_that_is_well_again_is_served()
        self.everything_in_flight_fails(EVIDENCE[2])  # also probes that hang since long ago
        assert set(zip(self.told, self.told[1:], strict=False)) <= self.legal

    @rule()
    def a_target_that_is_well_again_is_served(self) -> None:
        """Even when everything in flight hangs for ever, unless somebody keeps its circuit open."""
        if self.spec.rule.mode == "ForcedOpen":
            self.a_person_sets_the_mode("Auto")
        for _ in range(20):
            if self.goes():
                self.an_attempt_lands(len(self.flying) - 1, EVIDENCE[0])
            if self.spec.state != "Closed":  # a dry run names no time: anything may always go
                self.now = self.circuit._admits_at(self.now)
        assert self.circuit.state.value == "Closed"


CircuitLife.TestCase.settings = hypothesis.settings(max_examples=300, stateful_step_count=50)
TestCircuit = CircuitLife.TestCase
