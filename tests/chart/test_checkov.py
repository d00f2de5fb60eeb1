"""What checkov finds in all that we hand out, against what is explained: in the chart's README, or in the file itself.

Each release has a name of its own: else checkov would take the NetworkPolicies of one for those of another.
Comments that make checkov look away are made unreadable first, so that one that explains nothing any more is seen too.
"""

import re
from pathlib import Path

import pytest
import yaml

from scripts.chart import README
from scripts.manifests import ROOT, install
from tests.chart.render import MATRIX, rendered
from tests.harness.checkov import Finding, Missing, scan
from tests.support.missing import without

FILES = ("Dockerfile", "charts", "examples")
LOOK_AWAY = re.compile(r"checkov:skip=(\w+): \S")
ROW = re.compile(r"^\| (CKV\w+) \| ([\w, ]+) \| .+ \|$", re.MULTILINE)
NO_NAMESPACE = "CKV_K8S_21"  # found in each object, where it is found

pytestmark = pytest.mark.timeout(300)  # some seconds on a machine of its own


def test_in_what_is_rendered_checkov_finds_what_the_readme_explains_and_nothing_else(tmp_path: Path) -> None:
    releases = {values: rendered(release=values, values=values) for values in MATRIX if values != "default"}
    releases["default"] = rendered(release="release-name", namespace="default")  # as checkov renders a chart by itself
    for name, documents in (*releases.items(), ("install", yaml.safe_load_all(install()))):
        # The definition of routes is large, and among our files already.
        apart = [each for each in documents if each["kind"] != "CustomResourceDefinition"]
        _write(tmp_path / f"{name}.yaml", yaml.safe_dump_all(apart))

    found = _scan(tmp_path, ("kubernetes",))

    assert {(one.check, _of(one)) for one in found} == _explained()


def test_in_our_files_checkov_finds_what_a_comment_there_explains_and_nothing_else(tmp_path: Path) -> None:
    files = _files()
    for name, text in files.items():
        _write(tmp_path / name, text.replace("checkov:skip", ""))

    found = _scan(tmp_path, ("kubernetes", "dockerfile", "secrets"))

    explained = {(check, name) for name, text in files.items() for check in LOOK_AWAY.findall(text)}
    assert {(one.check, one.file.relative_to(tmp_path)) for one in found} == explained


def test_who_starts_checkov_in_the_checkout_hears_of_nothing_that_the_readme_explains() -> None:
    config = yaml.safe_load((ROOT / ".checkov.yaml").read_text())

    assert sorted(config["skip-check"]) == sorted({check for check, _ in _explained()})


def _scan(folder: Path, frameworks: tuple[str, ...]) -> set[Finding]:
    """Scan; without checkov the test ends here."""
    try:
        return scan(folder, frameworks)
    except Missing as why:
        without("checkov", str(why))


def _files() -> dict[Path, str]:
    """What people copy, as it lies in the checkout."""
    paths = (path for name in FILES for path in [ROOT / name, *(ROOT / name).rglob("*")])
    return {path.relative_to(ROOT): path.read_text(encoding="utf-8") for path in paths if path.is_file()}


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text, encoding="utf-8")


def _of(finding: Finding) -> str:
    """Whose object it is, by its name: StatefulSet.fanout.fanout-dispatcher, Pod.events.own-operator.<labels>."""
    return "everything" if finding.check == NO_NAMESPACE else finding.resource.split(".")[2].rpartition("-")[2]


def _explained() -> set[tuple[str, str]]:
    """The README's table, a pair for each that a row is about."""
    return {(check, one) for check, of in ROW.findall(README.read_text()) for one in of.split(", ")}
