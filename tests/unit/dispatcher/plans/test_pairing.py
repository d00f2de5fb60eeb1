"""Which plan can be adopted: both halves must carry one revision, and what cannot be read is refused with its place."""

import base64
import json
import typing

import pytest

from fanout_crds import compile as compiler
from fanout_crds import plan as plans
from fanout_crds.references import SecretKey
from fanout_crds.route import parse
from fanout_dispatcher.plans.pairing import Adopt, Decision, Object, Refuse, Wait, decide

URL = "https://example.com/"
TOKEN: dict[str, typing.Any] = {"name": "s", "key": "token"}
BY_TOKEN: dict[str, typing.Any] = {"url": URL, "authentication": {"bearer": {"secretRef": TOKEN}}}
OUTBOX: dict[str, typing.Any] = {"table": "outbox", "urlSecret": TOKEN}


def plan(*, bearer: bool = False, revision: str = "r1") -> plans.Plan:
    target = {"name": "t"} | (BY_TOKEN if bearer else {"url": URL})
    return compiled({"targets": [target]}, revision).plan


def compiled(spec: dict[str, typing.Any], revision: str) -> compiler.Compiled:
    route = parse({
        "apiVersion": "fanout.dev/v1alpha1",
        "kind": "FanoutRoute",
        "metadata": {"name": "order", "namespace": "shop", "uid": "u1"},
        "spec": spec,
    })  # fmt: skip
    refs = compiler.Refs(secrets={SecretKey("shop", "s", "token"): b"s3cret"})
    return compiler.compile(route, compiler.Installation(), refs, revision)


def config_map(text: str, route: str = "shop/order") -> Object:
    return {
        "metadata": {"name": "fanout-plan-u1", "annotations": {"fanout.dev/route": route}},
        "data": {"plan.json": text},
    }


def secret(revision: str, **data: bytes) -> Object:
    return {
        "metadata": {"name": "fanout-plan-u1", "annotations": {"fanout.dev/revision": revision}},
        "data": {name.replace("_", "."): base64.b64encode(value).decode() for name, value in data.items()},
    }


def encoded(**kind: typing.Any) -> str:
    return plans.encode(plan(**kind)).decode()


def test_a_plan_without_credentials_needs_no_secret() -> None:
    assert decide(config_map(encoded()), None) == Adopt(plan(), {})


@pytest.mark.parametrize(
    "behind",
    [
        {"targets": [{"name": "t", "url": URL, "compensate": BY_TOKEN}]},
        {"targets": [{"name": "t", "url": URL, "fallback": {"type": "Target", "target": BY_TOKEN}}]},
        {"targets": [{"name": "t", "url": URL}], "finally": [BY_TOKEN | {"name": "done"}]},
        {"targets": [{"name": "t", "url": URL}], "sources": {"postgresOutbox": OUTBOX}},
    ],
)
def test_credentials_of_whoever_stands_behind_the_targets_are_waited_for_too(behind: dict[str, typing.Any]) -> None:
    made = compiled(behind, "r1").plan
    half = config_map(plans.encode(made).decode())
    (handle,) = made.handles

    assert decide(half, None) == Wait("shop/order")
    assert decide(half, secret("r1", **{handle.replace(".", "_"): b"s3cret"})) == Adopt(made, {handle: b"s3cret"})


@pytest.mark.parametrize("other", [None, secret("r0", t_bearer=b"old"), {"metadata": {"name": "x"}}])
def test_a_plan_with_credentials_waits_for_the_secret_of_its_revision(other: Object | None) -> None:
    assert decide(config_map(encoded(bearer=True)), other) == Wait("shop/order")


def test_the_two_halves_of_one_revision_are_adopted_with_what_the_plan_names_only() -> None:
    both = decide(config_map(encoded(bearer=True)), secret("r1", t_bearer=b"s3cret", other=b"x"))

    assert both == Adopt(plan(bearer=True), {"t.bearer": b"s3cret"})
    assert "s3cret" not in repr(both)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        (json.dumps({"format": 9}), "format 9 is not one this dispatcher reads"),
        ("{", "ConfigMap fanout-plan-u1"),
        ("", "ConfigMap fanout-plan-u1"),
        (json.dumps({"format": 1}), "ConfigMap fanout-plan-u1"),
    ],
)
def test_a_plan_that_cannot_be_read_is_refused_for_its_route(text: str, sentence: str) -> None:
    refused = decide(config_map(text), None)

    assert isinstance(refused, Refuse)
    assert refused.route == "shop/order"
    assert sentence in refused.why


def test_a_plan_of_another_route_than_its_mark_says_is_refused() -> None:
    refused = decide(config_map(encoded(), route="shop/other"), None)

    assert isinstance(refused, Refuse)
    assert "holds a plan of shop/order" in refused.why


@pytest.mark.parametrize(
    ("half", "sentence"),
    [
        (secret("r1"), "lacks t.bearer"),
        (secret("r1") | {"data": {"t.bearer": "?"}}, "is not base64"),
        (secret("r1") | {"data": {"t.bearer": 7}}, "is not base64"),
    ],
)
def test_a_secret_that_cannot_be_used_is_refused_without_its_values(half: Object, sentence: str) -> None:
    refused: Decision = decide(config_map(encoded(bearer=True)), half)

    assert isinstance(refused, Refuse)
    assert sentence in refused.why
