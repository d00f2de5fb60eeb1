"""A lane's window: bounded in deliveries and in bytes, and never a way to overtake what waits in the index."""

import math

from hypothesis import given
from hypothesis import strategies as st

from fanout_dispatcher.engine.flow import Flow
from fanout_dispatcher.engine.pending import Course, Delivery
from fanout_dispatcher.engine.stock import Stock
from fanout_dispatcher.engine.window import BYTES, LEAST_BYTES, LOW, SIZE, Window
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import KEPT_BYTES, Kept
from tests.unit.dispatcher.engine.scripted import pending


def delivery(seq: int = 1, body: bytes = b"{}") -> Delivery:
    return Delivery(pending(seq, body=body), 0)


def test_deliveries_leave_in_the_order_in_which_they_came() -> None:
    window = Window(Stock(), indexed=False)
    for seq in range(5):
        window.push(delivery(seq))

    assert [window.take().pending.event.seq for _ in range(5)] == list(range(5))


def test_what_had_its_slot_and_was_not_sent_goes_before_all_that_is_younger_in_whatever_order_it_comes_back() -> None:
    window = Window(Stock(), indexed=False)
    for seq in (1, 2, 3, 4):
        window.push(delivery(seq))
    taken = [window.take() for _ in range(3)]

    for one in (taken[1], taken[0], taken[2]):
        window.take_back(one)

    assert [window.take().pending.event.seq for _ in range(4)] == [1, 2, 3, 4]
    assert window.bytes == 0


@given(st.lists(st.integers(0, 3 << 20) | st.none(), max_size=60))
def test_it_knows_the_bytes_that_it_holds(steps: list[int | None]) -> None:
    """A number comes in with a body of so many bytes, None takes one out."""
    window = Window(Stock(), indexed=False)
    held: list[int] = []

    for size in steps:
        if size is not None:
            window.push(delivery(body=bytes(size)))
            held.append(size)
        elif held:
            assert len(window.take().pending.event.body) == held.pop(0)
        assert window.bytes == sum(held)


def test_what_is_kept_of_answers_counts_with_the_body_and_what_is_kept_later_changes_no_count() -> None:
    stock = Stock()
    window = Window(stock, indexed=False)
    one, other = delivery(1, b"12345"), delivery(2, b"1234567")
    said = Kept(Captured(200, (("a", "b"),), b"x" * 98))
    one.pending.course = Course(Flow(()))
    one.pending.course.keep(0, said)

    window.push(one)
    window.push(other)
    held = stock.bytes
    one.pending.course.keep(0, Kept(reason="Expired"))
    one.pending.course.keep(1, said)
    window.take()
    left = (window.bytes, stock.bytes)
    window.pick(other.pending)

    assert held == 5 + 100 + KEPT_BYTES + 7
    assert left == (7, 7)
    assert (window.bytes, stock.bytes, stock.deliveries) == (0, 0, 0)
    assert one.pending.course.bytes == KEPT_BYTES + 100 + KEPT_BYTES


def test_promised_places_count_as_taken() -> None:
    window = Window(Stock(), indexed=False)
    window.promised = SIZE - 1
    assert window.room(0.0)

    window.push(delivery())

    assert not window.room(0.0)


def test_it_is_full_by_bytes_too() -> None:
    window = Window(Stock(), indexed=False)

    window.push(delivery(body=bytes(BYTES)))

    assert not window.room(0.0)


def test_when_all_windows_hold_too_much_each_is_full_with_far_fewer_bytes() -> None:
    stock = Stock(most_bytes=BYTES)
    window, other = Window(stock, indexed=True), Window(stock, indexed=False)
    window.push(delivery(body=bytes(LEAST_BYTES)))
    alone = window.wants(0.0), window.room(-math.inf)

    other.push(delivery(body=bytes(BYTES)))

    assert alone == (True, False)
    assert not window.wants(0.0)


def test_nothing_new_comes_in_while_older_ones_are_due_in_the_index() -> None:
    window = Window(Stock(), indexed=False)

    window.row_added(5.0)

    assert window.room(4.9)
    assert not window.room(5.0)


def test_a_retry_that_is_due_later_keeps_nobody_out() -> None:
    window = Window(Stock(), indexed=False)
    window.row_added(9.0)

    window.row_added(50.0)

    assert window.next_due == 9.0
    assert window.room(8.0)


def test_after_a_restart_with_a_backlog_the_index_comes_first() -> None:
    window = Window(Stock(), indexed=True)

    assert window.wants(0.0)
    assert not window.room(0.0)


def test_an_empty_index_is_never_asked() -> None:
    assert not Window(Stock(), indexed=False).wants(1e12)


def test_it_asks_for_more_only_below_its_low_mark_and_once_at_a_time() -> None:
    window = Window(Stock(), indexed=True)
    for seq in range(LOW - 1):
        window.push(delivery(seq))
    assert window.wants(0.0)

    window.pulling = True
    asked_twice = window.wants(0.0)
    window.pulling = False
    window.push(delivery(LOW))

    assert not asked_twice
    assert not window.wants(0.0)


def test_a_row_that_comes_back_while_rows_are_pulled_is_never_overslept() -> None:
    """The pull was asked for while the row was still claimed, so its answer knows nothing of it."""
    window = Window(Stock(), indexed=True)

    window.pull_begins()
    window.row_added(7.0)
    window.pull_ends(None)

    assert window.next_due == 7.0


def test_after_a_pull_the_journal_says_what_is_due_next() -> None:
    window = Window(Stock(), indexed=True)

    window.pull_begins()
    window.pull_ends(9.0)
    assert window.next_due == 9.0
    window.pull_begins()
    window.pull_ends(None)

    assert window.next_due == math.inf
