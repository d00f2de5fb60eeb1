"""What a bench says of its own figures."""

import pytest

from bench.results import Result, failed, judged, number, percentile, skipped
from bench.table import table

RUNS = [{"value": 1.0, "memory": 5.0}, {"value": 3.0, "memory": 4.0}, {"value": 9.0, "memory": 6.0}]


@pytest.mark.parametrize(
    ("must", "met"), [("≥ 3", True), ("≥ 3.5", False), ("≤ 3", True), ("≤ 2.9", False), ("< 3", False), ("", None)]
)
def test_the_median_is_held_against_what_it_must_be(must: str, met: bool | None) -> None:
    found = judged("value", RUNS, unit="ms", must=must)

    assert found.numbers["value"].met is met


def test_what_must_be_may_be_met_where_the_aim_is_not() -> None:
    found = number("value", RUNS, unit="×", must="≤ 4", aim="≤ 2")

    assert (found.met, found.reached) == (True, False)


def test_a_case_is_written_with_its_medians_under_their_names_and_the_runs_behind_them() -> None:
    numbers = {name: number(name, RUNS, unit="×") for name in ("value", "memory")}

    written = Result(runs=RUNS, numbers=numbers, note="busy").written()

    assert (written["value"], written["memory"], written["note"], written["runs"]) == (3.0, 5.0, "busy", RUNS)


def test_a_case_that_could_not_run_or_went_wrong_says_why_and_has_no_number() -> None:
    assert skipped("nginx is not installed").written() == {"skipped": "nginx is not installed"}
    assert failed("an event was lost").written() == {"failed": "an event was lost"}


def test_the_table_has_a_row_for_every_number_and_for_every_case_that_could_not_run() -> None:
    both = Result(runs=RUNS, numbers={name: number(name, RUNS, unit="×") for name in ("value", "memory")})

    made = table({"mirror": both, "workers": skipped("one core"), "drain": failed("lost")})

    assert list(made.columns[0].cells) == ["mirror", "  memory", "workers", "drain"]
    assert list(made.columns[-1].cells)[-2:] == ["one core", "lost"]


@pytest.mark.parametrize(("share", "found"), [(0.0, 1.0), (0.5, 51.0), (0.99, 100.0), (1.0, 100.0)])
def test_a_percentile_is_the_nearest_rank(share: float, found: float) -> None:
    assert percentile([float(number) for number in range(1, 101)], share) == found


def test_no_latency_at_all_is_an_error_and_not_a_zero() -> None:
    with pytest.raises(RuntimeError, match="nothing was measured"):
        percentile([], 0.99)
