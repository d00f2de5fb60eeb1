"""Metrics: the desk's counters under their names, with labels that a target or a tenant cannot blow up."""

import typing

import pytest
from prometheus_client.parser import text_string_to_metric_families

from fanout_dispatcher.telemetry.exposition import PIECE, fold
from fanout_dispatcher.telemetry.metrics import Metrics
from fanout_dispatcher.values.desk import BUCKETS, JournalMeter, LaneMeter, PortMeter, RouteMeter
from tests.unit.dispatcher.admin.fakes import FakeDesk, route_view

Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]
PAYMENT = {"route": "shop/order", "target": "payment"}


def samples(
    *lanes: LaneMeter,
    doors: typing.Sequence[RouteMeter] = (),
    port: PortMeter | None = None,
    durable: JournalMeter | None = None,
) -> Samples:
    desk = FakeDesk()
    desk.lanes, desk.doors = list(lanes), list(doors)
    desk.journals = {"Journal": durable or JournalMeter()}
    page = b"".join(Metrics(desk, port).page()).decode()
    return {
        (one.name, tuple(sorted(one.labels.items()))): one.value
        for family in text_string_to_metric_families(page)
        for one in family.samples
    }


def lane(**counted: typing.Any) -> LaneMeter:
    return LaneMeter(**(PAYMENT | counted))


def of(found: Samples, name: str, **labels: str) -> float:
    return found[name, tuple(sorted(labels.items()))]


def test_a_batch_is_one_attempt_and_as_many_deliveries_as_it_holds() -> None:
    found = samples(lane(delivered=2, along=18))

    assert of(found, "fanout_attempts_total", **PAYMENT, outcome="Delivered") == 2
    assert of(found, "fanout_delivered_total", **PAYMENT) == 20


def test_front_doors_count_what_came_in_and_what_was_turned_away() -> None:
    found = samples(doors=[RouteMeter(route="shop/order", accepted=5, turned={"QueueFull": 2})])

    assert of(found, "fanout_events_accepted_total", route="shop/order") == 5
    assert of(found, "fanout_events_refused_total", route="shop/order", reason="QueueFull") == 2


def test_the_data_port_counts_connections_requests_and_each_no() -> None:
    port = PortMeter(connected=3, connections=9, turned_away=1, requests=20, expired=2)
    port.refused = {("no-route", 404): 4, ("queue-full", 503): 5}

    found = samples(port=port)

    assert of(found, "fanout_ingress_connected") == 3
    assert of(found, "fanout_ingress_connections_total") == 9
    assert of(found, "fanout_ingress_connections_turned_away_total") == 1
    assert of(found, "fanout_ingress_requests_total") == 20
    assert of(found, "fanout_ingress_refused_total", problem="no-route", status="404") == 4
    assert of(found, "fanout_ingress_refused_total", problem="queue-full", status="503") == 5
    assert of(found, "fanout_ingress_expired_total") == 2


def test_routes_whose_newest_plan_is_not_in_force_are_counted() -> None:
    desk = FakeDesk()
    desk.change(route_view("shop/good"))
    desk.change(route_view("shop/bad", refused="line 3: no"))

    assert b"\nfanout_routes_refused 1.0\n" in b"".join(Metrics(desk).page())


def test_it_says_whether_events_can_be_taken_as_readiness_does() -> None:
    desk = FakeDesk()

    assert b"\nfanout_ready 1.0\n" in b"".join(Metrics(desk).page())
    desk.why = "the journal cannot commit: disk full"
    assert b"\nfanout_ready 0.0\n" in b"".join(Metrics(desk).page())


def test_lanes_count_attempts_retries_and_the_dead_by_reason() -> None:
    payment = lane(delivered=4, failed={"503": 2, "Timeout": 1}, retried=3, dead={"Expired": 1}, replayed=1)
    payment.dropped = {"DropOldest": 2}
    payment.passed = {"Removed": 1}

    found = samples(payment)

    assert of(found, "fanout_attempts_total", outcome="Delivered", **PAYMENT) == 4
    assert of(found, "fanout_attempts_total", outcome="503", **PAYMENT) == 2
    assert of(found, "fanout_attempts_total", outcome="Timeout", **PAYMENT) == 1
    assert of(found, "fanout_delivered_total", **PAYMENT) == 4
    assert of(found, "fanout_retries_total", **PAYMENT) == 3
    assert of(found, "fanout_dead_letters_total", reason="Expired", **PAYMENT) == 1
    assert of(found, "fanout_dead_letters_dropped_total", reason="DropOldest", **PAYMENT) == 2
    assert of(found, "fanout_order_given_up_total", reason="Removed", **PAYMENT) == 1
    assert of(found, "fanout_replayed_total", **PAYMENT) == 1


def test_hedges_are_told_of_targets_that_have_had_any() -> None:
    found = samples(lane(hedges=3, hedges_won=2), LaneMeter(route="shop/order", target="mail"))

    assert of(found, "fanout_hedges_total", **PAYMENT) == 3
    assert of(found, "fanout_hedges_won_total", **PAYMENT) == 2
    assert [labels for name, labels in found if name.startswith("fanout_hedges")] == [tuple(PAYMENT.items())] * 2


def test_lanes_gauge_what_waits_now() -> None:
    found = samples(
        lane(pending=9, pending_bytes=900, in_flight=2, dead_letters=3, circuit="Open", stuck=4, backlog_age=7.5)
    )

    assert of(found, "fanout_pending", **PAYMENT) == 9
    assert of(found, "fanout_stuck", **PAYMENT) == 4
    assert of(found, "fanout_pending_bytes", **PAYMENT) == 900
    assert of(found, "fanout_backlog_age_seconds", **PAYMENT) == 7.5
    assert of(found, "fanout_in_flight", **PAYMENT) == 2
    assert of(found, "fanout_dead_letters", **PAYMENT) == 3
    states = {
        state: of(found, "fanout_circuit_state", state=state, **PAYMENT) for state in ("Closed", "Open", "HalfOpen")
    }
    assert states == {"Closed": 0, "Open": 1, "HalfOpen": 0}


def test_why_a_target_is_held_is_told_while_it_is() -> None:
    held = of(samples(lane(held="SecretNotFound")), "fanout_held", reason="SecretNotFound", **PAYMENT)

    assert held == 1
    assert not [name for name, _ in samples(lane()) if name == "fanout_held"]


def test_durations_are_a_cumulative_histogram() -> None:
    seconds = [1] * (len(BUCKETS) + 1)

    found = samples(lane(seconds=seconds, seconds_sum=12.5))

    assert of(found, "fanout_attempt_seconds_bucket", le="0.005", **PAYMENT) == 1
    assert of(found, "fanout_attempt_seconds_bucket", le="10.0", **PAYMENT) == 11
    assert of(found, "fanout_attempt_seconds_bucket", le="+Inf", **PAYMENT) == 12
    assert of(found, "fanout_attempt_seconds_count", **PAYMENT) == 12
    assert of(found, "fanout_attempt_seconds_sum", **PAYMENT) == 12.5


def test_a_journal_counts_its_commits_by_duration_and_what_they_shared() -> None:
    meter = JournalMeter(failed=1)
    meter.commit(events=16, settles=9, seconds=0.001)
    meter.commit(events=2, settles=0, seconds=0.3)

    found = samples(durable=meter)

    assert of(found, "fanout_journal_events_total", durability="Journal") == 18
    assert of(found, "fanout_journal_settles_total", durability="Journal") == 9
    assert of(found, "fanout_journal_commits_failed_total", durability="Journal") == 1
    assert of(found, "fanout_journal_commit_seconds_count", durability="Journal") == 2
    assert of(found, "fanout_journal_commit_seconds_bucket", le="0.001", durability="Journal") == 1
    assert of(found, "fanout_journal_commit_seconds_bucket", le="0.25", durability="Journal") == 1
    assert of(found, "fanout_journal_commit_seconds_sum", durability="Journal") == pytest.approx(0.301)


def test_a_target_that_makes_up_statuses_makes_no_new_labels_and_loses_no_count() -> None:
    failed = {str(status): 1 for status in range(100, 1000)} | {"Timeout": 1}

    found = samples(lane(failed=failed))

    attempts = {labels: value for (name, labels), value in found.items() if name == "fanout_attempts_total"}
    assert sum(attempts.values()) == 901
    assert len(attempts) < 32


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        ("503", "503"),
        ("429", "429"),
        ("418", "4xx"),
        ("599", "5xx"),
        ("999", "other"),
        ("302", "3xx"),
        ("Reset", "Reset"),
    ],
)
def test_a_telling_status_stays_and_an_unusual_one_becomes_its_class(outcome: str, label: str) -> None:
    assert fold(outcome) == label


def test_names_with_quotes_and_newlines_cannot_break_the_page() -> None:
    found = samples(LaneMeter(route='a"b\n', target="t\\", delivered=1))

    assert of(found, "fanout_delivered_total", route='a"b\n', target="t\\") == 1


def test_a_long_page_comes_in_small_pieces_and_is_complete() -> None:
    desk = FakeDesk()
    desk.lanes = [LaneMeter(route=f"shop/{number}", target="t", delivered=number) for number in range(3 * PIECE + 1)]
    pieces = list(Metrics(desk).page())
    found = [
        one.value
        for family in text_string_to_metric_families(b"".join(pieces).decode())
        for one in family.samples
        if one.name == "fanout_delivered_total"
    ]

    assert found == list(range(3 * PIECE + 1))
    assert max(piece.count(b"\n") for piece in pieces) <= 16 * PIECE
