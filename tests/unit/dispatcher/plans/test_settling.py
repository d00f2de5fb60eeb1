"""Since when a file is as it is."""

from fanout_dispatcher.plans.settling import Settling

ONE, TWO = (1, 10, 100), (1, 11, 101)


def test_a_file_is_believed_a_second_after_it_was_first_seen_as_it_is() -> None:
    settling = Settling()

    assert settling.look({"a": ONE}, 0.0) == {"a"}
    assert settling.look({"a": ONE}, 0.75) == frozenset()
    assert (settling.wait("a", 0.75), settling.wait("a", 1.0), settling.wait("a", 9.0)) == (0.25, 0.0, 0.0)


def test_every_change_starts_the_second_anew() -> None:
    settling = Settling()
    settling.look({"a": ONE, "b": ONE}, 0.0)

    assert settling.look({"a": TWO, "b": ONE}, 5.0) == {"a"}
    assert (settling.wait("a", 5.0), settling.wait("b", 5.0)) == (1.0, 0.0)


def test_a_file_that_is_gone_is_forgotten() -> None:
    settling = Settling()
    settling.look({"a": ONE}, 0.0)
    settling.look({}, 1.0)

    assert settling.wait("a", 1.0) == 0.0
    assert settling.look({"a": ONE}, 2.0) == {"a"}
