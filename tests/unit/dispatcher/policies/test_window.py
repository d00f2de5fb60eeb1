"""Sliding windows against the plainest possible statement of what they hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds import plan
from fanout_dispatcher.policies.window import BUCKETS, CountWindow, TimeWindow, window

calls = st.lists(
    st.tuples(st.integers(0, 8), st.booleans()), max_size=200
)  # quarters of a second since the last, failed


def test_the_rule_says_which_kind() -> None:
    assert isinstance(window(plan.Window(type="Time", size=30.0)), TimeWindow)
    assert isinstance(window(plan.Window(type="Count", size=100.0)), CountWindow)


@given(calls)
def test_a_time_window_holds_the_calls_of_its_ten_newest_buckets(steps: list[tuple[int, bool]]) -> None:
    seen = TimeWindow(10.0)
    history: list[tuple[int, bool]] = []
    quarters = 0

    for passed, failed in steps:
        quarters += passed
        seen.record(failed, quarters / 4)
        history.append((quarters // 4, failed))
        inside = [failed for bucket, failed in history if bucket > quarters // 4 - BUCKETS]

        assert (seen.calls, seen.failures) == (len(inside), sum(inside))


@given(calls, st.integers(1, 20))
def test_a_count_window_holds_the_newest_calls(steps: list[tuple[int, bool]], size: int) -> None:
    seen = CountWindow(size)

    for number in range(1, len(steps) + 1):
        seen.record(steps[number - 1][1], 0.0)
        inside = [failed for _, failed in steps[:number]][-size:]

        assert (seen.calls, seen.failures) == (len(inside), sum(inside))


def test_a_time_window_keeps_ten_buckets_whatever_it_counts() -> None:
    seen = TimeWindow(10.0)

    for number in range(10_000):
        seen.record(True, number / 10)

    assert len(seen.buckets) <= BUCKETS


def test_a_long_silence_empties_a_time_window() -> None:
    seen = TimeWindow(10.0)
    for _ in range(5):
        seen.record(True, 1.0)

    seen.record(False, 1000.0)

    assert (seen.calls, seen.failures) == (1, 0)


@pytest.mark.parametrize("seen", [TimeWindow(10.0), CountWindow(10)])
def test_cleared_is_as_new(seen: TimeWindow | CountWindow) -> None:
    for number in range(100):
        seen.record(bool(number % 3), float(number))

    seen.clear()
    seen.record(True, 100.0)

    assert (seen.calls, seen.failures) == (1, 1)
