"""Dependencies between targets: what is wrong with them, and what a plan makes of them."""

import pytest

from fanout_crds import compile as compiling
from fanout_crds.compile import Compiled, Installation, Refs
from fanout_crds.faults import Invalid
from fanout_crds.route import parse
from tests.unit.crds.corpus import Json, changed, good


def compiled(document: Json) -> Compiled:
    """The plan of a manifest."""
    return compiling.compile(parse(document), Installation(), Refs(), "r1")


def targets(*said: Json) -> Json:
    """A manifest with these targets, each at an address of its own."""
    return changed(
        good(), "spec.targets", [{"url": f"https://{one['name']}.example.com/events", **one} for one in said]
    )


def faults_of(document: Json) -> list[str]:
    """What is wrong with a manifest."""
    with pytest.raises(Invalid) as refused:
        compiled(document)
    return [str(one) for one in refused.value.faults]


def test_a_name_that_no_target_has_is_refused_with_the_nearest_one() -> None:
    said = faults_of(targets({"name": "payment"}, {"name": "stock", "dependsOn": ["paymant"]}))

    assert said == [
        'spec.targets[1].dependsOn[0]: no target is named paymant; did you mean "payment"?',
    ]


def test_a_target_that_depends_on_itself_is_refused() -> None:
    assert faults_of(targets({"name": "a", "dependsOn": ["a"]})) == [
        "spec.targets[0].dependsOn[0]: a target cannot depend on itself"
    ]


def test_a_circle_is_refused_with_the_way_round() -> None:
    said = faults_of(
        targets(
            {"name": "a", "dependsOn": ["c"]},
            {"name": "b", "dependsOn": ["a"]},
            {"name": "c", "dependsOn": ["b"]},
            {"name": "d", "dependsOn": ["a"]},
        )
    )

    assert said == ["spec.targets[0].dependsOn[0]: dependsOn goes in a circle: a → c → b → a"]


def test_a_circle_is_told_at_a_name_that_closes_it() -> None:
    said = faults_of(
        targets(
            {"name": "a", "dependsOn": ["b"]},
            {"name": "b", "dependsOn": ["d", "c"]},
            {"name": "c", "dependsOn": ["d", "b"]},
            {"name": "d"},
        )
    )

    assert said == ["spec.targets[1].dependsOn[1]: dependsOn goes in a circle: b → c → b"]


def test_a_target_of_a_saga_has_to_come_to_an_end() -> None:
    undo = {"url": "https://payment.example.com/refunds"}
    forever = {"timeouts": {"total": "0s"}}

    said = faults_of(targets({"name": "payment", "compensate": undo}, {"name": "stock", "policy": forever}))

    assert said == [
        "spec.targets[1].policy.timeouts.total: must not be 0s in a saga: while a target may still be tried nothing is"
        " compensated"
    ]


def test_an_order_that_is_inherited_is_told_with_how_a_target_leaves_it_out() -> None:
    document = targets({"name": "a"}, {"name": "b", "dependsOn": ["a"], "policy": {"ordering": {"mode": "Disabled"}}})

    said = faults_of(changed(document, "spec.defaults.policy.ordering", {"keyAttribute": "subject"}))

    assert said == [
        "spec.targets[0].policy.ordering: does not go with dependsOn, compensate, fallback or finally: this version"
        " keeps order only on a route whose targets are each on their own; it is inherited, and mode Disabled switches"
        " it off here"
    ]


def test_who_stands_behind_the_targets_is_named_after_what_it_is_for() -> None:
    document = targets(
        {"name": "payment", "compensate": {"url": "https://payment.example.com/refunds"}},
        {"name": "stock", "dependsOn": ["payment"], "onDead": "Continue"},
    )
    document["spec"]["finally"] = [{"name": "audit", "url": "https://audit.example.com/"}]

    plan = compiled(document).plan

    assert [(one.role, one.of, one.target.name) for one in plan.behind] == [
        ("Compensation", "payment", "payment.compensate"),
        ("Final", "", "audit.finally"),
    ]
    assert (plan.targets[1].depends_on, plan.targets[1].on_dead) == (("payment",), "Continue")
    assert {one.target.policy.timeouts.total for one in plan.behind} == {0.0}
    assert {one.target.policy.retry.max_attempts for one in plan.behind} == {20}


@pytest.mark.parametrize(
    "more",
    [
        {"dependsOn": ["a"]},
        {"compensate": {"url": "https://b.example.com/undo"}},
        {"fallback": {"type": "Target", "target": {"url": "https://c.example.com/"}}},
    ],
)
def test_a_target_of_a_graph_keeps_no_order(more: Json) -> None:
    ordering = {"ordering": {"keyAttribute": "subject"}}

    said = faults_of(targets({"name": "a", "policy": ordering}, {"name": "b", **more}))

    assert said == [
        "spec.targets[0].policy.ordering: does not go with dependsOn, compensate, fallback or finally: this version"
        " keeps order only on a route whose targets are each on their own"
    ]
