"""A plan on the wire."""

import json

import msgspec
import pytest

from fanout_crds import plan
from fanout_crds.compile import Installation, Refs
from fanout_crds.compile import compile as compile_route
from fanout_crds.route import parse
from tests.unit.crds.corpus import good


def some_plan() -> plan.Plan:
    return compile_route(parse(good()), Installation(), Refs(), "r1").plan


def test_a_plan_comes_back_as_it_was() -> None:
    made = some_plan()

    assert plan.decode(plan.encode(made)) == made


def test_the_same_plan_is_always_the_same_bytes_in_camel_case() -> None:
    written = plan.encode(some_plan())

    assert written == plan.encode(some_plan())
    assert b'"maxBodySize"' in written
    assert b"max_body_size" not in written


def test_a_format_of_the_future_is_refused_in_words() -> None:
    document = json.loads(plan.encode(some_plan())) | {"format": 9, "targets": "something new"}

    with pytest.raises(plan.UnknownFormat, match=r"format 9 is not one this dispatcher reads \(1\): upgrade"):
        plan.decode(json.dumps(document))


def test_a_plan_that_needs_what_is_not_known_is_refused_with_its_names_whatever_else_is_in_it() -> None:
    needs = {"needs": ["teleport", "when", "zeal"], "targets": "something new"}
    document = json.loads(plan.encode(some_plan())) | needs

    says = "^upgrade this dispatcher first: the plan needs teleport, zeal, which it does not know$"
    with pytest.raises(plan.UnknownFeature, match=says):
        plan.decode(json.dumps(document))


def test_a_plan_that_needs_what_is_known_is_read() -> None:
    made = msgspec.structs.replace(some_plan(), needs=tuple(sorted(plan.KNOWN)))

    assert plan.decode(plan.encode(made)) == made


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"format": "1"}', '{"format": 1}', "\xff"])
def test_what_is_no_plan_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        plan.decode(text)


def test_a_plan_says_where_it_is_wrong() -> None:
    document = json.loads(plan.encode(some_plan()))
    document["targets"][0]["policy"]["retry"]["maxAttempts"] = "three"

    with pytest.raises(ValueError, match=r"\$\.targets\[0\]\.policy\.retry\.maxAttempts|\$\.targets\[\.\.\.\]"):
        plan.decode(json.dumps(document))
