"""The retry schedule is the declared one (promise P9): growth, cap, jitter, and no number that breaks it."""

import random
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds import plan, policy, retry
from fanout_crds.builtin import complete
from fanout_dispatcher.policies.backoff import backoff
from tests.support.plans import a_policy, changed

NO_JITTER = changed(a_policy().retry.backoff, {"jitter": "None"})

rules = st.builds(
    plan.Backoff,
    type=st.sampled_from(["Constant", "Linear", "Exponential"]),
    base_delay=st.floats(0.001, 100.0),
    multiplier=st.floats(1.0, 100.0),
    max_delay=st.floats(100.0, 86_400.0),
    jitter=st.sampled_from(["None", "Equal", "Full"]),
)
schedules = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=64)


def waits(rule: plan.Backoff, retries: int) -> list[float]:
    rng = random.Random(1)
    return [backoff(rule, retry, rng) for retry in range(1, retries + 1)]


def test_the_default_doubles_from_half_a_second_to_five_minutes() -> None:
    assert waits(NO_JITTER, 12) == [0.5, 1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]


def test_constant_waits_the_base_delay_every_time() -> None:
    assert waits(changed(NO_JITTER, {"type": "Constant"}), 3) == [0.5, 0.5, 0.5]


def test_linear_grows_by_the_base_delay_and_its_first_wait_is_not_zero() -> None:
    assert waits(changed(NO_JITTER, {"type": "Linear", "max_delay": 1.2}), 4) == [0.5, 1.0, 1.2, 1.2]


def scheduled(waits: typing.Sequence[float], jitter: str = "None") -> plan.Backoff:
    """The plan's backoff for such a schedule in a manifest."""
    said = retry.Backoff(type="Schedule", schedule=tuple(waits), jitter=typing.cast(retry.Jitter, jitter))
    return complete(policy.Policy(retry=retry.Retry(backoff=said)), "Journal").retry.backoff


def test_a_schedule_waits_what_it_names_also_where_a_wait_is_shorter_than_the_one_before() -> None:
    assert waits(scheduled([1.0, 7200.0, 60.0]), 3) == [1.0, 7200.0, 60.0]


@given(schedule=schedules, jitter=st.sampled_from(["None", "Equal", "Full"]), seed=st.integers())
def test_jitter_spreads_each_wait_of_a_schedule_below_itself(schedule: list[float], jitter: str, seed: int) -> None:
    rule = scheduled(schedule, jitter)
    least = {"None": 1.0, "Equal": 0.5, "Full": 0.0}[jitter]

    for number, wait in enumerate(schedule, 1):
        assert wait * least <= backoff(rule, number, random.Random(seed)) <= wait


@given(schedule=schedules, retries=st.integers(1, 10**9))
def test_no_retry_number_is_beyond_a_schedule(schedule: list[float], retries: int) -> None:
    assert backoff(scheduled(schedule), retries, random.Random(1)) in schedule


@pytest.mark.parametrize("multiplier", [1.01, 1.1, 1.5, 100.0])
def test_however_slowly_it_grows_it_reaches_the_cap(multiplier: float) -> None:
    rule = changed(NO_JITTER, {"multiplier": multiplier})

    assert backoff(rule, 1000, random.Random(1)) == rule.max_delay


def test_the_cap_comes_before_the_jitter() -> None:
    """Applied after it, half of all waits and more would be the cap itself."""
    rule = changed(NO_JITTER, {"jitter": "Full"})
    rng = random.Random(1)

    drawn = [backoff(rule, 30, rng) for _ in range(10_000)]

    assert len(set(drawn)) == len(drawn)
    assert 0.45 < sum(wait < rule.max_delay / 2 for wait in drawn) / len(drawn) < 0.55


def test_equal_jitter_keeps_half_of_the_wait() -> None:
    rule = changed(NO_JITTER, {"jitter": "Equal"})
    rng = random.Random(1)

    drawn = [backoff(rule, 3, rng) for _ in range(10_000)]

    assert 1.0 <= min(drawn) < 1.01
    assert 1.99 < max(drawn) <= 2.0


def test_a_hundred_thousand_draws_stay_inside_their_bounds() -> None:
    rng = random.Random(20261123)
    default = a_policy().retry.backoff

    out_of_bounds = 0
    for number in range(100_000):
        retry = number % 100 + 1
        most = min(0.5 * 2.0 ** (retry - 1), 300.0)
        out_of_bounds += not 0.0 <= backoff(default, retry, rng) <= most

    assert out_of_bounds == 0


@given(rule=rules, retry=st.integers(1, 10**12), seed=st.integers())
def test_no_rule_and_no_retry_number_leaves_the_bounds(rule: plan.Backoff, retry: int, seed: int) -> None:
    wait = backoff(rule, retry, random.Random(seed))

    assert 0.0 <= wait <= rule.max_delay


@given(rule=rules, retry=st.integers(1, 5000))
def test_without_jitter_a_later_wait_is_never_shorter(rule: plan.Backoff, retry: int) -> None:
    steady = changed(rule, {"jitter": "None"})
    rng = random.Random(1)

    assert backoff(steady, retry, rng) <= backoff(steady, retry + 1, rng)


def test_the_same_seed_draws_the_same_waits() -> None:
    assert waits(a_policy().retry.backoff, 50) == waits(a_policy().retry.backoff, 50)
