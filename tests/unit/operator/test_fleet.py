"""The fleet: what each dispatcher runs, and who is told when that changes."""

from collections.abc import Collection

from fanout_crds.report import RouteReport, TargetReport
from fanout_operator.fleet import Fleet


class Told:
    """Takes down what the fleet tells."""

    def __init__(self) -> None:
        self.all: list[Collection[str] | None] = []

    def __call__(self, routes: Collection[str] | None) -> None:
        self.all.append(tuple(sorted(routes)) if routes is not None else None)


def report(route: str = "shop/orders", revision: str = "r1", **target: object) -> RouteReport:
    return RouteReport(route=route, revision=revision, targets=(TargetReport(name="crm", **target),))  # type: ignore[arg-type]


def connected(*names: str) -> tuple[Fleet, Told]:
    """A complete fleet of dispatchers that run nothing."""
    told = Told()
    fleet = Fleet(told)
    fleet.expect(names)
    for name in names:
        fleet.hello(name)
        fleet.loaded(name)
    told.all.clear()
    return fleet, told


def test_nothing_is_concluded_before_discovery_or_a_snapshot_is_complete() -> None:
    told = Told()
    fleet = Fleet(told)
    before = fleet.view("shop/orders").complete
    fleet.expect({"d0"})
    fleet.hello("d0")
    fleet.route("d0", report())
    during = fleet.view("shop/orders").complete
    fleet.loaded("d0")

    assert (before, during, fleet.view("shop/orders").complete) == (False, False, True)
    assert told.all == [None]


def test_no_dispatcher_at_all_is_complete_and_empty() -> None:
    fleet, _ = connected()

    assert fleet.view("shop/orders").complete
    assert fleet.view("shop/orders").empty


def test_a_change_wakes_its_route_and_a_repetition_nobody() -> None:
    fleet, told = connected("d0")
    fleet.route("d0", report())
    fleet.route("d0", report())
    fleet.route("d0", report(pending=1))

    assert told.all == [("shop/orders",), ("shop/orders",)]


def test_a_new_snapshot_takes_effect_as_a_whole_and_wakes_only_what_differs() -> None:
    fleet, told = connected("d0")
    for name in ("same", "changed", "gone"):
        fleet.route("d0", report(f"shop/{name}"))
    told.all.clear()
    fleet.hello("d0")
    fleet.route("d0", report("shop/same"))
    fleet.route("d0", report("shop/changed", "r2"))
    fleet.route("d0", report("shop/new"))
    during = fleet.view("shop/gone").reports
    fleet.loaded("d0")

    assert during == (("d0", report("shop/gone")),)
    assert told.all == [("shop/changed", "shop/gone", "shop/new")]
    assert fleet.view("shop/gone").reports == (("d0", None),)


def test_a_route_that_a_dispatcher_no_longer_runs_is_told_once() -> None:
    fleet, told = connected("d0")
    fleet.route("d0", report())
    fleet.gone("d0", "shop/orders")
    fleet.gone("d0", "shop/orders")

    assert told.all == [("shop/orders",), ("shop/orders",)]
    assert fleet.view("shop/orders").reports == (("d0", None),)


def test_a_silent_dispatcher_is_named_and_its_last_words_are_remembered() -> None:
    fleet, told = connected("d0", "d1")
    fleet.route("d0", report())
    told.all.clear()
    fleet.silent("d0")
    fleet.silent("d0")

    view = fleet.view("shop/orders")
    assert told.all == [None]
    assert (view.silent, view.reports) == (("d0",), (("d1", None),))
    assert view.remembered == (("d0", report()),)


def test_a_silent_dispatcher_whose_snapshot_comes_to_its_end_after_all_counts_again() -> None:
    fleet, _ = connected("d0")
    fleet.hello("d0")
    fleet.route("d0", report())
    fleet.silent("d0")
    fleet.loaded("d0")

    view = fleet.view("shop/orders")
    assert (view.silent, view.reports, view.remembered) == ((), (("d0", report()),), ())


def test_a_dispatcher_that_is_not_ready_is_remembered_until_it_reports_again() -> None:
    fleet, _ = connected("d0")
    fleet.route("d0", report(pending=1))
    fleet.expect(())
    away = fleet.view("shop/orders")
    fleet.expect({"d0"})
    fleet.hello("d0")
    coming = fleet.view("shop/orders").complete
    fleet.route("d0", report(pending=2))
    fleet.loaded("d0")
    back = fleet.view("shop/orders")

    assert (away.empty, away.unheard, away.remembered) == (True, False, (("d0", report(pending=1)),))
    assert not coming
    assert (back.reports, back.remembered) == ((("d0", report(pending=2)),), ())


def test_one_that_is_back_and_says_nothing_is_silent_with_its_last_words() -> None:
    fleet, _ = connected("d0")
    fleet.route("d0", report())
    fleet.expect(())
    fleet.expect({"d0"})
    fleet.silent("d0")

    assert fleet.view("shop/orders").remembered == (("d0", report()),)


def test_one_that_is_forgotten_counts_no_more_and_its_routes_are_told() -> None:
    fleet, told = connected("d0", "d1")
    fleet.route("d0", report())
    fleet.expect({"d1"})
    told.all.clear()
    fleet.forget("d0")
    fleet.forget("d0")

    assert told.all == [("shop/orders",)]
    assert fleet.view("shop/orders").remembered == ()


def test_no_sum_is_known_where_somebody_was_never_heard_or_nobody_is_there() -> None:
    nobody, _ = connected()
    silent, _ = connected("d0")
    silent.expect({"d0", "d1"})
    silent.silent("d1")
    never = silent.view("shop/orders").unheard
    silent.expect({"d0"})  # it went as it came

    assert nobody.view("shop/orders").unheard
    assert (never, silent.view("shop/orders").unheard) == (True, False)


def test_a_dispatcher_that_is_not_ready_any_more_does_not_count() -> None:
    fleet, told = connected("d0", "d1")
    fleet.expect({"d1"})
    fleet.route("d0", report())

    assert told.all == [None]
    assert fleet.view("shop/orders").reports == (("d1", None),)


def test_the_same_list_again_is_no_news() -> None:
    fleet, told = connected("d0", "d1")
    fleet.expect({"d1", "d0"})

    assert told.all == []
