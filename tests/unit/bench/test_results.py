"""What a bench says of its own figures."""

import pytest

from bench.results import judged


@pytest.mark.parametrize(
    ("must", "met"), [("≥ 3", True), ("≥ 3.5", False), ("≤ 3", True), ("≤ 2.9", False), ("< 3", False), ("", None)]
)
def test_the_median_is_held_against_what_it_must_be(must: str, met: bool | None) -> None:
    found = judged("value", [{"value": 1.0}, {"value": 3.0}, {"value": 9.0}], unit="ms", must=must)

    assert found.met is met
