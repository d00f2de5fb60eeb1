"""The hint after an unknown name."""

import pytest

from fanout_crds.nearest import field_hint, hint


@pytest.mark.parametrize(
    ("name", "known", "says"),
    [
        ("polcy", ["policy", "url"], 'did you mean "policy"?'),
        ("maxattempts", ["maxAttempts"], 'did you mean "maxAttempts"?'),
        ("x", ["policy", "url"], "known here: policy, url"),
        ("x", [f"field{n}" for n in range(20)], "no known name is near it"),
        ("x", [], "nothing is known here"),
        ("x" * 10**6, ["policy"], "known here: policy"),
    ],
)
def test_the_nearest_known_name_is_told(name: str, known: list[str], says: str) -> None:
    assert hint(name, known) == says


@pytest.mark.parametrize(
    ("name", "elsewhere", "says"),
    [
        ("cache", "it is over there", "it is over there"),
        ("cache", "", "known here: batch, timeouts"),
        ("timeout", "it is over there", 'did you mean "timeouts"?'),
        ("bacth", "", 'did you mean "batch"?'),
        ("bacth", "it is over there", "it is over there"),
    ],
)
def test_a_field_is_told_where_it_belongs_unless_it_is_one_of_these(name: str, elsewhere: str, says: str) -> None:
    assert field_hint(name, ["batch", "timeouts"], elsewhere) == says
