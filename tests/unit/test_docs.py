"""What people look up when something is wrong is in the docs: every reason, every problem, every flag.

And what is there is where a reader sees it: a table shows no cell beyond its header's.
"""

import ast
import pathlib
import re
import typing

import click
import pytest

import fanout_dispatcher.engine
from fanout_crds import kinds, policy, references, route
from fanout_dispatcher.cli.run import run
from fanout_dispatcher.ingress import problems
from fanout_dispatcher.values.answers import Turned
from fanout_dispatcher.values.outcome import Fault, Reason
from fanout_operator import events
from fanout_operator.reasons import REASONS

DOCS = pathlib.Path(__file__).parents[2] / "docs"
OPERATIONS = (DOCS / "operations.md").read_text(encoding="utf-8")
PROBLEMS = (DOCS / "problems.md").read_text(encoding="utf-8")
NEVER_TRIED_AGAIN = {Fault.ANSWER_TOO_LARGE, Fault.ADDRESS_REFUSED}  # so no policy can name them
BAR = re.compile(r"(?<!\\)\|")
API = (policy.AfterDeath, policy.DeadLettersFull, policy.QueueFull, route.Durability, route.OnDead)


def words_of_the_engine() -> set[str]:
    """Every word in the engine's code that could be a reason: why a delivery is held, why an event is turned away."""
    (folder,) = fanout_dispatcher.engine.__path__
    trees = [ast.parse(file.read_text(encoding="utf-8")) for file in sorted(pathlib.Path(folder).glob("*.py"))]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    types = {node.name for node in nodes if isinstance(node, ast.ClassDef)}
    words = {node.value for node in nodes if isinstance(node, ast.Constant) and isinstance(node.value, str)}
    api = {word for literal in API for word in typing.get_args(literal)}
    return {word for word in words if re.fullmatch(r"([A-Z][a-z]+)+", word)} - types - api


def slug_of(reason: str) -> str:
    return problems.turned(Turned(status=503, reason=reason, detail="")).problem.slug


@pytest.mark.parametrize("reason", [*map(str, Reason), *typing.get_args(references.Reason), *sorted(REASONS)])
def test_every_reason_has_its_line_in_operations_with_what_to_do(reason: str) -> None:
    rows = [line.strip("| ").split(" | ") for line in OPERATIONS.splitlines() if line.startswith("| `")]
    advice = [row[2] for row in rows if f"`{reason}`" in row[0] and len(row) == 3]

    assert advice
    assert all(advice)


@pytest.mark.parametrize("event", events.SENTENCES)
def test_every_event_of_the_operator_is_in_operations(event: str) -> None:
    assert f"`{event}`" in OPERATIONS


def test_every_word_of_the_engine_is_explained_as_a_reason_or_as_a_problem() -> None:
    words = words_of_the_engine()

    assert {"Suspended", "JournalFull"} <= words
    assert [word for word in words if f"`{word}`" not in OPERATIONS and f"| `{slug_of(word)}` |" not in PROBLEMS] == []


@pytest.mark.parametrize("problem", problems.ALL, ids=lambda one: one.slug)
def test_every_problem_has_its_row_with_its_status(problem: problems.Problem) -> None:
    assert f"| `{problem.slug}` | {problem.status} |" in PROBLEMS


@pytest.mark.parametrize("flag", [one.opts[0] for one in run.params if isinstance(one, click.Option)])
def test_every_flag_of_the_dispatcher_is_in_operations(flag: str) -> None:
    assert re.search(rf"{flag}[` ]", OPERATIONS)


def test_a_policy_can_name_each_fault_that_may_be_tried_again() -> None:
    assert set(kinds.FAULT_NAMES) == set(Fault) - NEVER_TRIED_AGAIN


@pytest.mark.parametrize("page", sorted(DOCS.rglob("*.md")), ids=lambda one: str(one.relative_to(DOCS)))
def test_each_row_of_a_table_has_as_many_cells_as_its_header(page: pathlib.Path) -> None:
    """Rows above which none stands begin a table; what is fenced is not ours to judge."""
    text = re.sub(r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE)
    tables = [one.splitlines() for one in re.findall(r"(?:^\|.*\n?)+", text, flags=re.MULTILINE)]

    assert [row for header, *rows in tables for row in rows if len(BAR.findall(row)) != len(BAR.findall(header))] == []
