"""A lane's counts agree with what happened to it (promise P33)."""

import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.engine.tally import NOT_ASKED, Tally
from fanout_dispatcher.journal.protocol import Backlog, DeadRow
from fanout_dispatcher.values.desk import BUCKETS
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome, Reason, Refused


def tally(**found: typing.Any) -> Tally:
    return Tally("shop/order-placed", "billing", Backlog(**found))


def dead(reason: Reason = Reason.EXPIRED, size: int = 10) -> DeadRow:
    return DeadRow(lane=1, seq=1, at=0.0, reason=reason, detail="", attempts=1, history=(), size=size)


def test_it_begins_with_what_a_restart_found() -> None:
    found = tally(pending=3, pending_bytes=300, dead=2, dead_bytes=20)

    assert (found.meter.pending, found.meter.pending_bytes) == (3, 300)
    assert (found.meter.dead_letters, found.dead_bytes) == (2, 20)


@given(st.lists(st.integers(0, 10_000)), st.data())
def test_what_came_and_has_not_left_is_pending(sizes: list[int], data: st.DataObject) -> None:
    count = tally()
    for size in sizes:
        count.came(size)
    gone = data.draw(st.lists(st.sampled_from(range(len(sizes))), unique=True)) if sizes else []

    for index in gone:
        count.left(sizes[index])

    assert count.meter.pending == len(sizes) - len(gone)
    assert count.meter.pending_bytes == sum(sizes) - sum(sizes[index] for index in gone)


@pytest.mark.parametrize(
    ("seconds", "bucket"), [(0.0, 0), (0.005, 0), (0.0051, 1), (0.3, 6), (10.0, len(BUCKETS) - 1), (10.1, len(BUCKETS))]
)
def test_a_duration_falls_into_the_first_bucket_that_holds_it(seconds: float, bucket: int) -> None:
    count = tally()

    count.landed(Delivered(200), seconds)

    assert [index for index, number in enumerate(count.meter.seconds) if number] == [bucket]


outcomes = st.one_of(
    st.just(Delivered(202)),
    st.builds(Failed, status=st.sampled_from([404, 429, 503])),
    st.builds(Failed, fault=st.sampled_from(Fault)),
    st.just(Refused("closing")),
)


@given(st.lists(outcomes, max_size=50))
def test_attempts_by_duration_add_up_to_attempts_by_result(ends: list[Outcome]) -> None:
    """A Refused is no attempt, so no histogram has it."""
    count = tally()
    meter = count.meter

    for outcome in ends:
        meter.in_flight += 1
        count.landed(outcome, 0.25)

    assert meter.in_flight == 0
    assert meter.delivered == ends.count(Delivered(202))
    assert sum(meter.seconds) == meter.delivered + sum(meter.failed.values())
    assert meter.seconds_sum == 0.25 * sum(meter.seconds)


def test_failures_are_counted_by_status_or_fault() -> None:
    count = tally()

    for outcome in (Failed(status=503), Failed(status=503), Failed(fault=Fault.TIMEOUT, detail="no answer")):
        count.landed(outcome, 0.1)

    assert count.meter.failed == {"503": 2, "Timeout": 1}


def test_the_last_error_comes_with_a_failure_and_goes_with_a_success() -> None:
    count = tally()

    seen = [
        (count.landed(outcome, 0.1), count.last_error)
        for outcome in (
            Failed(fault=Fault.RESET, detail="by the peer"),
            Failed(fault=Fault.RESET, detail="by the peer"),
            Refused("closing"),
            Delivered(200),
            Delivered(200),
        )
    ]

    error = "Reset: by the peer"
    assert seen == [(True, error), (False, error), (False, error), (True, None), (False, None)]


def test_whether_anybody_was_asked_is_known_and_told_with_the_first_attempt_even_if_that_succeeds() -> None:
    count = tally()
    before, refused = count.last_error, count.landed(Refused("closing"), 0.1)

    assert (before, refused) == (NOT_ASKED, False)
    assert (count.landed(Delivered(200), 0.1), count.last_error) == (True, None)


def test_dead_letters_are_counted_for_good_and_as_they_are_kept() -> None:
    count = tally()
    for _ in range(3):
        count.died(dead(size=10))
    count.died(dead(Reason.QUEUE_FULL, size=5))

    count.dropped(2, 20)

    assert count.meter.dead == {"Expired": 3, "QueueFull": 1}
    assert (count.meter.dead_letters, count.dead_bytes) == (2, 15)
