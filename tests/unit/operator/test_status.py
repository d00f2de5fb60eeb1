"""What a status should be."""

from typing import Any

import msgspec
import pytest

from fanout_crds.report import RouteReport, TargetReport
from fanout_crds.status import LONGEST_NAME, MOST_TARGETS
from fanout_operator.conditions import Finding, InForce
from fanout_operator.events import notices
from fanout_operator.fleet import View
from fanout_operator.kube import Document
from fanout_operator.reasons import say
from fanout_operator.status import COUNTER_FIELDS, status

FINDING = Finding(
    uid="u", generation=1, objection=None, targets=("crm",), path="/shop/orders", in_force=InForce("r", 1)
)
KEY = "shop/orders"


def seen(*, complete: bool = True, **target: Any) -> View:
    report = RouteReport(route=KEY, revision="r", generation=1, targets=(TargetReport(name="crm", **target),))
    return View(complete=complete, reports=(("d0", report),))


def told(finding: Finding, view: View, before: Document | None = None, now: str = "T1") -> Document:
    return status(finding, view, before or {}, now=now, public_url="http://in.example/")


def remembered(*heard: RouteReport, **target: Any) -> View:
    """A fleet that lacks d1, whose last words are of one target."""
    ((_, last),) = seen(**target).reports
    assert last is not None
    reports = tuple((f"d{number}", one) for number, one in enumerate(heard, start=2))
    return View(complete=True, reports=reports, remembered=(("d1", last),))


def counted(of: Document) -> Document:
    return {field: of[field] for field in COUNTER_FIELDS}


def times(of: Document) -> dict[str, str]:
    return {one["type"]: one["lastTransitionTime"] for one in of["conditions"]}


def test_a_condition_keeps_its_time_until_its_status_changes() -> None:
    first = told(FINDING, seen(), now="T1")
    second = told(FINDING, seen(circuit="Open"), first, now="T2")

    assert times(second) == times(first) | {"Healthy": "T2"}


def test_the_same_again_is_the_same() -> None:
    first = told(FINDING, seen(pending=5))

    assert told(FINDING, seen(pending=5), first, now="T2") == first


def test_a_refused_route_stalls_until_it_is_mended() -> None:
    refused = told(msgspec.structs.replace(FINDING, objection=say("Invalid", faults="no")), seen())
    mended = told(FINDING, seen(), refused)

    assert [one["type"] for one in refused["conditions"]][-1] == "Stalled"
    assert "Stalled" not in [one["type"] for one in mended["conditions"]]


def test_the_address_is_told_once_there_is_a_plan() -> None:
    without = Finding(uid="u", generation=1, objection=None, targets=("crm",), path="/shop/orders")

    assert told(FINDING, seen())["address"] == {"url": "http://in.example/shop/orders"}
    assert "address" not in told(without, seen())


def test_until_the_fleet_is_complete_what_was_said_about_dispatchers_stays() -> None:
    before = told(FINDING, seen(circuit="Open", pending=7))

    assert told(FINDING, View(complete=False), before, now="T2") == before


def test_what_a_dispatcher_counted_stays_while_it_is_away_and_is_no_news_when_it_is_back() -> None:
    facts: dict[str, Any] = {"circuit": "Open", "pending": 7, "dead_letters": 3, "last_error": "connect failed"}
    before = told(FINDING, seen(**facts))
    away = told(FINDING, remembered(**facts), before)
    back = told(FINDING, seen(**facts), away)

    assert counted(away) == counted(before)
    assert notices(before, away) == notices(away, back) == ()


def test_of_two_the_one_that_is_away_counts_in_by_its_last_words() -> None:
    view = remembered(RouteReport(route=KEY, revision="r", targets=(TargetReport(name="crm", pending=2),)), pending=5)
    found = told(FINDING, view)

    assert (found["pending"], found["targets"][0]["pending"]) == (7, 7)


def test_of_what_was_never_heard_stays_what_was_told_last_for_the_targets_of_now() -> None:
    before = told(FINDING, seen(circuit="Open", pending=7, dead_letters=3))
    wider = msgspec.structs.replace(FINDING, targets=("crm", "mail"))
    found = told(wider, View(complete=True, unheard=True), before)

    assert counted(found) == counted(before) | {"targets": [*before["targets"], {"name": "mail"}]}
    assert notices(before, found) == ()


def test_a_new_route_of_which_nobody_was_heard_yet_counts_nothing() -> None:
    found = told(FINDING, View(complete=True, unheard=True))

    assert counted(found) == {"pending": 0, "deadLetters": 0, "openCircuits": 0, "targets": [{"name": "crm"}]}


@pytest.mark.parametrize(
    "finding",
    [
        Finding(uid="u", generation=2, objection=None, in_force=InForce("r", 2)),
        Finding(uid="u", generation=1, objection=None, in_force=InForce("s", 1), fresh=True),
    ],
)
def test_what_was_said_about_another_plan_does_not_stay(finding: Finding) -> None:
    before = told(FINDING, seen())
    found = {one["type"]: one["reason"] for one in told(finding, View(complete=False), before)["conditions"]}

    assert found["Programmed"] == found["Ready"] == found["Healthy"] == "Pending"


@pytest.mark.parametrize(
    "garbage", [{"conditions": None}, {"conditions": ["x", {"type": 7}, {"no": "type"}]}, {"nonsense": {"a": 1}}]
)
def test_garbage_in_a_status_is_written_over(garbage: Document) -> None:
    assert told(FINDING, seen(), garbage) == told(FINDING, seen())


def test_a_last_error_stays_through_a_restart_until_the_target_is_asked_anew() -> None:
    failed = told(FINDING, seen(last_error="503"))
    restarted = told(FINDING, seen(asked=False), failed)
    worse = told(FINDING, seen(last_error="Reset"), restarted)
    well = told(FINDING, seen(asked=True), restarted)

    errors = [one["targets"][0].get("lastError") for one in (failed, restarted, worse, well)]
    assert errors == ["503", "503", "Reset", None]


def test_a_last_error_of_a_target_that_another_dispatcher_has_asked_since_does_not_stay() -> None:
    failed = told(FINDING, seen(last_error="503"))
    other = RouteReport(route=KEY, revision="r", targets=(TargetReport(name="crm"),))
    both = View(complete=True, reports=(("a", other), *seen(asked=False).reports))

    assert "lastError" not in told(FINDING, both, failed)["targets"][0]


@pytest.mark.parametrize("garbage", [7, None, ["503"]])
def test_a_last_error_that_is_none_of_ours_does_not_stay(garbage: object) -> None:
    before = {"targets": [{"name": "crm", "lastError": garbage}]}

    assert "lastError" not in told(FINDING, seen(asked=False), before)["targets"][0]


def test_a_targets_last_error_is_told_as_long_as_a_status_may_hold_it() -> None:
    (target,) = told(FINDING, seen(last_error="x" * 5000))["targets"]

    assert target["lastError"] == "x" * 1024


OTHERS: Document = {"type": "example.com/Reviewed", "status": "True", "reason": "Seen", "message": ""}


def test_of_a_report_no_more_is_told_than_a_status_may_hold() -> None:
    names = ["crm.undo", "." * (LONGEST_NAME + 1), *(f"crm.{number}" for number in range(400))]
    reports = tuple(TargetReport(name=name, pending=1) for name in names)
    found = told(FINDING, View(complete=True, reports=(("d0", RouteReport(route=KEY, revision="r", targets=reports)),)))

    shown = [one["name"] for one in found["targets"]]
    assert (len(shown), shown[:3]) == (MOST_TARGETS, ["crm", "crm.undo", "crm.0"])
    assert found["pending"] == 190, "coarse, of those that are shown"


def test_conditions_of_other_controllers_stand_behind_ours() -> None:
    before = {"conditions": [OTHERS]}
    found = told(FINDING, seen(), before)["conditions"]

    assert found == [*told(FINDING, seen())["conditions"], OTHERS]


def test_in_which_order_another_controller_leaves_the_conditions_is_its_own_affair() -> None:
    first = told(FINDING, seen())
    shuffled = {**first, "conditions": [OTHERS, *reversed(first["conditions"])]}

    assert told(FINDING, seen(), shuffled, now="T2") == shuffled


def test_a_condition_of_ours_that_ended_goes_though_others_stay() -> None:
    refused = told(msgspec.structs.replace(FINDING, objection=say("Invalid", faults="no")), seen())
    mended = told(FINDING, seen(), {**refused, "conditions": [*refused["conditions"], OTHERS]})

    assert [one["type"] for one in mended["conditions"]][-2:] == ["Healthy", OTHERS["type"]]
