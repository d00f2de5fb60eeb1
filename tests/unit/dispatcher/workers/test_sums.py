"""Several workers look like one dispatcher: counters add up, views agree or say nothing."""

import typing

from fanout_dispatcher.values.desk import LaneMeter, PortMeter
from fanout_dispatcher.values.views import RouteView
from fanout_dispatcher.workers import sums
from tests.unit.dispatcher.admin.fakes import route_view, target_view


def lane(**changes: typing.Any) -> LaneMeter:
    return LaneMeter(**({"route": "shop/order", "target": "payment"} | changes))


def test_numbers_words_and_buckets_add_up_and_the_worst_circuit_is_shown() -> None:
    one = lane(delivered=2, failed={"503": 1}, seconds=[1] * 12, seconds_sum=0.5, pending=3)
    two = lane(delivered=1, failed={"503": 1, "Reset": 4}, seconds=[2] * 12, circuit="Open", in_flight=1)

    total = sums.total([one, two])

    assert total == lane(
        delivered=3, failed={"503": 2, "Reset": 4}, seconds=[3] * 12, seconds_sum=0.5, pending=3, in_flight=1,
        circuit="Open",
    )  # fmt: skip
    assert (one.failed, two.seconds[0]) == ({"503": 1}, 2), "the meters themselves are left alone"


def test_a_port_adds_up_by_problem_and_status() -> None:
    one, two = PortMeter(requests=1, refused={("no-route", 404): 1}), PortMeter(refused={("no-route", 404): 2})

    assert sums.total([one, two]) == PortMeter(requests=1, refused={("no-route", 404): 3})


def test_of_ages_the_greatest_is_shown() -> None:
    assert sums.total([lane(backlog_age=3.0), lane(backlog_age=70.0), lane()]) == lane(backlog_age=70.0)


def test_what_one_worker_may_not_send_is_said_to_be_held() -> None:
    assert sums.total([lane(), lane(held="SecretNotFound"), lane()]) == lane(held="SecretNotFound")


def test_of_the_past_the_counters_stay_and_the_gauges_go() -> None:
    past = sums.of_the_past(
        lane(
            delivered=2,
            pending=3,
            pending_bytes=4,
            in_flight=5,
            dead_letters=6,
            replayed=7,
            backlog_age=8.0,
            held="Draining",
        )
    )

    assert past == lane(delivered=2, replayed=7)


def joined(*views: RouteView | None, refused: str | None = None) -> RouteView:
    found = sums.route("shop/order", views, refused)
    assert found is not None
    return found


def test_a_revision_is_told_only_when_every_worker_runs_it() -> None:
    new, old = route_view(revision="r2", generation=2), route_view(revision="r1", generation=1)

    assert joined(new, new).revision == "r2"
    assert joined(old, new).revision == ""
    assert joined(new, None).revision == "", "one does not run it at all"


def test_a_revision_of_which_a_target_has_no_share_is_not_told_so_that_an_operator_shows_the_refusal() -> None:
    view = route_view(revision="r2", targets=(target_view(held="LimitTooSmall"),))

    assert joined(view, view, refused="give at least 2").revision == ""


def test_of_a_target_counts_are_summed_and_the_worst_circuit_speaks() -> None:
    well = target_view(pending=1, in_flight=2, dead_letters=3, last_error="503: an old one")
    ill = target_view(pending=4, circuit="Open", held="CircuitOpen", held_until=9.0, last_error="Reset")

    (target,) = joined(route_view(targets=(well,)), route_view(targets=(ill,))).targets

    assert target == target_view(
        circuit="Open", pending=5, in_flight=2, dead_letters=3, held="CircuitOpen", held_until=9.0, last_error="Reset"
    )


def test_a_target_was_asked_if_one_worker_has_asked_it() -> None:
    asked, not_yet = (route_view(targets=(target_view(asked=one),)) for one in (True, False))

    assert joined(asked, not_yet).targets[0].asked
    assert not joined(not_yet, not_yet).targets[0].asked


def test_a_refusal_is_told_whoever_knows_of_it_even_where_nothing_is_in_force() -> None:
    assert joined(route_view(), route_view(), refused="no").refused == "no"
    assert joined(route_view(), route_view(refused="neither")).refused == "neither"
    assert joined(None, None, refused="no") == RouteView(route="shop/order", refused="no")
    assert sums.route("shop/order", (None, None), None) is None
