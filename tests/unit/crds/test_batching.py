"""Batches in a manifest: what they are by default, and what does not go together with them."""

import pytest

from fanout_crds import compile as compiling
from fanout_crds import plan
from fanout_crds.compile import Installation, Refs
from fanout_crds.faults import Invalid
from fanout_crds.route import parse
from tests.unit.crds.corpus import Json, changed, good

T = "spec.targets[0]"


def policy(said: Json, **spec: Json) -> plan.Policy:
    """The policy that a target gets."""
    document = changed(good(), f"{T}.policy", said)
    document["spec"] |= spec
    return compiling.compile(parse(document), Installation(), Refs(), "r1").plan.targets[0].policy


def faults_of(document: Json) -> list[str]:
    """What is wrong with a manifest."""
    with pytest.raises(Invalid) as refused:
        compiling.compile(parse(document), Installation(), Refs(), "r1")
    return [str(one) for one in refused.value.faults]


def test_a_batch_has_figures_of_its_own_where_none_are_said() -> None:
    assert policy({"batch": {}}).batch == plan.Batch(max_events=100, max_bytes=1 << 20, max_wait=1.0)


def test_without_one_each_delivery_goes_by_itself() -> None:
    assert policy({}).batch is None


def test_a_target_takes_its_figures_over_those_of_its_route_or_none_at_all() -> None:
    shared = {"policy": {"batch": {"maxEvents": 7, "maxWait": "0s"}}}

    merged = policy({"batch": {"maxBytes": "64Ki"}}, defaults=shared).batch
    off = policy({"batch": {"mode": "Disabled"}}, defaults=shared).batch

    assert merged == plan.Batch(max_events=7, max_bytes=64 << 10, max_wait=0.0)
    assert off is None


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        ({"method": "GET"}, "method"),
        ({"mode": "Structured"}, "mode"),
        ({"pathExpression": "['a']"}, "pathExpression"),
        ({"bodyExpression": "data"}, "bodyExpression"),
        ({"forwardHeaders": ["x-a"]}, "forwardHeaders"),
        ({"headers": [{"name": "x-a", "valueExpression": "event.id"}]}, "headers[0].valueExpression"),
        (
            {"query": [{"name": "a", "value": "1"}, {"name": "b", "valueExpression": "event.id"}]},
            "query[1].valueExpression",
        ),
    ],
)
def test_what_is_of_one_event_is_refused_also_where_the_batch_is_inherited(asked: Json, field: str) -> None:
    document = changed(changed(good(), f"{T}.request", asked), "spec.defaults.policy.batch", {})

    assert faults_of(document) == [
        f"{T}.request.{field}: does not go with policy.batch, which sends many events in one request: leave it out, or"
        " write what is the same for all of them"
    ]


def test_what_is_the_same_for_all_events_goes_with_a_batch() -> None:
    request = {"method": "PUT", "headers": [{"name": "x-a", "value": "1"}], "query": [{"name": "b", "value": "2"}]}
    document = changed(changed(good(), f"{T}.request", request), f"{T}.policy.batch", {})

    made = compiling.compile(parse(document), Installation(), Refs(), "r1").plan.targets[0]

    assert made.policy.batch is not None


def test_a_batch_and_a_graph_do_not_go_together() -> None:
    document = changed(good(), "spec.finally", [{"name": "done", "url": "https://done.example.com/"}])

    assert faults_of(changed(document, f"{T}.policy.batch", {})) == [
        f"{T}.policy.batch: does not go with dependsOn, compensate, fallback or finally: this version sends batches"
        " only on a route whose targets are each on their own"
    ]


def test_a_batch_that_is_inherited_is_told_with_how_a_target_leaves_it_out() -> None:
    document = changed(changed(good(), "spec.respond.mode", "Settled"), "spec.defaults.policy.batch", {})

    [said] = faults_of(document)

    assert said.startswith(f"{T}.policy.batch: does not go with a caller that waits for the target")
    assert said.endswith("; it is inherited, and mode Disabled switches it off here")


def test_a_caller_cannot_wait_for_a_target_that_takes_batches_but_for_another() -> None:
    document = changed(changed(good(), "spec.respond.mode", "Settled"), f"{T}.policy.batch", {})
    other = {"name": "payment", "url": "https://payment.example.com/"}
    named = changed(changed(document, "spec.targets[1]", other), "spec.respond.waitFor", ["payment"])

    assert faults_of(document) == [
        f"{T}.policy.batch: does not go with a caller that waits for the target: its answer is for all events of a"
        " batch; name the targets to wait for in respond.waitFor"
    ]
    compiling.compile(parse(named), Installation(), Refs(), "r1")


def test_an_order_that_is_inherited_does_not_go_with_a_batch_either() -> None:
    document = changed(good(), "spec.defaults.policy.ordering", {"keyAttribute": "subject"})

    assert faults_of(changed(document, f"{T}.policy.batch", {})) == [
        f"{T}.policy.batch: batch does not go with ordering: deliveries of one key go one at a time, once what it"
        " inherits is merged in"
    ]


@pytest.mark.parametrize(("wait", "delay"), [("10s", "0s"), ("5s", "5s")])
def test_nothing_may_expire_while_it_waits_for_others(wait: str, delay: str) -> None:
    said = {"batch": {"maxWait": wait}, "timeouts": {"total": "10s"}}
    document = changed(changed(good(), f"{T}.policy", said), f"{T}.delay", delay)

    assert faults_of(document) == [
        f"{T}.policy.batch.maxWait: must be shorter, with delay, than the policy's timeouts.total, 10s: it runs from"
        " acceptance"
    ]
