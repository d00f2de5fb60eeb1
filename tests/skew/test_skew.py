"""Two versions in a row understand each other: plans one way, reports the other, and a journal that is older."""

import json
import pathlib
import typing

import msgspec
import pytest

from fanout_crds import plan, report
from fanout_crds.compile import Installation, Refs
from fanout_crds.compile import compile as compile_route
from fanout_crds.manifests import load
from fanout_crds.plan import features
from fanout_crds.route import parse
from tests.skew import plan_before, report_before
from tests.unit.crds.corpus import changed, good

HERE = pathlib.Path(__file__).parent
EXAMPLES = HERE.parents[1] / "examples"
POLICY = "spec.targets[0].policy"
Json = dict[str, typing.Any]


def today(at: str = "spec.suspend", value: object = False) -> plan.Plan:
    """What this version's operator makes of a manifest with one thing in it."""
    return compile_route(parse(changed(good(), at, value)), Installation(), Refs(), "r1").plan


def lines(text: bytes) -> list[bytes]:
    return text.splitlines()


# --- plans: the operator writes, the dispatcher reads -----------------------------------------------------------------


def test_a_plan_of_the_version_before_means_what_it_meant() -> None:
    text = (HERE / "plan_before.json").read_bytes()
    found, meant = json.loads(plan.encode(plan.decode(text))), json.loads(text)

    assert _without_additions(found, meant) == meant


def test_what_came_later_is_off_in_a_plan_of_the_version_before() -> None:
    found = plan.decode((HERE / "plan_before.json").read_bytes())
    target = found.targets[0]

    assert (found.rate, found.idempotency, found.batches) == (None, None, False)
    policy = target.policy
    assert (policy.retry.budget, policy.rate_limit, policy.bulkhead.adaptive, target.delay) == (None, None, None, 0)
    assert (policy.hedge, policy.bulkhead.max_queue) == (None, None)
    assert target.when is None
    assert (policy.circuit_breaker.mode, policy.circuit_breaker.slow_call_duration) == ("Auto", 0)
    assert policy.retry.backoff.schedule == ()


def test_the_version_before_reads_the_plan_of_today() -> None:
    made = today()
    found = plan_before.decode(plan.encode(made))

    assert (found.key, found.revision, found.path) == (made.key, made.revision, made.path)
    assert [(one.name, one.url) for one in found.targets] == [(one.name, one.url) for one in made.targets]
    assert json.loads(plan_before.encode(found)) == _without_additions(
        json.loads(plan.encode(made)), json.loads(plan_before.encode(found))
    )


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (f"{POLICY}.rateLimit", {"requests": 5, "per": "1s"}),
        (f"{POLICY}.bulkhead.adaptive", {"min": 1, "initial": 2, "max": 4}),
        (f"{POLICY}.hedge", {"delay": "50ms"}),
        ("spec.accept.rateLimit", {"requests": 5}),
    ],
)
def test_the_version_before_carries_out_a_route_without_what_it_does_not_know(at: str, value: object) -> None:
    made = today(at, value)

    assert made.needs == ()
    assert plan_before.decode(plan.encode(made)).targets[0].url == today().targets[0].url


def test_a_route_is_refused_where_what_is_not_known_would_be_left_out_of_it_and_wrong_without(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without dependsOn the saga of the examples would do all its steps at once, without compensate undo none."""
    (saga,) = load([EXAMPLES / "09-saga"]).routes
    made = compile_route(saga.route, Installation(), Refs(), "r1").plan

    assert made.needs == ("compensate", "dependsOn", "finally")
    for name in made.needs:
        monkeypatch.setattr(features, "KNOWN", plan.KNOWN - {name})
        with pytest.raises(plan.UnknownFeature, match=f"upgrade this dispatcher first: the plan needs {name}, which"):
            plan.decode(plan.encode(made))


def test_what_came_later_and_would_be_wrong_to_leave_out_is_in_no_plan_of_the_version_before() -> None:
    assert plan.needs(plan.decode((HERE / "plan_before.json").read_bytes())) == ()


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (f"{POLICY}.retry.backoff", {"type": "Schedule", "preset": "StandardWebhooks"}),
    ],
)
def test_the_version_before_refuses_a_route_whose_words_it_does_not_know(at: str, value: object) -> None:
    with pytest.raises(ValueError, match=r"policy\.retry\.backoff\.type"):
        plan_before.decode(plan.encode(today(at, value)))


def test_a_dispatcher_reads_this_format_and_the_one_before() -> None:
    assert {plan.FORMAT, max(1, plan.FORMAT - 1)} == plan.READABLE


@pytest.mark.parametrize(("strange", "advice"), [(plan.FORMAT + 1, "dispatcher"), (0, "operator")])
def test_any_other_format_is_refused_with_the_plane_to_upgrade(strange: int, advice: str) -> None:
    document = json.loads(plan.encode(today())) | {"format": strange, "targets": "something else"}

    with pytest.raises(plan.UnknownFormat, match=rf"format {strange} is not one .*: upgrade the {advice}"):
        plan.decode(json.dumps(document))


# --- reports: the dispatcher writes, the operator reads ---------------------------------------------------------------


def test_an_operator_reads_the_report_of_the_version_before() -> None:
    found = [report.decode(line) for line in lines((HERE / "report_before.ndjson").read_bytes())]

    target = report.TargetReport(name="crm", circuit="Open", pending=3, dead_letters=1, last_error="ConnectFailed")
    assert found == [
        report.Hello(format=1, epoch="e1"),
        report.RouteReport(route="shop/orders", revision="r1", generation=2, targets=(target,)),
        report.RouteReport(route="shop/new", refused="format 9"),
        report.SnapshotEnd(),
        report.Gone(route="shop/new"),
        report.Heartbeat(),
    ]


def test_the_operator_before_reads_the_report_of_today() -> None:
    target = report.TargetReport(name="crm", circuit="Open", pending=3, dry_run=True)
    route = report.RouteReport(route="shop/orders", revision="r1", generation=2, targets=(target,))
    found = report_before.decode(report.encode(route))

    assert found == report_before.RouteReport(
        route="shop/orders",
        revision="r1",
        generation=2,
        targets=(report_before.TargetReport(name="crm", circuit="Open", pending=3),),
    )


def test_every_line_of_today_is_one_the_operator_before_reads_or_skips() -> None:
    said: list[report.Line] = [
        report.Hello(format=report.FORMAT, epoch="e"),
        report.SnapshotEnd(),
        report.Gone(route="shop/orders"),
        report.Heartbeat(),
    ]

    for line in said:
        found = report_before.decode(report.encode(line))
        assert found is None or msgspec.to_builtins(found).items() <= msgspec.to_builtins(line).items()


def test_an_operator_follows_this_format_and_the_one_before() -> None:
    assert {report.FORMAT, max(1, report.FORMAT - 1)} == report.READABLE


def _without_additions(found: typing.Any, meant: typing.Any) -> typing.Any:
    """Leave out of *found* the fields that *meant* does not have, at every depth."""
    match found, meant:
        case dict(), dict():
            return {key: _without_additions(value, meant[key]) for key, value in found.items() if key in meant}
        case list(), list() if len(found) == len(meant):
            return [_without_additions(one, other) for one, other in zip(found, meant, strict=True)]
        case _:
            return found
