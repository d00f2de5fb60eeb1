"""Who is really gone: two lists a second apart must agree, and many at once are never believed."""

import pytest

from fanout_dispatcher.plans.census import CONFIRM, Absences, Census


def test_nobody_missing_is_nobody_gone() -> None:
    assert Census().take({"a", "b"}, ["a"], now=0.0) == Absences()


def test_a_route_is_gone_when_a_second_list_a_second_later_lacks_it_too() -> None:
    census = Census()
    first = census.take({"a"}, ["a", "b"], now=10.0)
    second = census.take({"a"}, ["a", "b"], now=10.0 + CONFIRM)

    assert first == Absences(again=CONFIRM)
    assert second == Absences(gone=("b",))


def test_two_lists_too_close_together_are_one() -> None:
    census = Census()
    census.take({"a"}, ["a", "b"], now=10.0)

    again = census.take({"a"}, ["a", "b"], now=10.4)

    assert again.gone == ()
    assert again.again == pytest.approx(0.6)


def test_a_route_that_came_back_starts_anew() -> None:
    census = Census()
    census.take({"a"}, ["a", "b"], now=0.0)
    census.take({"a", "b"}, ["a", "b"], now=0.5)

    assert census.take({"a"}, ["a", "b"], now=2.0).gone == ()


@pytest.mark.parametrize(
    ("present", "in_force", "held"),
    [
        ("", "a b", "a b"),
        ("", "a b c d", "a b c d"),
        ("a", "a b c d", "b c d"),
        ("a b", "a b c d e f", "c d e f"),
        ("", "a", ""),
        ("a", "a b c", ""),
        ("a b c", "a b c d e", ""),
        ("a b c", "a b c d e f", ""),
    ],
)
def test_many_at_once_are_held_and_few_are_not(present: str, in_force: str, held: str) -> None:
    assert Census().take(set(present.split()), in_force.split(), now=0.0).held == tuple(held.split())


def test_what_was_held_stays_however_often_the_list_is_repeated() -> None:
    census = Census()
    takes = [census.take(set(), ["a", "b", "c"], now=float(hour * 3600)) for hour in range(5)]

    assert {one.gone for one in takes} == {()}
    assert {one.held for one in takes} == {("a", "b", "c")}


def test_after_a_hold_a_single_absence_needs_two_lists_again() -> None:
    census = Census()
    census.take(set(), ["a", "b"], now=0.0)
    first = census.take({"a"}, ["a", "b"], now=100.0)
    second = census.take({"a"}, ["a", "b"], now=101.0)

    assert (first.gone, second.gone) == ((), ("b",))


def test_while_its_file_still_changes_an_absence_counts_from_the_last_change_on() -> None:
    census = Census()
    lists = [(0.0, {"b"}), (1.0, {"b"}), (1.5, set[str]()), (2.0, set[str]())]
    takes = [census.take({"a"}, ["a", "b"], now, restless) for now, restless in lists]

    assert [one.gone for one in takes] == [(), (), (), ("b",)]
    assert [one.again for one in takes] == [1.0, 1.0, 0.5, None]
