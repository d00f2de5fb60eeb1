"""Prometheus' own reader of rules and of metrics pages, which evaluates alerts as the server would."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.chart.render import Document
from tests.harness.binaries import binary


class PromtoolError(Exception):
    """promtool said no, in its own words."""


def check_rules(groups: Document) -> None:
    """Read rules, and refuse what a server would refuse, or find superfluous."""
    with tempfile.TemporaryDirectory(prefix="fanout-rules-") as folder:
        _run("check", "rules", "--lint=all", "--lint-fatal", str(_written(folder, "rules.json", groups)))


def check_metrics(page: bytes) -> None:
    """Read a metrics page, and hold it to the conventions for names and help texts."""
    _run("check", "metrics", input=page)


def evaluate(groups: Document, cases: Sequence[Document]) -> None:
    """Play the series of each case through the rules; PromtoolError says which alert is not as expected."""
    with tempfile.TemporaryDirectory(prefix="fanout-rules-") as folder:
        _written(folder, "rules.json", groups)
        tests = {"rule_files": ["rules.json"], "evaluation_interval": "30s", "tests": list(cases)}
        _run("test", "rules", str(_written(folder, "tests.json", tests)))


def _written(folder: str, name: str, content: Document) -> Path:
    path = Path(folder) / name
    path.write_text(json.dumps(content), encoding="utf-8")  # JSON is YAML
    return path


def _run(*args: str, input: bytes = b"") -> None:  # noqa: A002 - subprocess's word
    done = subprocess.run([binary("promtool"), *args], input=input, capture_output=True, timeout=120, check=False)
    if done.returncode:
        raise PromtoolError((done.stderr + done.stdout).decode().strip())
