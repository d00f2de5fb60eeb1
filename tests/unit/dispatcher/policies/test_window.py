"""Sliding windows against the plainest possible statement of what they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds import plan
from fanout_dispatcher.policies.window import BUCKETS, CountWindow, TimeWindow, window

# quarters of a second since the last, failed, slow
calls = st.lists(st.tuples(st.integers(0, 8), st.booleans(), st.booleans()), max_size=200)
Steps = list[tuple[int, bool, bool]]


def counts(seen: TimeWindow | CountWindow) -> tuple[int, int, int]:
    return seen.calls, seen.failures, seen.slow


def test_the_rule_says_which_kind() -> None:
    assert isinstance(window(plan.Window(type="Time", size=30.0)), TimeWindow)
    assert isinstance(window(plan.Window(type="Count", size=100.0)), CountWindow)


@given(calls)
def test_a_time_window_holds_the_calls_of_its_ten_newest_buckets(steps: Steps) -> None:
    seen = TimeWindow(10.0)
    history: Steps = []
    quarters = 0

    for passed, failed, slow in steps:
        quarters += passed
        seen.record(failed, slow, quarters / 4)
        history.append((quarters // 4, failed, slow))
        inside = [one for one in history if one[0] > quarters // 4 - BUCKETS]

        assert counts(seen) == (len(inside), sum(one[1] for one in inside), sum(one[2] for one in inside))


@given(calls, st.integers(1, 20))
def test_a_count_window_holds_the_newest_calls(steps: Steps, size: int) -> None:
    seen = CountWindow(size)

    for number, (_, failed, slow) in enumerate(steps, 1):
        seen.record(failed, slow, 0.0)
        inside = steps[:number][-size:]

        assert counts(seen) == (len(inside), sum(one[1] for one in inside), sum(one[2] for one in inside))


def test_a_time_window_keeps_ten_buckets_whatever_it_counts() -> None:
    seen = TimeWindow(10.0)

    for number in range(10_000):
        seen.record(True, True, number / 10)

    assert len(seen.buckets) <= BUCKETS


def test_a_long_silence_empties_a_time_window() -> None:
    seen = TimeWindow(10.0)
    for _ in range(5):
        seen.record(True, True, 1.0)

    seen.record(False, False, 1000.0)

    assert counts(seen) == (1, 0, 0)


@pytest.mark.parametrize("seen", [TimeWindow(10.0), CountWindow(10)])
def test_cleared_is_as_new(seen: TimeWindow | CountWindow) -> None:
    for number in range(100):
        seen.record(bool(number % 3), bool(number % 2), float(number))

    seen.clear()
    seen.record(True, False, 100.0)

    assert counts(seen) == (1, 1, 0)
