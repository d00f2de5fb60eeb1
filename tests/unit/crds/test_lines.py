"""Splitting a stream into lines: any pieces, and never more than was allowed."""

import pytest

from fanout_crds.lines import LineTooLong, Splitter


def split(*pieces: bytes, longest: int = 8) -> list[bytes]:
    lines = Splitter(longest)
    return [line for piece in pieces for line in lines.feed(piece)]


@pytest.mark.parametrize("size", [1, 2, 3, 100])
def test_lines_are_the_same_in_whatever_pieces_they_come(size: int) -> None:
    text = b"one\n\ntwo\nthree\n"
    pieces = [text[at : at + size] for at in range(0, len(text), size)]

    assert split(*pieces) == [b"one", b"", b"two", b"three"]


def test_a_line_of_exactly_the_longest_length_passes() -> None:
    assert split(b"12345678\n1234", b"5678\n") == [b"12345678"] * 2


@pytest.mark.parametrize("pieces", [(b"123456789\n",), (b"1234", b"56789\n"), (b"1234", b"56789")])
def test_a_longer_one_is_refused_whether_it_is_complete_or_not(pieces: tuple[bytes, ...]) -> None:
    with pytest.raises(LineTooLong, match="more than 8 bytes"):
        split(*pieces)


def test_it_tells_a_stream_that_was_cut_off_from_one_that_ended() -> None:
    lines = Splitter(8)
    list(lines.feed(b"one\ntw"))
    cut = lines.between
    list(lines.feed(b"o\n"))

    assert (cut, lines.between) == (False, True)
