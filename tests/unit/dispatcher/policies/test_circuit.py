"""The circuit's rules one by one; `test_circuit_model.py` looks for what these forget."""

import pytest

from fanout_dispatcher.policies.circuit import Circuit, CircuitState
from fanout_dispatcher.policies.gate import NEVER
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Refused
from tests.support.plans import a_policy, changed
from tests.unit.dispatcher.policies.crossing import Crossed

DEFAULT = a_policy().circuit_breaker
OK = Delivered(200)
BAD = Failed(status=503)


class Bench:
    """A circuit and what it told about itself."""

    def __init__(self, **changes: object) -> None:
        self.told: list[str] = []
        self.circuit = Circuit(changed(DEFAULT, changes), lambda state: self.told.append(state.value))

    def enter(self, now: float) -> Crossed:
        assert self.circuit.opens_at(now) == now
        flight = Crossed(now)
        self.circuit.enter(flight, now)
        return flight

    def ask(self, outcome: Outcome, now: float, *, took: float = 0.0) -> None:
        """One attempt, from start to landing, at the same moment unless it *took* longer."""
        self.circuit.leave(self.enter(now), outcome, now + took)

    def opened(self, now: float = 0.0) -> "Bench":
        for _ in range(5):
            self.ask(BAD, now)
        assert self.circuit.state is CircuitState.OPEN
        return self


# --- opening --------------------------------------------------------------------------------------------------------


def test_five_failures_in_a_row_open_it() -> None:
    bench = Bench()
    for _ in range(4):
        bench.ask(BAD, 1.0)
    assert bench.told == []

    bench.ask(BAD, 1.0)

    assert bench.told == ["Open"]
    assert bench.circuit.opens_at(1.0) == 31.0


def test_a_success_in_between_starts_the_row_afresh() -> None:
    bench = Bench(minimum_calls=1000)

    for number in range(100):
        bench.ask(OK if number % 5 == 4 else BAD, 1.0)

    assert bench.told == []


def test_half_of_at_least_twenty_calls_open_it() -> None:
    bench = Bench()
    for number in range(19):
        bench.ask(BAD if number % 2 else OK, 1.0)
    assert bench.told == []

    bench.ask(BAD, 1.0)

    assert bench.told == ["Open"]


def test_a_rate_just_below_the_threshold_keeps_it_closed() -> None:
    bench = Bench(failure_rate_threshold=51, consecutive_failures=0)

    for number in range(200):
        bench.ask(BAD if number % 2 else OK, 1.0)

    assert bench.told == []


def test_zero_consecutive_failures_leaves_only_the_rate() -> None:
    bench = Bench(consecutive_failures=0)

    for _ in range(19):
        bench.ask(BAD, 1.0)

    assert bench.told == []


def test_failures_that_have_left_the_window_do_not_count() -> None:
    bench = Bench(consecutive_failures=0, window={"type": "Time", "size": 10.0})
    for _ in range(19):
        bench.ask(BAD, 1.0)

    bench.ask(BAD, 100.0)

    assert bench.told == []


@pytest.mark.parametrize(
    "outcome",
    [
        Failed(status=400),
        Failed(status=404),
        Failed(status=408),
        Failed(status=302),
        Failed(fault=Fault.ANSWER_TOO_LARGE),
        Failed(fault=Fault.ADDRESS_REFUSED),
        Refused("closing"),
    ],
)
def test_what_is_no_evidence_moves_nothing(outcome: Outcome) -> None:
    bench = Bench(minimum_calls=1, failure_rate_threshold=1, consecutive_failures=1)

    for _ in range(50):
        bench.ask(outcome, 1.0)

    assert bench.told == []
    assert bench.circuit.window.calls == 0


@pytest.mark.parametrize("status", [429, 500, 501, 503, 505, 599])
@pytest.mark.parametrize("fault", [None, *Fault])
def test_what_is_evidence_is_the_policys_list(status: int, fault: Fault | None) -> None:
    outcome = Failed(status=status) if fault is None else Failed(fault=fault)
    expected = fault is None or fault.value in DEFAULT.fail_on_fault

    assert (Bench().circuit.evidence(outcome) is True) == expected


# --- open and half-open ---------------------------------------------------------------------------------------------


def test_open_refuses_until_its_time_is_over() -> None:
    bench = Bench().opened()

    assert [bench.circuit.opens_at(now) for now in (0.0, 29.9, 30.0, 45.0)] == [30.0, 30.0, 30.0, 45.0]


def test_no_more_probes_than_successes_are_missing_go_through() -> None:
    bench = Bench(half_open={"max_calls": 10, "success_threshold": 2}).opened()
    flights = [bench.enter(30.0) for _ in range(2)]

    assert all(flight.probe for flight in flights)
    assert bench.circuit.opens_at(30.0) == 90.0  # full: at the end of maxWait


def test_no_more_probes_than_max_calls_go_through() -> None:
    bench = Bench(half_open={"max_calls": 2, "success_threshold": 2}).opened()
    for _ in range(2):
        bench.enter(30.0)

    assert bench.circuit.opens_at(31.0) > 31.0


def test_where_more_successes_are_asked_for_than_probes_allowed_they_go_one_after_the_other() -> None:
    bench = Bench(half_open={"max_calls": 1, "success_threshold": 2}).opened()
    flight = bench.enter(30.0)
    assert bench.circuit.opens_at(30.0) > 30.0

    bench.circuit.leave(flight, OK, 30.0)
    bench.ask(OK, 30.0)

    assert bench.circuit.state is CircuitState.CLOSED


@pytest.mark.parametrize("outcome", [OK, Failed(status=404)])
def test_a_quiet_route_is_not_held_because_nobody_has_probed_for_long(outcome: Outcome) -> None:
    """Or with fewer events than probes in maxWait each would wait for a new open time, though the target is well."""
    bench = Bench().opened()
    bench.ask(outcome, 30.0)

    assert bench.circuit.opens_at(10_000.0) == 10_000.0
    for now in (10_000.0, 20_000.0, 30_000.0):
        bench.ask(OK, now)

    assert bench.told == ["Open", "HalfOpen", "Closed"]


def test_probes_without_a_verdict_open_it_again_after_max_wait() -> None:
    """Counted from the first of those that are still out."""
    bench = Bench().opened()
    bench.ask(OK, 30.0)
    bench.enter(50.0)
    bench.enter(100.0)

    assert bench.circuit.opens_at(109.9) == 110.0
    assert bench.circuit.opens_at(110.0) == 140.0
    assert bench.told == ["Open", "HalfOpen", "Open"]


def test_each_half_open_time_counts_its_own_successes() -> None:
    bench = Bench().opened()
    for _ in range(2):
        bench.ask(OK, 30.0)
    bench.ask(BAD, 30.0)

    bench.ask(OK, 90.0)

    assert bench.circuit.state is CircuitState.HALF_OPEN


def test_enough_good_probes_close_it() -> None:
    bench = Bench().opened()

    for _ in range(3):
        bench.ask(OK, 30.0)

    assert bench.told == ["Open", "HalfOpen", "Closed"]
    assert not bench.enter(30.0).probe


def test_one_bad_probe_opens_it_for_twice_as_long() -> None:
    bench = Bench().opened()
    bench.ask(OK, 30.0)

    bench.ask(BAD, 31.0)

    assert bench.circuit.opens_at(31.0) == 91.0


def test_the_doubling_ends_at_the_maximum() -> None:
    bench = Bench().opened()
    waits = []
    now = 0.0

    for _ in range(80):
        at = bench.circuit.opens_at(now)
        waits.append(at - now)
        bench.ask(BAD, at)
        now = at

    assert waits[:5] == [30.0, 60.0, 120.0, 240.0, 300.0]
    assert set(waits[4:]) == {300.0}


def test_closing_forgets_the_doubling() -> None:
    bench = Bench().opened()
    bench.ask(BAD, 30.0)
    for _ in range(3):
        bench.ask(OK, 90.0)

    bench.opened(100.0)

    assert bench.circuit.opens_at(100.0) == 130.0


def test_closing_forgets_the_failures_from_before() -> None:
    bench = Bench(consecutive_failures=0, minimum_calls=5, window={"type": "Count", "size": 100.0}).opened()
    for _ in range(3):
        bench.ask(OK, 30.0)

    for _ in range(4):
        bench.ask(BAD, 30.0)

    assert bench.told == ["Open", "HalfOpen", "Closed"]


def test_without_a_verdict_in_time_it_is_open_again() -> None:
    bench = Bench().opened()
    hung = bench.enter(30.0)

    assert bench.circuit.opens_at(90.0) == 120.0
    bench.circuit.leave(hung, OK, 91.0)
    assert bench.circuit.state is CircuitState.OPEN


def test_a_probe_that_proves_nothing_gives_its_place_to_another() -> None:
    bench = Bench(half_open={"max_calls": 1, "success_threshold": 1}).opened()

    bench.ask(Failed(status=404), 30.0)
    bench.ask(OK, 31.0)

    assert bench.circuit.state is CircuitState.CLOSED


def test_a_probe_has_failed_only_where_its_failure_finds_the_circuit_open() -> None:
    """Late, it may find that others have closed it, are probing, or that it is time to."""
    bench = Bench(half_open={"max_calls": 1, "success_threshold": 1}).opened()
    late = bench.enter(30.0)
    found = {}

    for state, now in [("half-open", 30.0), ("open again", 90.0), ("due", 120.0)]:
        bench.circuit.opens_at(now)
        found[state] = bench.circuit.failed_probe(late, BAD, now)
        assert not bench.circuit.failed_probe(late, Failed(status=404), now)
    bench.ask(OK, 120.0)
    found["closed"] = bench.circuit.failed_probe(late, BAD, 120.0)

    assert found == {"half-open": False, "open again": True, "due": False, "closed": False}


def test_an_answer_from_before_it_opened_moves_nothing() -> None:
    bench = Bench()
    early = [bench.enter(0.0) for _ in range(10)]
    bench.opened()
    bench.enter(30.0)  # half-open

    for flight in early[:5]:
        bench.circuit.leave(flight, OK, 30.0)
    for flight in early[5:]:
        bench.circuit.leave(flight, BAD, 30.0)

    assert bench.circuit.state is CircuitState.HALF_OPEN
    assert bench.circuit.successes == 0


# --- slow calls -----------------------------------------------------------------------------------------------------

SLOW: dict[str, object] = {"slow_call_duration": 2.0, "slow_call_rate_threshold": 50}


def test_without_slow_call_duration_no_call_is_slow() -> None:
    bench = Bench(slow_call_rate_threshold=1)

    for _ in range(50):
        bench.ask(OK, 1.0, took=1000.0)

    assert bench.told == []


def test_half_of_at_least_twenty_calls_being_slow_opens_it_although_they_succeed() -> None:
    bench = Bench(**SLOW)
    for number in range(19):
        bench.ask(OK, 1.0, took=2.1 if number % 2 else 2.0)
    assert bench.told == []

    bench.ask(OK, 1.0, took=2.1)

    assert bench.told == ["Open"]


def test_a_slow_failure_counts_as_both_and_a_slow_answer_that_blames_nobody_as_neither() -> None:
    bench = Bench(**SLOW)

    bench.ask(BAD, 1.0, took=3.0)
    bench.ask(Failed(status=404), 1.0, took=3.0)

    window = bench.circuit.window
    assert (window.calls, window.failures, window.slow) == (1, 1, 1)


def test_probes_that_are_mostly_slow_open_it_again_for_twice_as_long() -> None:
    bench = Bench(**SLOW).opened()

    for took in (0.0, 3.0, 3.0):
        bench.ask(OK, 30.0, took=took)

    assert bench.told == ["Open", "HalfOpen", "Open"]
    assert bench.circuit.opens_at(33.0) == 33.0 + 60.0


def test_each_half_open_time_counts_its_own_slow_probes() -> None:
    bench = Bench(**SLOW).opened()
    for took in (3.0, 3.0, 3.0):
        bench.ask(OK, 30.0, took=took)

    for _ in range(3):
        bench.ask(OK, 100.0)

    assert bench.told == ["Open", "HalfOpen", "Open", "HalfOpen", "Closed"]


def test_a_few_slow_probes_do_not_keep_it_from_closing() -> None:
    bench = Bench(**SLOW).opened()

    for took in (0.0, 3.0, 0.0):
        bench.ask(OK, 30.0, took=took)

    assert bench.told == ["Open", "HalfOpen", "Closed"]


# --- modes ----------------------------------------------------------------------------------------------------------


def test_forced_open_never_asks_and_names_no_time() -> None:
    bench = Bench(mode="ForcedOpen")

    assert bench.circuit.opens_at(1e9) == NEVER
    assert (bench.circuit.shown, bench.circuit.holds, bench.circuit.probe_at) == (CircuitState.OPEN, True, None)
    assert bench.told == []  # it began so


def test_forcing_it_open_tells_so_and_ceasing_to_closes_it() -> None:
    bench = Bench()

    bench.circuit.follow(changed(DEFAULT, {"mode": "ForcedOpen"}), 1.0)
    bench.circuit.follow(DEFAULT, 1.0)

    assert bench.told == ["Open", "Closed"]
    assert bench.circuit.opens_at(1.0) == 1.0


def test_a_new_address_does_not_open_what_a_person_has_closed_the_door_to() -> None:
    bench = Bench(mode="ForcedOpen")

    bench.circuit.forget()

    assert bench.circuit.opens_at(1.0) == NEVER


def test_forced_closed_asks_whatever_the_target_answers_and_is_shown_as_closed() -> None:
    bench = Bench(mode="ForcedClosed")

    for _ in range(100):
        bench.ask(BAD, 1.0)

    assert (bench.told, bench.circuit.shown) == ([], CircuitState.CLOSED)


def test_what_happened_while_it_was_forced_is_forgotten_afterwards() -> None:
    bench = Bench()
    for _ in range(4):
        bench.ask(BAD, 1.0)

    bench.circuit.follow(changed(DEFAULT, {"mode": "ForcedClosed"}), 1.0)
    bench.circuit.follow(DEFAULT, 1.0)
    bench.ask(BAD, 1.0)

    assert bench.told == []


def test_a_dry_run_shows_the_states_it_would_have_and_refuses_nothing() -> None:
    bench = Bench(mode="DryRun").opened()
    for _ in range(10):
        bench.ask(BAD, 29.0)
    assert (bench.told, bench.circuit.holds) == (["Open"], False)

    for _ in range(3):
        bench.ask(OK, 30.0)

    assert bench.told == ["Open", "HalfOpen", "Closed"]


def test_what_a_dry_run_would_have_refused_teaches_it_nothing() -> None:
    bench = Bench(mode="DryRun").opened()
    early = bench.enter(29.0)
    flights = [bench.enter(30.0) for _ in range(10)]  # the first three are those it would have let through

    bench.circuit.leave(early, BAD, 31.0)
    for flight in flights[3:]:
        bench.circuit.leave(flight, BAD, 31.0)

    assert bench.told == ["Open", "HalfOpen"]
    assert not any(flight.probe for flight in flights)  # to the delivery each is an attempt like any other


def test_a_dry_run_that_is_over_goes_on_from_the_state_it_had() -> None:
    bench = Bench(mode="DryRun").opened()

    bench.circuit.follow(DEFAULT, 1.0)

    assert bench.circuit.opens_at(1.0) == 30.0


# --- between entering and starting ----------------------------------------------------------------------------------


def test_a_flight_that_entered_before_it_opened_has_lapsed_until_it_is_closed_again() -> None:
    bench = Bench()
    flight = bench.enter(0.0)
    assert not bench.circuit.lapsed(flight)

    bench.opened()
    assert bench.circuit.lapsed(flight)

    probe = bench.enter(30.0)
    assert (bench.circuit.lapsed(flight), bench.circuit.lapsed(probe)) == (True, False)
    bench.circuit.leave(probe, OK, 30.0)
    bench.ask(OK, 30.0)
    bench.ask(OK, 30.0)
    assert not bench.circuit.lapsed(flight)


def test_in_a_dry_run_no_flight_lapses() -> None:
    bench = Bench(mode="DryRun")
    flight = bench.enter(0.0)

    bench.opened()

    assert not bench.circuit.lapsed(flight)


# --- new rules ------------------------------------------------------------------------------------------------------


def test_a_disabled_circuit_asks_always_and_learns_nothing() -> None:
    bench = Bench(enabled=False)

    for _ in range(100):
        bench.ask(BAD, 1.0)

    assert bench.told == []


def test_switching_it_off_closes_it() -> None:
    bench = Bench().opened()

    bench.circuit.follow(changed(DEFAULT, {"enabled": False}), 1.0)

    assert bench.circuit.opens_at(1.0) == 1.0


def test_new_rules_keep_the_state() -> None:
    bench = Bench().opened()

    bench.circuit.follow(changed(DEFAULT, {"consecutive_failures": 50}), 1.0)

    assert bench.circuit.opens_at(1.0) == 30.0


@pytest.mark.parametrize("threshold", [1, 2])
def test_probes_that_new_rules_find_enough_close_it_though_no_further_one_lands(threshold: int) -> None:
    bench = Bench(half_open={"success_threshold": 3, "max_calls": 3}).opened()
    for _ in range(2):
        bench.ask(OK, 30.0)

    bench.circuit.follow(changed(DEFAULT, {"half_open": {"success_threshold": threshold}}), 31.0)

    assert bench.told == ["Open", "HalfOpen", "Closed"]
    assert bench.circuit.opens_at(31.0) == 31.0


def test_probes_that_new_rules_find_enough_and_too_slow_open_it_again_for_twice_as_long() -> None:
    bench = Bench(**SLOW).opened()
    for took in (0.0, 3.0):
        bench.ask(OK, 30.0, took=took)

    bench.circuit.follow(changed(DEFAULT, SLOW | {"half_open": {"success_threshold": 2}}), 40.0)

    assert bench.told == ["Open", "HalfOpen", "Open"]
    assert bench.circuit.opens_at(40.0) == 40.0 + 60.0


def test_probes_that_are_still_too_few_go_on_under_new_rules() -> None:
    bench = Bench().opened()
    bench.ask(OK, 30.0)

    bench.circuit.follow(changed(DEFAULT, {"half_open": {"success_threshold": 2}}), 31.0)
    bench.ask(OK, 31.0)

    assert bench.told == ["Open", "HalfOpen", "Closed"]


def test_forgetting_closes_an_open_circuit() -> None:
    bench = Bench().opened()

    bench.circuit.forget()

    assert bench.circuit.opens_at(1.0) == 1.0
    assert bench.told == ["Open", "Closed"]


def test_forgetting_takes_back_what_a_closed_circuit_has_counted() -> None:
    bench = Bench(minimum_calls=6)
    for _ in range(4):
        bench.ask(BAD, 1.0)

    bench.circuit.forget()
    for _ in range(4):
        bench.ask(BAD, 1.0)

    assert bench.told == []


def test_after_forgetting_what_was_in_flight_says_nothing() -> None:
    """It was sent to the old address."""
    bench = Bench()
    flights = [bench.enter(1.0) for _ in range(10)]

    bench.circuit.forget()
    for flight in flights:
        bench.circuit.leave(flight, BAD, 2.0)

    assert bench.told == []


def test_it_says_how_it_stands() -> None:
    assert repr(Bench().opened().circuit) == "<Circuit Open epoch=1 failures=0/0>"
