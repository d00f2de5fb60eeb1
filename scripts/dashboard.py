"""The Grafana dashboard that the chart can bring along, written by `make chart` from the table below.

Three parts, from what a person on call looks at first: is anything wrong, what goes through, what the two planes do.
Only the product's own metrics are asked, so that it works wherever PodMonitors (or whatever stands in for them) give
`namespace` and `pod`. Pods are told apart where a pod can be ill, and summed over where they are many hands.
"""

import json
import typing

PODS: typing.Final = 'namespace="$namespace"'
ROUTES: typing.Final = f'{PODS},route=~"$route"'
WIDTH: typing.Final = 24  # of Grafana's grid
SOURCE: typing.Final = {"type": "prometheus", "uid": "${datasource}"}


class Panel(typing.NamedTuple):
    """One figure: expressions, each with what its lines are called; *unit* is Grafana's word."""

    title: str
    unit: str
    asks: tuple[tuple[str, str], ...]


class Part(typing.NamedTuple):
    """A row of panels of one *kind*, as many beside each other as fit."""

    title: str
    kind: str
    width: int
    height: int
    panels: tuple[Panel, ...]


def _rate(metric: str, by: str, also: str = "") -> str:
    return f"sum by ({by}) (rate({metric}{{{ROUTES}{also}}}[$__rate_interval]))"


def _p99(metric: str, by: str, among: str) -> str:
    return f"histogram_quantile(0.99, sum by (le, {by}) (rate({metric}_bucket{{{among}}}[$__rate_interval])))"


def _alone(title: str, unit: str, expr: str, called: str) -> Panel:
    return Panel(title, unit, ((expr, called),))


TARGET: typing.Final = "{{route}} {{target}}"
PARTS: typing.Final = (
    Part(
        "Is anything wrong?",
        "stat",
        4,
        4,
        (
            _alone("Dispatchers not ready", "none", f"sum(1 - fanout_ready{{{PODS}}})", ""),
            _alone("Circuits open", "none", f'sum(fanout_circuit_state{{{ROUTES},state=~"Open|HalfOpen"}})', ""),
            _alone("Dead letters", "none", f"sum(fanout_dead_letters{{{ROUTES}}})", ""),
            _alone("Sagas stuck", "none", f"sum(fanout_stuck{{{ROUTES}}})", ""),
            _alone("Routes refused", "none", f"max(fanout_routes_refused{{{PODS}}})", ""),
            _alone("Plans held", "none", f"max(fanout_operator_plans_held{{{PODS}}})", ""),
        ),
    ),
    Part(
        "What goes through",
        "timeseries",
        8,
        8,
        (
            _alone("Events accepted", "reqps", _rate("fanout_events_accepted_total", "route"), "{{route}}"),
            _alone(
                "Events refused", "reqps",
                _rate("fanout_events_refused_total", "route, reason"), "{{route}} {{reason}}",
            ),
            _alone("Delivered", "reqps", _rate("fanout_delivered_total", "route, target"), TARGET),
            _alone(
                "Attempts that failed", "reqps",
                _rate("fanout_attempts_total", "route, target, outcome", ',outcome!="Delivered"'),
                TARGET + " {{outcome}}",
            ),
            _alone("Attempts, p99", "s", _p99("fanout_attempt_seconds", "route, target", ROUTES), TARGET),
            _alone("Retries", "reqps", _rate("fanout_retries_total", "route, target"), TARGET),
            _alone("Pending", "short", f"sum by (route, target) (fanout_pending{{{ROUTES}}})", TARGET),
            _alone("Backlog age", "s", f"max by (route, target) (fanout_backlog_age_seconds{{{ROUTES}}})", TARGET),
            _alone("Pending bytes", "bytes", f"sum by (route, target) (fanout_pending_bytes{{{ROUTES}}})", TARGET),
            _alone("Dead letters kept", "short", f"sum by (route, target) (fanout_dead_letters{{{ROUTES}}})", TARGET),
            _alone(
                "Circuits not closed", "none",
                f'max by (route, target, state) (fanout_circuit_state{{{ROUTES},state=~"Open|HalfOpen"}}) > 0',
                TARGET + " {{state}}",
            ),
            _alone("Callers waiting", "short", f"sum by (route) (fanout_callers_waiting{{{ROUTES}}})", "{{route}}"),
            _alone("Outboxes behind", "s", f"max by (route) (fanout_source_behind_seconds{{{ROUTES}}})", "{{route}}"),
        ),
    ),
    Part(
        "Dispatchers and operators",
        "timeseries",
        8,
        8,
        (
            _alone("Commits, p99", "s", _p99("fanout_journal_commit_seconds", "pod", PODS), "{{pod}}"),
            _alone(
                "Commits that failed", "ops",
                f"sum by (pod) (rate(fanout_journal_commits_failed_total{{{PODS}}}[$__rate_interval]))", "{{pod}}",
            ),
            _alone(
                "Refused at the data port", "reqps",
                f"sum by (problem, status) (rate(fanout_ingress_refused_total{{{PODS}}}[$__rate_interval]))",
                "{{status}} {{problem}}",
            ),
            _alone("Connections", "short", f"sum by (pod) (fanout_ingress_connected{{{PODS}}})", "{{pod}}"),
            Panel(
                "Operators", "short",
                (
                    (f"sum by (pod) (fanout_operator_leader{{{PODS}}})", "{{pod}} leads"),
                    (f"max by (pod) (fanout_operator_waiting{{{PODS}}})", "{{pod}} has to look at"),
                ),
            ),
            Panel(
                "Reconciles", "ops",
                (
                    (f"sum by (pod) (rate(fanout_operator_reconciles_total{{{PODS}}}[$__rate_interval]))", "{{pod}}"),
                    (
                        f"sum by (pod) (rate(fanout_operator_reconcile_failures_total{{{PODS}}}[$__rate_interval]))",
                        "{{pod}} failed",
                    ),
                ),
            ),
        ),
    ),
)  # fmt: skip


def dashboard() -> str:
    """Everything, as Grafana imports it."""
    document = {
        "uid": "fanout",
        "title": "Fanout",
        "tags": ["fanout"],
        "schemaVersion": 39,
        "editable": True,
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "templating": {"list": _variables()},
        "panels": list(_panels()),
    }
    return json.dumps(document, indent=1) + "\n"


def _variables() -> list[dict[str, object]]:
    asked = (
        ("namespace", "label_values(fanout_ready, namespace)", False),
        ("route", f"label_values(fanout_events_accepted_total{{{PODS}}}, route)", True),
    )
    found: list[dict[str, object]] = [{"name": "datasource", "type": "datasource", "query": "prometheus"}]
    for name, query, many in asked:
        one = {"name": name, "type": "query", "datasource": SOURCE, "query": query, "refresh": 2, "sort": 1}
        found.append({**one, "multi": many, "includeAll": many, **({"allValue": ".*"} if many else {})})
    return found


def _panels() -> typing.Iterator[dict[str, object]]:
    """Lay the parts out from top to bottom."""
    number, top = 0, 0
    for part in PARTS:
        number += 1
        yield {"id": number, "type": "row", "title": part.title, "gridPos": _place(0, top, WIDTH, 1), "panels": []}
        top += 1
        beside = WIDTH // part.width
        for place, panel in enumerate(part.panels):
            number += 1
            left, down = place % beside * part.width, place // beside * part.height
            yield _panel(number, part, panel, _place(left, top + down, part.width, part.height))
        top += -(-len(part.panels) // beside) * part.height


def _panel(number: int, part: Part, panel: Panel, place: dict[str, int]) -> dict[str, object]:
    wrong = {"mode": "absolute", "steps": [{"color": "green", "value": None}, {"color": "red", "value": 1}]}
    defaults = {"unit": panel.unit, **({"thresholds": wrong} if part.kind == "stat" else {"min": 0})}
    asks = [
        {"refId": chr(ord("A") + place), "datasource": SOURCE, "expr": expr, "legendFormat": called}
        for place, (expr, called) in enumerate(panel.asks)
    ]
    return {
        "id": number,
        "type": part.kind,
        "title": panel.title,
        "datasource": SOURCE,
        "gridPos": place,
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": asks,
    }


def _place(x: int, y: int, w: int, h: int) -> dict[str, int]:
    return {"x": x, "y": y, "w": w, "h": h}
