"""docs/patterns.md: each pattern is a manifest of ten lines at most, and each is one that is accepted."""

import pathlib
import re

import pytest
import yaml

from fanout_crds import compile as compiling
from fanout_crds.compile import Installation, Refs
from fanout_crds.route import parse

PAGE = (pathlib.Path(__file__).parents[2] / "docs" / "patterns.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^## ([^\n]*)\n```yaml\n(.*?)```", PAGE, re.MULTILINE | re.DOTALL)


def test_there_is_one_block_for_each_heading() -> None:
    assert len(BLOCKS) == PAGE.count("\n## ")


@pytest.mark.parametrize(("pattern", "block"), BLOCKS)
def test_a_pattern_is_a_manifest_of_ten_lines_at_most(pattern: str, block: str) -> None:
    metadata = {"name": "pattern", "namespace": "docs"}
    document = {"apiVersion": "fanout.dev/v1alpha1", "kind": "FanoutRoute", "metadata": metadata}

    made = compiling.compile(parse(document | {"spec": yaml.safe_load(block)}), Installation(), Refs(), "r1")

    assert made.plan.targets, pattern
    assert len(block.splitlines()) <= 10
