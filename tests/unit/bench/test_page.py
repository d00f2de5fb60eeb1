"""What is read from our metrics page."""

import pytest

from bench.page import Page, commits, parse, total
from fanout_dispatcher.telemetry.metrics import Metrics
from fanout_dispatcher.values.desk import JournalMeter, LaneMeter
from tests.unit.dispatcher.admin.fakes import FakeDesk


def page(durable: JournalMeter, *lanes: LaneMeter) -> Page:
    desk = FakeDesk()
    desk.journals = {"Journal": durable, "Memory": JournalMeter(events=1_000)}
    desk.lanes = list(lanes)
    return parse(b"".join(Metrics(desk).page()).decode())


def meter(*seconds: float) -> JournalMeter:
    made = JournalMeter()
    for each in seconds:
        made.commit(events=4, settles=0, seconds=each)
    return made


def test_commits_are_those_between_two_pages_of_the_one_journal() -> None:
    found = commits(page(meter(0.002)), page(meter(0.002, 0.003, 0.02)))

    assert (found.count, found.events, found.group) == (2, 8, 4)


def test_a_quantile_lies_in_the_bucket_that_holds_it() -> None:
    found = commits(page(meter()), page(meter(*[0.002] * 98, 0.2, 0.2)))

    assert found.quantile(0.5) == pytest.approx(0.001 + 0.0015 * 50 / 98)
    assert 0.1 < found.quantile(0.99) <= 0.25


def test_beyond_the_last_bound_a_quantile_is_that_bound() -> None:
    assert commits(page(meter()), page(meter(60.0))).quantile(0.99) == 2.5


def test_nothing_committed_shares_nothing_and_took_no_time() -> None:
    found = commits(page(meter()), page(meter()))

    assert (found.group, found.quantile(0.99)) == (0, 0)


def test_a_total_is_over_all_labels() -> None:
    lanes = [LaneMeter(route="r", target=name, pending=pending) for name, pending in (("a", 3), ("b", 4))]

    assert total(page(meter(), *lanes), "fanout_pending") == 7
