"""The hint after an unknown name."""

import pytest

from fanout_crds.nearest import hint


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
