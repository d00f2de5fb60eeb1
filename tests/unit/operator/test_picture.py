"""What one dispatcher says of its routes: bounded, whatever it says."""

import pytest

from fanout_crds.report import RouteReport, TargetReport
from fanout_operator import picture
from fanout_operator.picture import Picture, TooMuch


def report(route: str, targets: int = 0, revision: str = "r") -> RouteReport:
    return RouteReport(
        route=route, revision=revision, targets=tuple(TargetReport(name=f"t{one}") for one in range(targets))
    )


def test_ten_thousand_routes_of_twenty_targets_fit() -> None:
    found = Picture()
    for number in range(10_000):
        found.put(report(f"shop/route-{number}", 20), 20 * 150)

    assert found.get("shop/route-9999")


def test_what_is_too_much_is_refused_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "LARGEST", 3 * picture.ROUTE)
    found = Picture()
    for name in ("a", "b", "c"):
        found.put(report(name), 0)
    with pytest.raises(TooMuch, match="reports more than 0 MiB of routes, 3 so far"):
        found.put(report("d"), 0)
    with pytest.raises(TooMuch):
        found.put(report("a", revision="s"), 1)

    assert [found.get(name) for name in ("a", "d")] == [report("a"), None]


def test_what_is_said_again_or_dropped_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(picture, "LARGEST", 2 * picture.ROUTE)
    found = Picture()
    for _ in range(5):
        found.put(report("a"), 0)
    found.put(report("b"), 0)

    assert (found.drop("b"), found.drop("b")) == (True, False)
    found.put(report("c"), 0)
