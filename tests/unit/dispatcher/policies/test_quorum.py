"""When a caller that waits for targets may be answered."""

from fanout_dispatcher.policies.quorum import judge
from fanout_dispatcher.values.answers import Ending, Heard


def test_a_target_that_was_skipped_is_not_waited_for() -> None:
    skipped, yes, open_ = (Heard(target=name, state=state) for name, state in (("a", 3), ("b", 1), ("c", 0)))

    assert judge([skipped, yes], 2) is Ending.ANSWERED
    assert judge([skipped, open_], 1) is None, "nobody has succeeded yet"
    assert judge([skipped, skipped], 1) is Ending.ANSWERED
