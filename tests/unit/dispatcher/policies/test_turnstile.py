"""What comes in is never above a route's limit, in no window and for no key (P12), and memory stays bounded."""

import itertools
from fractions import Fraction

import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from fanout_crds import plan
from fanout_dispatcher.policies import turnstile as module
from fanout_dispatcher.policies.turnstile import Passage, Turnstile, turnstile, whole

KEYS = (b"a", b"b", b"c")
limits = st.builds(
    plan.AcceptRate,
    requests=st.integers(1, 1000),
    per=st.floats(0.001, 3600.0),
    burst=st.integers(1, 100),
    key=st.just("Client"),
)
exact = st.builds(  # an interval that floats hold exactly, so that model and turnstile must agree to the instant
    plan.AcceptRate,
    requests=st.sampled_from([1, 2, 4, 16]),
    per=st.sampled_from([0.25, 1.0, 4.0, 64.0]),
    burst=st.integers(1, 12),
    key=st.just("Client"),
)


def rate(requests: int, per: float = 1.0, burst: int = 1, **changes: str) -> plan.AcceptRate:
    return plan.AcceptRate(**{"requests": requests, "per": per, "burst": burst, "key": "Client"} | changes)  # type: ignore[arg-type]


def test_without_a_limit_there_is_no_turnstile() -> None:
    assert turnstile(None, Turnstile(rate(1)), 0.0) is None


def test_a_burst_comes_in_at_once_and_the_next_one_is_told_when() -> None:
    gate = Turnstile(rate(10, burst=3))

    told = [gate.ask(b"a", 100.0) for _ in range(4)]

    assert [one.left for one in told] == [2, 1, 0, 0]
    assert [one.wait for one in told] == [0, 0, 0, pytest.approx(0.1)]
    assert told[2].full == pytest.approx(0.3)


def test_who_comes_back_when_told_is_let_in() -> None:
    gate = Turnstile(rate(3, per=7.0, burst=2))
    now = 0.1

    for _ in range(200):
        if (wait := gate.ask(b"a", now).wait) > 0:
            now += wait
            assert gate.ask(b"a", now + 1e-9).wait == 0


def test_hammering_costs_nothing_but_the_answer() -> None:
    gate = Turnstile(rate(1, per=10.0))
    gate.ask(b"a", 0.0)

    for tenth in range(1, 100):
        assert gate.ask(b"a", tenth / 10).wait > 0

    assert gate.ask(b"a", 10.0).wait == 0


def test_one_key_takes_nothing_from_another() -> None:
    gate = Turnstile(rate(1, per=60.0))
    gate.ask(b"a", 0.0)

    assert (gate.ask(b"a", 0.0).wait, gate.ask(b"b", 0.0).wait) == (60.0, 0.0)


def test_keys_that_are_as_good_as_new_go_as_others_come() -> None:
    gate = Turnstile(rate(1))
    for number in range(100):
        gate.ask(b"%d" % number, 0.0)

    for number in range(100):
        gate.ask(b"later %d" % number, 50.0 + number)

    assert len(gate.even) <= 2


def test_beyond_the_bound_the_quietest_key_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST", 3)
    gate = Turnstile(rate(1, per=60.0))
    for key in (b"a", b"b", b"c"):
        gate.ask(key, 0.0)
    assert gate.ask(b"a", 1.0).wait > 0, "it has been asked for: b is the quietest now"

    gate.ask(b"d", 1.0)

    assert len(gate.even) == 3
    assert (gate.ask(b"a", 1.0).wait > 0, gate.ask(b"b", 1.0).wait) == (True, 0)


@given(rule=limits, asked=st.lists(st.tuples(st.sampled_from(KEYS), st.floats(0.0, 10.0)), max_size=80))
def test_in_every_window_of_any_length_no_more_come_in_than_the_limit_and_the_burst(
    rule: plan.AcceptRate, asked: list[tuple[bytes, float]]
) -> None:
    gate, now = Turnstile(rule), 0.0
    came: dict[bytes, list[float]] = {key: [] for key in KEYS}

    for key, pause in asked:
        now += pause * rule.per / rule.requests
        if gate.ask(key, now).wait == 0:
            came[key].append(now)

    for times in came.values():
        for first, last in itertools.combinations(range(len(times)), 2):
            most = rule.requests * (times[last] - times[first]) / rule.per + rule.burst
            assert last - first + 1 <= most + 1e-6


def test_a_new_limit_keeps_what_was_spent_and_gives_no_second_burst() -> None:
    before = Turnstile(rate(1, burst=10))
    for _ in range(10):
        before.ask(b"a", 100.0)

    after = turnstile(rate(2, burst=10), before, 100.0)

    assert after is before
    assert after.ask(b"a", 100.0) == Passage(0.5, 0, 5.0)
    assert repr(after) == "<Turnstile 2/1s burst=10 keys=1>"


def test_when_keys_mean_another_thing_all_begin_anew() -> None:
    gate = Turnstile(rate(1, per=60.0))
    gate.ask(b"a", 0.0)

    gate.follow(rate(1, per=60.0, key="Header", header="x-tenant"), 1.0)

    assert gate.ask(b"a", 1.0).wait == 0


@pytest.mark.parametrize(("seconds", "said"), [(0.0, 1), (0.2, 1), (1.0, 1), (1.1, 2), (59.5, 60)])
def test_headers_have_whole_seconds_that_are_never_too_early(seconds: float, said: int) -> None:
    assert whole(seconds) == said


class TurnstileLife(RuleBasedStateMachine):
    """The turnstile against a bucket of tokens for each key that is counted exactly."""

    @initialize(rule=exact)
    def begins(self, rule: plan.AcceptRate) -> None:
        self.now = 0.0
        self.gate = Turnstile(rule)
        self.rate = Fraction(rule.requests) / Fraction(rule.per)
        self.tokens = dict.fromkeys(KEYS, Fraction(rule.burst))

    @rule(eighths=st.integers(0, 8) | st.integers(0, 10_000))
    def time_passes(self, eighths: int) -> None:
        self.now += eighths / 8
        most = Fraction(self.gate.rule.burst)
        self.tokens = {key: min(most, have + Fraction(eighths, 8) * self.rate) for key, have in self.tokens.items()}

    @rule(key=st.sampled_from(KEYS), tries=st.integers(1, 15))
    def requests_come(self, key: bytes, tries: int) -> None:
        for _ in range(tries):
            told, have = self.gate.ask(key, self.now), self.tokens[key]
            assert Fraction(told.wait) == max(Fraction(0), 1 - have) / self.rate
            if not told.wait:
                self.tokens[key] = have - 1
                assert told.left == int(have - 1)


TurnstileLife.TestCase.settings = hypothesis.settings(max_examples=100, stateful_step_count=40)
TestTurnstile = TurnstileLife.TestCase
