"""Alerts and metrics pages as a Prometheus reads them.

Each alert fires for what it is about, no other one does, and what is usual fires none.

Every case is the healthy installation below with a few series in another state. Times are minutes; a value stands for
half a minute, as often as a PodMonitor scrapes by default.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest

from tests.chart.exported import fresh, happened
from tests.chart.exported import operator as operator_page
from tests.chart.promtool import PromtoolError, check_metrics, check_rules, evaluate
from tests.chart.render import Document, one, rendered

Series = dict[str, str]

MINUTES = 60
ALWAYS = MINUTES * 2  # values after the first
D0, D1 = {"pod": "fanout-dispatcher-0"}, {"pod": "fanout-dispatcher-1"}
O0, O1 = {"pod": "fanout-operator-5d8c-x"}, {"pod": "fanout-operator-5d8c-y"}
ROUTE = {"route": "shop/orders"}
CRM = {**ROUTE, "target": "crm"}
SMS = {"route": "shop/returns", "target": "sms"}
SLOW = {**ROUTE, "target": "reminder"}
NAMESPACE = {"namespace": "events"}
NEVER = f"_x{ALWAYS}"  # a series that is not there


def series(name: str, **labels: str) -> str:
    """How promtool writes a series of ours."""
    written = ",".join(f'{label}="{value}"' for label, value in {**NAMESPACE, **labels}.items())
    return f"{name}{{{written}}}"


def still(value: float) -> str:
    """The same all the time."""
    return f"{value}x{ALWAYS}"


def grows(step: float, start: float = 0) -> str:
    """A counter that counts *step* each time."""
    return f"{start}+{step}x{ALWAYS}"


def then(before: float, minutes: int, after: float) -> str:
    """*before* for so long, then *after*."""
    return f"{before}x{minutes * 2 - 1} {after}x{ALWAYS - minutes * 2}"


def circuit(pod: dict[str, str], **values: str) -> Series:
    """The states of a circuit, 0 where nothing else is said."""
    states = ("Closed", "Open", "HalfOpen", "Disabled")
    return {series("fanout_circuit_state", **pod, **CRM, state=one): values.get(one, still(0)) for one in states}


def dispatcher(pod: dict[str, str]) -> Series:
    """What a dispatcher exports that is well: 10 deliveries a second, some letters of old, some refused requests."""
    return {
        series("up", **pod): still(1),
        series("fanout_ready", **pod): still(1),
        series("fanout_routes_refused", **pod): still(0),
        series("fanout_routes_held", **pod): still(0),
        series("fanout_dead_letters", **pod, **CRM): still(3),
        series("fanout_dead_letters_dropped_total", **pod, **CRM, reason="DropOldest"): still(0),
        series("fanout_dead_letters_dropped_total", **pod, **CRM, reason="Keep"): grows(1),
        series("fanout_events_refused_total", **pod, **ROUTE, reason="QueueFull"): still(0),
        series("fanout_events_refused_total", **pod, **ROUTE, reason="DeadLettersFull"): still(0),
        series("fanout_events_refused_total", **pod, **ROUTE, reason="Suspended"): grows(1),
        series("fanout_pending", **pod, **CRM): still(200),
        series("fanout_delivered_total", **pod, **CRM): grows(300),
        series("fanout_retries_total", **pod, **CRM): grows(2),
        series("fanout_backlog_age_seconds", **pod, **CRM): still(2),
        series("fanout_held", **pod, **CRM, reason="SecretNotFound"): NEVER,
        series("fanout_pending", **pod, **SMS): still(500),  # its route is suspended
        series("fanout_delivered_total", **pod, **SMS): still(7),
        series("fanout_held", **pod, **SMS, reason="Suspended"): still(1),
        series("fanout_pending", **pod, **SLOW): still(3),  # which wait for their delay, or for others of their graph
        series("fanout_delivered_total", **pod, **SLOW): still(7),
        series("fanout_retries_total", **pod, **SLOW): still(2),
        series("fanout_stuck", **pod, **CRM): still(0),
        series("fanout_source_behind_seconds", **pod, **ROUTE): still(2),
        series("fanout_journal_commits_failed_total", **pod, durability="Journal"): still(0),
        series("fanout_ingress_refused_total", **pod, problem="journal-full", status="503"): still(0),
        series("fanout_ingress_refused_total", **pod, problem="no-route", status="404"): grows(5),
        **circuit(pod, Closed=still(1)),
    }


def operator(pod: dict[str, str], *, leads: bool) -> Series:
    """What an operator exports that is well."""
    return {
        series("up", **pod): still(1),
        series("fanout_operator_leader", **pod): still(int(leads)),
        series("fanout_operator_plans_held", **pod): still(0),
        series("fanout_operator_age_seconds", **pod, of="watch"): still(20),
        series("fanout_operator_reconcile_failures_total", **pod): still(2),
    }


HEALTHY = {**dispatcher(D0), **dispatcher(D1), **operator(O0, leads=True), **operator(O1, leads=False)}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One alert: what is ill, when it fires, and what it says. ``of``: its labels but for namespace and severity."""

    alert: str
    ill: Series
    at: int
    says: str
    of: dict[str, str] = field(default_factory=dict)
    severity: str = "warning"
    not_yet: int = 9  # the illness begins at 10
    gone: tuple[str, ...] = ()  # series that end at 10: their names
    name: str = ""

    def __str__(self) -> str:
        return self.name or self.alert


CASES = (
    Case(
        alert="FanoutDeadLetters",
        ill={series("fanout_dead_letters", **D0, **CRM): then(3, 10, 9)},
        at=15,
        of=CRM,
        says="Deliveries of shop/orders to crm are given up on",
    ),
    Case(
        alert="FanoutDeadLettersDropped",
        ill={
            series("fanout_dead_letters_dropped_total", **D0, **CRM, reason="DropOldest"): then(0, 10, 4),
        },
        at=15,
        of=CRM,
        severity="critical",
        says="Dead letters of shop/orders for crm are lost: there is no more room for them",
    ),
    Case(
        alert="FanoutQueueFull",
        ill={series("fanout_events_refused_total", **D1, **ROUTE, reason="QueueFull"): then(0, 10, 1)},
        at=13,
        of={**ROUTE, "reason": "QueueFull"},
        severity="critical",
        says="shop/orders refuses events, QueueFull: producers get 503",
    ),
    Case(
        alert="FanoutCircuitOpen",
        ill=circuit(
            D0,
            Closed=then(1, 10, 0),
            Open=f"0x19 {'1 0 ' * (MINUTES - 10)}",
            HalfOpen=f"0x19 {'0 1 ' * (MINUTES - 10)}",
        ),
        at=26,
        not_yet=24,
        of=CRM,
        says="crm of shop/orders has been failing: what is owed to it is held",
        name="FanoutCircuitOpen, with a probe that fails now and then",
    ),
    Case(
        alert="FanoutBacklogOld",
        ill={series("fanout_pending", **pod, **CRM): then(200, 10, 9000) for pod in (D0, D1)},
        at=26,
        not_yet=24,
        of=CRM,
        says="What waits for crm of shop/orders takes 15m 0s to deliver",
    ),
    Case(
        alert="FanoutBacklogOld",
        ill={series("fanout_backlog_age_seconds", **D1, **CRM): f"2x19 2+30x{ALWAYS}"},
        at=40,
        not_yet=34,
        of=CRM,
        says="What waits for crm of shop/orders takes 30m 2s to deliver",
        name="FanoutBacklogOld, of a small queue that does not get its turn",
    ),
    Case(
        alert="FanoutNothingDelivered",
        ill={
            series("fanout_pending", **D0, **CRM): then(200, 10, 5),
            series("fanout_delivered_total", **D0, **CRM): f"0+300x19 6000x{ALWAYS}",
            series("fanout_retries_total", **D0, **CRM): f"0+2x19 40x{ALWAYS}",
            series("fanout_held", **D0, **CRM, reason="SecretNotFound"): f"_x19 1x{ALWAYS}",
        },
        at=31,
        not_yet=29,
        of=CRM,
        says="5 pending for crm of shop/orders, and none gets through",
        name="FanoutNothingDelivered, since a Secret is not there",
    ),
    Case(
        alert="FanoutNothingDelivered",
        ill={
            series("fanout_pending", **D0, **CRM): then(200, 10, 1),
            series("fanout_delivered_total", **D0, **CRM): f"0+300x19 6000x{ALWAYS}",
        },
        at=31,
        not_yet=29,
        of=CRM,
        says="1 pending for crm of shop/orders, and none gets through",
        name="FanoutNothingDelivered, since every attempt fails and its circuit stays closed",
    ),
    Case(
        alert="FanoutSagaStuck",
        ill={series("fanout_stuck", **D0, **CRM): then(0, 10, 1)},
        at=11,
        of=CRM,
        says="Sagas of shop/orders are half undone: crm gave up",
    ),
    Case(
        alert="FanoutSourceBehind",
        ill={series("fanout_source_behind_seconds", **D0, **ROUTE): then(2, 10, 600)},
        at=16,
        not_yet=14,
        of=ROUTE,
        says="The outbox of shop/orders is 10m 0s late",
    ),
    Case(
        alert="FanoutJournalRefuses",
        ill={series("fanout_journal_commits_failed_total", **D0, durability="Journal"): then(0, 10, 2)},
        at=13,
        of=D0,
        severity="critical",
        says="The journal of fanout-dispatcher-0 takes no events: producers get 503",
    ),
    Case(
        alert="FanoutJournalRefuses",
        ill={series("fanout_ingress_refused_total", **D1, problem="journal-full", status="503"): then(0, 10, 7)},
        at=13,
        of=D1,
        severity="critical",
        says="The journal of fanout-dispatcher-1 takes no events: producers get 503",
        name="FanoutJournalRefuses, because it is full",
    ),
    Case(
        alert="FanoutDispatcherDown",
        ill={series("up", **D1): then(1, 10, 0)},
        at=13,
        not_yet=11,
        of=D1,
        severity="critical",
        says="A dispatcher does not answer (fanout-dispatcher-1): it is gone, or its loop is blocked",
    ),
    Case(
        alert="FanoutDispatcherDown",
        ill={},
        gone=("fanout-dispatcher",),
        at=18,
        not_yet=11,
        severity="critical",
        says="A dispatcher does not answer: it is gone, or its loop is blocked",
        name="FanoutDispatcherDown, because there is none",
    ),
    Case(
        alert="FanoutDispatcherNotReady",
        ill={series("fanout_ready", **D0): then(1, 10, 0)},
        at=16,
        not_yet=14,
        of=D0,
        severity="critical",
        says="Dispatcher fanout-dispatcher-0 cannot accept events",
    ),
    Case(
        alert="FanoutRoutesRefused",
        ill={series("fanout_routes_refused", **D0): then(0, 10, 2)},
        at=21,
        not_yet=19,
        of=D0,
        says="fanout-dispatcher-0 refuses the newest plans of 2 routes",
    ),
    Case(
        alert="FanoutPlansHeld",
        ill={series("fanout_operator_plans_held", **O0): then(0, 10, 12)},
        at=21,
        not_yet=19,
        says="12 routes vanished at once and are served on, until somebody decides",
    ),
    Case(
        alert="FanoutPlansHeld",
        ill={series("fanout_routes_held", **D0): then(0, 10, 5)},
        at=21,
        not_yet=19,
        says="5 routes vanished at once and are served on, until somebody decides",
        name="FanoutPlansHeld, by a dispatcher",
    ),
    Case(
        alert="FanoutOperatorAway",
        ill={series("fanout_operator_leader", **O0): then(1, 10, 0)},
        at=16,
        not_yet=14,
        says="No operator leads; routes run on as they are, and changes wait",
    ),
    Case(
        alert="FanoutOperatorAway",
        ill={},
        gone=("fanout-operator",),
        at=21,
        not_yet=14,
        says="No operator leads; routes run on as they are, and changes wait",
        name="FanoutOperatorAway, because there is none",
    ),
    Case(
        alert="FanoutOperatorNotSyncing",
        ill={series("fanout_operator_age_seconds", **O0, of="watch"): then(20, 10, 400)},
        at=26,
        not_yet=24,
        says="The operator does not get through to the API server; changes of routes wait",
    ),
    Case(
        alert="FanoutOperatorNotSyncing",
        ill={series("fanout_operator_reconcile_failures_total", **O1): f"2x19 2+1x{ALWAYS}"},
        at=26,
        not_yet=24,
        says="The operator does not get through to the API server; changes of routes wait",
        name="FanoutOperatorNotSyncing, since it cannot write",
    ),
)

PASSES: Series = {  # a rollout, a failing target, a burst, a rival: all over before anybody would have to do something
    series("up", **D1): f"1x19 0x2 1x{ALWAYS}",
    series("fanout_ready", **D1): f"1x19 _x2 0x4 1x{ALWAYS}",
    series("fanout_delivered_total", **D1, **CRM): f"0+300x19 _x2 0+300x{ALWAYS}",
    series("fanout_events_refused_total", **D1, **ROUTE, reason="Suspended"): f"40+1x19 _x2 0x{ALWAYS}",
    series("fanout_journal_commits_failed_total", **D1, durability="Journal"): f"0x19 _x2 0x{ALWAYS}",
    **circuit(D0, Closed=f"1x19 0x20 1x{ALWAYS}", Open=f"0x19 1x20 0x{ALWAYS}"),
    series("fanout_pending", **D0, **CRM): f"200x19 20000x20 200x{ALWAYS}",
    series("fanout_held", **D0, **CRM, reason="SecretNotFound"): f"_x19 1x15 _x{ALWAYS}",  # it is made anew
    series("fanout_delivered_total", **D0, **CRM): f"0+300x19 6000x15 6000+300x{ALWAYS}",
    series("fanout_backlog_age_seconds", **D0, **CRM): f"2x19 2+60x20 2x{ALWAYS}",
    series("fanout_dead_letters", **D0, **CRM): f"3x19 1x{ALWAYS}",  # replayed
    series("fanout_operator_leader", **O0): f"1x19 0x{ALWAYS}",
    series("fanout_operator_leader", **O1): f"0x23 1x{ALWAYS}",
    series("fanout_operator_age_seconds", **O0, of="watch"): f"20x19 150x10 20x{ALWAYS}",
}


def rules() -> Document:
    spec: Document = one(rendered("prometheusRule.enabled=true"), "PrometheusRule", "fanout")["spec"]
    return spec


def names() -> list[str]:
    return [each["alert"] for group in rules()["groups"] for each in group["rules"]]


def expecting(minute: int, firing: Case | None) -> list[Document]:
    """What each alert has to say at a time: *firing* what it says, all others nothing."""
    found = []
    for alert in names():
        runbook = f"docs/operations.md#{alert.lower()}"
        fires = firing is not None and firing.alert == alert
        told = {
            "exp_labels": {**NAMESPACE, **firing.of, "severity": firing.severity},
            "exp_annotations": {"summary": firing.says, "runbook_url": runbook},
        } if firing is not None and fires else None  # fmt: skip
        found.append({"eval_time": f"{minute}m", "alertname": alert, "exp_alerts": [told] if told else []})
    return found


def played(shown: Series, expected: list[Document]) -> Document:
    given = [{"series": name, "values": values} for name, values in shown.items()]
    return {"interval": "30s", "input_series": given, "alert_rule_test": expected}


def ended(name: str, values: str, case: Case) -> str:
    """The values of a series that is no more, or those it has."""
    over = any(f'pod="{prefix}-' in name for prefix in case.gone)
    return f"{values.partition('x')[0]}x19" if over else values


def test_every_rule_is_one_that_a_prometheus_takes() -> None:
    for values in ("default", "everything"):
        check_rules(one(rendered("prometheusRule.enabled=true", values=values), "PrometheusRule", "fanout")["spec"])


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_fires_for_what_it_is_about_and_no_other_does(case: Case) -> None:
    shown = {name: ended(name, values, case) for name, values in (HEALTHY | case.ill).items()}
    assert len(shown) == len(HEALTHY), "what is ill is a series of the healthy ones"

    evaluate(rules(), [played(shown, [*expecting(case.not_yet, None), *expecting(case.at, case)])])


def test_there_is_a_case_for_every_alert() -> None:
    assert {case.alert for case in CASES} == set(names())


def test_nothing_fires_while_all_is_well_or_while_what_is_ill_mends_itself() -> None:
    times = [expected for minute in (1, 5, *range(9, 31), 40, MINUTES) for expected in expecting(minute, None)]
    assert (HEALTHY | PASSES).keys() == HEALTHY.keys()

    evaluate(rules(), [played(HEALTHY, times), played(HEALTHY | PASSES, times)])


@pytest.mark.parametrize("page", [happened, fresh, operator_page], ids=["dispatcher", "a new one", "operator"])
def test_a_metrics_page_is_one_that_a_prometheus_takes_with_names_as_it_wants_them(page: Callable[[], bytes]) -> None:
    check_metrics(page())


def test_what_does_not_fire_as_expected_is_found() -> None:
    (stuck,) = [case for case in CASES if case.alert == "FanoutSagaStuck"]

    with pytest.raises(PromtoolError, match="FanoutSagaStuck"):
        evaluate(rules(), [played(HEALTHY, expecting(stuck.at, stuck))])
