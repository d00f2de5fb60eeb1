"""Alerts and dashboard ask for what the product exports, and each alert has a section that says what to do.

Here names, labels and brackets are looked at, the dashboard's too, and what the words of a label can be;
test_alerts_fire.py lets a Prometheus evaluate the alerts.
"""

import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from typing import get_args

import pytest

from fanout_crds.policy import DeadLettersFull
from fanout_dispatcher.engine import bounds
from fanout_dispatcher.telemetry.exposition import CIRCUITS
from scripts.chart import DASHBOARD
from scripts.dashboard import dashboard
from scripts.manifests import ROOT
from tests.chart.exported import Exported, exported, fresh, operator, samples
from tests.chart.render import Document, one, rendered
from tests.harness.helm import HelmError

SCRAPED = {"up": {"namespace", "pod"}}  # what Prometheus itself says of what it scrapes
GIVEN = {"namespace", "pod"}  # labels that a PodMonitor gives to everything
METRIC = re.compile(r"\b(fanout_\w+|up)\b(?:\{([^}]*)\})?")
MATCHER = re.compile(r'(\w+)(?:=|!=|=~|!~)"([^"]*)"')
GROUPED = re.compile(r"\b(?:by|on) \(([^)]*)\)")
ALERT = re.compile(r"^### (Fanout\w+)$", re.MULTILINE)
OPERATIONS = ROOT / "docs" / "operations.md"
HELD = OPERATIONS.read_text().split("\n## Why is a delivery held?\n")[1]
PROBLEMS = ROOT / "docs" / "problems.md"


@cache
def known() -> Exported:
    """Every metric that may be asked for, with its labels."""
    return exported() | SCRAPED


def alerts(*settings: str, values: str = "default") -> list[Document]:
    documents = rendered(*settings, values=values)
    (group,) = one(documents, "PrometheusRule", "fanout")["spec"]["groups"]
    rules: list[Document] = group["rules"]
    return rules


def asked() -> Iterator[tuple[str, str]]:
    """Every expression, with whose it is."""
    for alert in alerts("prometheusRule.enabled=true"):
        yield alert["alert"], alert["expr"]
    for panel in json.loads(dashboard())["panels"]:
        for target in panel.get("targets", ()):
            yield panel["title"], target["expr"]


def grouped(expression: str) -> set[str]:
    """The labels that an expression's `by` and `on` name."""
    return {label.strip() for among in GROUPED.findall(expression) for label in among.split(",")}


def test_every_expression_asks_for_metrics_and_labels_that_are_exported() -> None:
    for whose, expression in asked():
        found = METRIC.findall(re.sub(r"(?:by|on) \([^)]*\)", "", expression))
        assert found, whose
        labels = set(GIVEN)
        for name, matchers in found:
            assert name in known(), f"{whose}: {name}"
            assert {label for label, _ in MATCHER.findall(matchers)} <= known()[name] | GIVEN, whose
            labels |= known()[name]
        assert grouped(expression) <= labels, whose


def test_every_expression_is_closed_and_its_words_are_those_of_the_product() -> None:
    problems = set(re.findall(r"^\| `([\w-]+)` \| \d+ \|", PROBLEMS.read_text(), re.MULTILINE))
    turned = set(re.findall(r'_turned\("(\w+)"', inspect.getsource(bounds)))
    held = set(re.findall(r"`(\w+)`", HELD.split("\n## ")[0]))
    words = {"state": set(CIRCUITS), "problem": problems, "reason": {*turned, *get_args(DeadLettersFull), *held}}
    for whose, expression in asked():
        for opening, closing in ("()", "{}", "[]"):
            assert expression.count(opening) == expression.count(closing), whose
        assert expression.count('"') % 2 == 0, whose
        for label, value in MATCHER.findall(expression):
            assert set(value.split("|")) <= words.get(label, {*value.split("|")}), whose


def test_what_an_alert_takes_the_increase_of_is_counted_from_zero() -> None:
    """A counter that comes with its first count has not increased, says Prometheus: the first time would be missed."""
    there = [*samples(fresh()), *samples(operator())]
    for alert in alerts("prometheusRule.enabled=true"):
        for name, matchers in re.findall(r"(?:increase|delta|rate)\((\w+)\{([^}]*)\}", alert["expr"]):
            wanted = {label: set(words.split("|")) for label, words in MATCHER.findall(matchers) if label not in GIVEN}
            found = [labels for one, labels in there if one == name]
            for label, words in wanted.items():
                assert words <= {labels[label] for labels in found}, alert["alert"]
            assert found, alert["alert"]


def test_every_alert_has_a_section_that_says_what_to_do_and_every_section_an_alert() -> None:
    sections = ALERT.findall(OPERATIONS.read_text())
    found = alerts("prometheusRule.enabled=true")

    assert [each["alert"] for each in found] == sections
    for each in found:
        assert each["annotations"]["runbook_url"] == f"docs/operations.md#{each['alert'].lower()}"
        assert each["labels"]["severity"] in {"critical", "warning"}


def test_what_an_alert_says_is_of_labels_that_it_has() -> None:
    for each in alerts("prometheusRule.enabled=true"):
        named = set(re.findall(r"\$labels\.(\w+)", each["annotations"]["summary"]))
        assert named <= (grouped(each["expr"]) or GIVEN), each["alert"]


def test_alerts_are_about_the_pods_of_their_release_only() -> None:
    for each in alerts("prometheusRule.enabled=true"):
        for name, matchers in METRIC.findall(each["expr"]):
            component = "operator" if name.startswith("fanout_operator_") else "dispatcher"
            assert matchers.startswith(f'namespace="events",pod=~"fanout-{component}-.+"'), each["alert"]


def test_the_installer_says_where_runbooks_are_what_is_late_and_what_is_no_alert() -> None:
    found = {each["alert"]: each for each in alerts(values="everything")}

    assert "FanoutSourceBehind" not in found
    assert found["FanoutCircuitOpen"]["for"] == "1h"
    assert found["FanoutBacklogOld"]["expr"].endswith("> 60")
    assert found["FanoutSagaStuck"]["annotations"]["runbook_url"] == (
        "https://wiki.example.com/fanout/operations#fanoutsagastuck"
    )
    assert (
        one(rendered(values="everything"), "PrometheusRule", "fanout")["metadata"]["labels"]["release"] == "prometheus"
    )
    with pytest.raises(HelmError, match="there is no alert FanoutSagaStuk; there are FanoutDeadLetters,"):
        rendered("prometheusRule.enabled=true", "prometheusRule.disabled={FanoutSagaStuk}")


def test_the_dashboard_is_made_from_its_table_and_comes_as_grafanas_sidecar_finds_it() -> None:
    made = one(rendered(values="everything"), "ConfigMap", "fanout-dashboard")

    assert DASHBOARD.read_text(encoding="utf-8") == dashboard(), "`make chart` writes it anew"
    assert made["data"] == {"fanout.json": dashboard()}
    assert made["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert made["metadata"]["annotations"] == {"grafana_folder": "events"}


def test_no_two_panels_of_the_dashboard_lie_on_each_other() -> None:
    panels = json.loads(dashboard())["panels"]
    places = [panel["gridPos"] for panel in panels]
    cells = [
        (at["x"] + across, at["y"] + down) for at in places for across in range(at["w"]) for down in range(at["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels)
    assert len(set(cells)) == len(cells)
    assert max(x for x, _ in cells) < 24
