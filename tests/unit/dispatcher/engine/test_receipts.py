"""Receipts: ours are read back, nobody else's are, and no text makes the reader fall over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.engine.receipts import Receipts

OURS = Receipts("0", b"k" * 32)


@given(st.integers(0, (1 << 60) - 1))
def test_a_receipt_is_read_back_as_its_event(seq: int) -> None:
    assert OURS.read(OURS.make(seq)) == seq


def test_the_same_event_has_the_same_receipt_after_a_restart() -> None:
    assert Receipts("0", b"k" * 32).make(7) == OURS.make(7)


@given(st.integers(0, 1 << 40), st.integers(0, 1 << 40))
def test_different_events_have_different_receipts(one: int, other: int) -> None:
    assert (OURS.make(one) == OURS.make(other)) == (one == other)


def test_a_receipt_of_another_worker_or_another_journal_is_not_ours() -> None:
    assert OURS.read(Receipts("m0", b"k" * 32).make(7)) is None
    assert OURS.read(Receipts("0", b"j" * 32).make(7)) is None


@given(seq=st.integers(0, 1 << 40), place=st.integers(0, 100), letter=st.characters())
def test_one_wrong_character_makes_it_no_receipt(seq: int, place: int, letter: str) -> None:
    receipt = OURS.make(seq)
    place %= len(receipt)
    forged = receipt[:place] + letter + receipt[place + 1 :]

    assert (OURS.read(forged) is None) == (forged != receipt)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0",
        "0-",
        "0--",
        "0-7",
        "0-7-",
        "0-0x7-ab",
        "0-+7-ab",
        "0-7_7-ab",
        "0-" + "f" * 10_000 + "-ab",
        "0-٧-ab",
        "0-g-ab",
        "\0",
    ],
)
def test_what_is_malformed_is_no_receipt(text: str) -> None:
    assert OURS.read(text) is None


@given(st.text())
def test_no_text_raises(text: str) -> None:
    assert OURS.read(text) is None
