"""When a caller that waits for targets may be answered."""

import itertools

import pytest

from fanout_dispatcher.policies.quorum import judge, too_late
from fanout_dispatcher.values.answers import Ending


def test_the_wait_ends_exactly_when_nothing_that_is_open_could_change_its_end() -> None:
    for asked, quorum in itertools.product(range(1, 6), range(1, 6)):
        for succeeded in range(asked + 1):
            for lost in range(asked - succeeded + 1):
                pending = asked - succeeded - lost
                needed = min(quorum, asked)
                best, worst = succeeded + pending >= needed, succeeded >= needed

                ending = judge(succeeded=succeeded, lost=lost, asked=asked, quorum=quorum)

                assert ending is (Ending.ANSWERED if worst else None if best else Ending.FAILED)


def test_a_target_that_was_skipped_is_not_waited_for() -> None:
    assert judge(succeeded=1, lost=0, asked=1, quorum=2) is Ending.ANSWERED
    assert judge(succeeded=0, lost=0, asked=1, quorum=1) is None, "nobody has succeeded yet"
    assert judge(succeeded=0, lost=0, asked=0, quorum=1) is Ending.ANSWERED


@pytest.mark.parametrize(("succeeded", "partial"), [(0, False), (0, True), (1, False), (1, True)])
def test_what_has_arrived_in_time_is_an_answer_where_that_is_asked_for_and_there_is_some(
    succeeded: int, partial: bool
) -> None:
    expected = Ending.PARTIAL if succeeded and partial else Ending.TIMEOUT

    assert too_late(succeeded=succeeded, partial=partial) is expected
