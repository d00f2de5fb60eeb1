"""Retry-After in both its forms (RFC 9110 §10.2.3), and everything else that hosts write there."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.policies.retry_after import retry_after

WALL = 784_111_777.0  # Sun, 06 Nov 1994 08:49:37 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 120 ", 120.0),
        ("007", 7.0),
        ("0000000000000000000000007", 7.0),
        ("1000000000", 1e9),
        ("Sun, 06 Nov 1994 08:50:37 GMT", 60.0),
        ("Sunday, 06-Nov-94 08:50:37 GMT", 60.0),
        ("Sun Nov  6 08:50:37 1994", 60.0),
        ("Sun, 06 Nov 1994 09:50:37 +0100", 60.0),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0.0),
    ],
)
def test_what_it_asks_for(value: str, seconds: float) -> None:
    assert retry_after(value, WALL) == seconds


def test_a_date_that_has_passed_asks_for_no_wait() -> None:
    assert retry_after("Sat, 05 Nov 1994 08:49:37 GMT", WALL) == 0.0


@pytest.mark.parametrize("digits", [11, 400, 1_000_000])
def test_a_number_that_no_clock_holds_is_a_very_long_wait_and_costs_nothing(digits: int) -> None:
    asked = retry_after("9" * digits, WALL)

    assert asked is not None
    assert asked >= 1e10


@pytest.mark.parametrize(
    "value",
    [
        None,
        "",
        " ",
        "soon",
        "-5",
        "1.5",
        "1e9",
        "0x10",
        "5, 6",
        "١٢",
        "²",
        "Sun, 31 Feb 1994 08:49:37 GMT",
        "Sun, 06 Nov 99999999 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:37 +9999",
    ],
)
def test_what_makes_no_sense_is_as_if_it_were_absent(value: str | None) -> None:
    assert retry_after(value, WALL) is None


@given(st.text(max_size=60))
def test_no_text_raises_or_asks_for_less_than_nothing(value: str) -> None:
    asked = retry_after(value, WALL)

    assert asked is None or asked >= 0.0


@given(
    st.from_regex(
        r"(Sun|Mon|X)?,? ?[0-9]{1,3} (Nov|Jan|Feb|Y) [0-9]{1,5} [0-9]{1,3}:[0-9]{1,3}(:[0-9]{1,3})? ?[-+A-Z0-9]{0,6}"
    )
)
def test_nothing_that_looks_like_a_date_raises(value: str) -> None:
    asked = retry_after(value, WALL)

    assert asked is None or asked >= 0.0
