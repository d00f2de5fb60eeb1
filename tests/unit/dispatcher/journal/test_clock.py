"""How long nobody was there."""

from fanout_dispatcher.journal.clock import Clock, away

THEN = Clock("boot", 100.0, 5_000.0)


def test_within_one_boot_the_wall_clock_does_not_matter() -> None:
    assert away(THEN, Clock("boot", 130.0, 1.0)) == 30.0


def test_across_boots_only_the_wall_clock_is_left() -> None:
    assert away(THEN, Clock("other", 2.0, 5_060.0)) == 60.0


def test_a_clock_that_was_set_back_counts_as_no_time() -> None:
    assert away(THEN, Clock("other", 2.0, 4_000.0)) == 0.0
