"""Durations, sizes and decimals: what each spelling means, and what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_crds import scalars

MILLISECONDS = {"h": 3_600_000, "m": 60_000, "s": 1000, "ms": 1}
BYTES = {"": 1, "k": 1000, "M": 1000**2, "P": 1000**5, "Ki": 1024, "Mi": 1024**2, "Gi": 1024**3, "Pi": 1024**5}


@given(st.lists(st.tuples(st.integers(0, 99_999), st.sampled_from(sorted(MILLISECONDS))), min_size=1, max_size=4))
def test_a_duration_is_the_sum_of_its_parts(parts: list[tuple[int, str]]) -> None:
    written = "".join(f"{number}{unit}" for number, unit in parts)

    assert len(written) <= scalars.DURATION_LENGTH
    assert scalars.seconds(written) == sum(number * MILLISECONDS[unit] for number, unit in parts) / 1000


@given(st.integers(1, 10**12), st.sampled_from(sorted(BYTES)))
def test_a_size_is_its_number_of_its_unit(number: int, unit: str) -> None:
    written = f"{number}{unit}"

    assert len(written) <= scalars.SIZE_LENGTH
    assert scalars.size(written) == number * BYTES[unit]


@given(
    st.text(max_size=12) | st.from_regex(scalars.DURATION, fullmatch=True) | st.from_regex(scalars.SIZE, fullmatch=True)
)
def test_any_text_is_read_or_not_and_never_raises(text: str) -> None:
    read = (scalars.seconds(text), scalars.size(text), scalars.decimal(text))

    assert all(one is None or one >= 0 for one in read)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("250ms", 0.25),
        ("1m30s", 90),
        ("1h1m1s1ms", 3661.001),
        ("0s", 0),
        ("30s1m", 90),
        ("", None),
        ("5", None),
        ("-1s", None),
        ("1.5s", None),
        ("1d", None),
        ("1s ", None),
        ("1s\n", None),
        ("1h1h1h1h1h", None),
        ("100000h", None),
        ("１s", None),
    ],
)
def test_durations_are_those_of_the_gateway_api(text: str, seconds: float | None) -> None:
    assert scalars.seconds(text) == seconds


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1", 1),
        ("1Ki", 1024),
        ("1k", 1000),
        ("1.5Mi", 1_572_864),
        ("0.5Gi", 2**29),
        ("1e6", 10**6),
        ("2E3", 2000),
        ("1.0001k", 1001),
        ("0", None),
        ("0.0", None),
        ("-1", None),
        ("1m", None),
        ("1KB", None),
        ("1Mi\n", None),
        ("007", None),
    ],
)
def test_sizes_are_quantities_that_make_sense_for_bytes(text: str, size: int | None) -> None:
    assert scalars.size(text) == size
