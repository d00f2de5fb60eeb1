"""A test that lacks something: skipped, unless nothing may be."""

import pytest

from tests.support.missing import without


@pytest.mark.parametrize(
    ("nothing", "may", "ends"),
    [
        ("", "", pytest.skip.Exception),
        ("1", "", pytest.fail.Exception),
        ("1", "history postgresql", pytest.skip.Exception),
        ("1", "history", pytest.fail.Exception),
    ],
)
def test_what_is_missing_skips_a_test_unless_nothing_may_be_skipped_but_what_is_named(
    monkeypatch: pytest.MonkeyPatch, nothing: str, may: str, ends: type[BaseException]
) -> None:
    monkeypatch.setenv("FANOUT_SKIP_NOTHING", nothing)
    monkeypatch.setenv("FANOUT_MAY_SKIP", may)

    with pytest.raises(ends, match="no PostgreSQL"):
        without("postgresql", "no PostgreSQL here")
