"""docs/patterns.md and its pages: each pattern is a manifest that is accepted, argued for and against.

On the overview a manifest has ten lines at most. A page says what it is for, what is dangerous, what it costs, and what
not to do; its blocks are accepted too, the later ones as changes of the first.
"""

import pathlib
import re
import typing

import pytest
import yaml

from fanout_crds import compile as compiling
from fanout_crds.compile import Installation, Refs
from fanout_crds.plan import Plan
from fanout_crds.route import parse

DOCS = pathlib.Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "patterns.md").read_text(encoding="utf-8")
PAGES = sorted((DOCS / "patterns").glob("*.md"))
ARGUED = ("What it is for", "Dangers", "Formula", "Anti-patterns")
OF_A_TARGET = frozenset({"policy", "request"})
BLOCKS = re.findall(r"^## ([^\n]*)\n```yaml\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


def plan_of(spec: dict[str, typing.Any]) -> Plan:
    """Compile a route with this *spec*. Raises Invalid."""
    metadata = {"name": "pattern", "namespace": "shop"}
    document = {"apiVersion": "fanout.dev/v1alpha1", "kind": "FanoutRoute", "metadata": metadata, "spec": spec}
    return compiling.compile(parse(document), Installation(), Refs(), "r1").plan


def changed(spec: dict[str, typing.Any], block: dict[str, typing.Any]) -> dict[str, typing.Any]:
    """Give *spec* with a block of a page in it: a spec, fields of one, or fields of its first target."""
    block = block.get("spec", block)
    first, *others = spec["targets"]
    first = first | {field: value for field, value in block.items() if field in OF_A_TARGET}
    return spec | {"targets": [first, *others]} | {name: one for name, one in block.items() if name not in OF_A_TARGET}


def test_there_is_one_block_for_each_heading() -> None:
    assert len(BLOCKS) == PAGE.count("\n## ")


@pytest.mark.parametrize(("pattern", "block"), BLOCKS)
def test_a_pattern_is_a_manifest_of_ten_lines_at_most(pattern: str, block: str) -> None:
    made = plan_of(yaml.safe_load(block))

    assert made.targets, pattern
    assert len(block.splitlines()) <= 10


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_a_page_argues_for_its_pattern_and_against_it(page: pathlib.Path) -> None:
    headings = re.findall(r"^## (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)

    assert [heading for heading in ARGUED if headings.count(heading) != 1] == []
    assert (headings[0], headings[-1]) == ("What it is for", "Anti-patterns")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_every_manifest_of_a_page_is_accepted(page: pathlib.Path) -> None:
    blocks = re.findall(r"^```yaml\n(.*?)^```", page.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    spec: dict[str, typing.Any] = {"targets": [{"name": "billing", "url": "https://billing.example.com/"}]}

    for block in blocks:
        spec = changed(spec, yaml.safe_load(block))
        assert plan_of(spec).targets

    assert blocks


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_overview_leads_to_every_page(page: pathlib.Path) -> None:
    assert f"](patterns/{page.name}" in PAGE
