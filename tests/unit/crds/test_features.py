"""What a plan says that a dispatcher must know: each name where it is used, and no field that nobody thought about."""

import typing

import msgspec
import pytest
import trustme

from fanout_crds import plan
from fanout_crds.compile import Installation, Refs, SecretKey
from fanout_crds.compile import compile as compile_route
from fanout_crds.plan.features import FIELDS, structs_in
from fanout_crds.route import parse
from tests.support.plans import a_plan
from tests.unit.crds.corpus import CACHE, OUTBOX, OUTBOX_URL, SETTLED, STATIC, UNDO, A, Json, changed, good

_US = trustme.CA().issue_cert("us@shop.example")
REFS: typing.Final = Refs(  # a target whose certificate does not resolve is held, and needs nothing
    secrets={
        SecretKey("shop", "us", "tls.crt"): _US.cert_chain_pems[0].bytes(),
        SecretKey("shop", "us", "tls.key"): _US.private_key_pem.bytes(),
    }
)
TARGET: typing.Final = "spec.targets[0]"
POLICY: typing.Final = f"{TARGET}.policy"
CHAIN: Json = [A, A | {"name": "b", "dependsOn": ["a"], "when": "targets.a.body.ok == true"}]

USED: typing.Final[dict[str, tuple[str, Json, tuple[str, ...]]]] = {  # what is said where, and what else that needs
    "accept.batches": ("spec.accept.batches", "Accept", ()),
    "accept.idempotency": ("spec.accept.idempotency", {}, ()),
    "authentication.clientCertificate": (
        f"{TARGET}.authentication",
        {"clientCertificate": {"secretRef": {"name": "us"}}},
        (),
    ),
    "compensate": (f"{TARGET}.compensate", UNDO, ()),
    "delay": (f"{TARGET}.delay", "5s", ()),
    "dependsOn": ("spec.targets", [A, A | {"name": "b", "dependsOn": ["a"]}], ()),
    "earlier": ("spec.targets", CHAIN, ("dependsOn", "when")),
    "fallback": (f"{TARGET}.fallback", {"type": "Target", "target": UNDO}, ()),
    "finally": ("spec.finally", [UNDO | {"name": "told"}], ()),
    "listen.methods": ("spec", good()["spec"] | {"listen": {"methods": ["GET"]}, "respond": SETTLED}, ("respond",)),
    "listen.path.names": ("spec.listen.path", "/shop/{id}", ()),
    "onDead": (f"{TARGET}.onDead", "Continue", ()),
    "policy.batch": (f"{POLICY}.batch", {"maxEvents": 10}, ()),
    "policy.circuitBreaker.mode": (f"{POLICY}.circuitBreaker.mode", "ForcedOpen", ()),
    "policy.ordering": (f"{POLICY}.ordering", {"keyAttribute": "subject"}, ()),
    "request": (f"{TARGET}.request.bodyExpression", "data.order", ()),
    "respond": ("spec.respond", SETTLED, ()),
    "sources.postgresOutbox": (OUTBOX, OUTBOX_URL, ()),
    "when": (f"{TARGET}.when", "data.total > 10", ()),
}


def needed(at: str, value: Json) -> tuple[str, ...]:
    return compile_route(parse(changed(good(), at, value)), Installation(), REFS, "r1").plan.needs


@pytest.mark.parametrize("name", sorted(plan.KNOWN))
def test_a_plan_names_what_it_must_not_be_carried_out_without_where_it_uses_that(name: str) -> None:
    at, value, beside = USED[name]

    assert needed(at, value) == tuple(sorted((name, *beside)))


def test_an_answer_that_stands_in_for_a_target_is_a_fallback_too() -> None:
    spec = {"targets": [A | {"fallback": STATIC}], "respond": SETTLED}

    assert needed("spec", spec) == ("fallback", "respond")


@pytest.mark.parametrize(
    ("at", "value"),
    [
        ("spec.suspend", True),
        ("spec.accept.rateLimit", {"requests": 5}),
        (f"{POLICY}.rateLimit", {"requests": 5, "per": "1s"}),
        (f"{POLICY}.hedge", {"delay": "50ms"}),
        (f"{POLICY}.bulkhead.adaptive", {"min": 1, "initial": 2, "max": 4}),
        (f"{POLICY}.circuitBreaker.slowCallDuration", "2s"),
        (f"{POLICY}.retry.budget.mode", "Disabled"),
    ],
)
def test_what_a_route_is_only_less_good_without_needs_nothing(at: str, value: Json) -> None:
    assert needed(at, value) == ()


def test_a_cache_needs_nothing_but_whoever_looks_at_its_answers() -> None:
    assert needed("spec", {"targets": [A | {"cache": CACHE}], "respond": SETTLED}) == ("respond",)


def test_a_name_is_there_once_however_often_it_is_used() -> None:
    assert needed("spec.targets", [A | {"when": "true"}, A | {"name": "b", "when": "true"}]) == ("when",)


def test_every_field_that_may_have_come_later_says_what_becomes_of_a_route_without_it() -> None:
    """Whoever adds a field to a plan adds it to FIELDS: with a name that a plan needs, or why it needs none."""
    later = {
        (struct.__name__, field.name)
        for struct in _structs(plan.Plan)
        for field in msgspec.structs.fields(struct)
        if not field.required
    }
    said = {(struct.__name__, name) for struct, of in FIELDS.items() for name in of}

    assert later - said == set(), "fields that fanout_crds.plan.features.FIELDS does not have"
    assert said - later == {("Plan", "path"), ("Behind", "role")}, "there from the first, and their values came later"


def test_the_fields_are_told_by_structs_that_a_plan_consists_of() -> None:
    assert set(FIELDS) <= set(_structs(plan.Plan))
    assert all(name in struct.__struct_fields__ for struct, of in FIELDS.items() for name in of)


def test_a_plan_that_is_made_by_hand_needs_what_is_in_it() -> None:
    assert plan.needs(a_plan()) == ()
    assert plan.needs(a_plan(batches=True)) == ("accept.batches",)


def _structs(struct: type[msgspec.Struct]) -> typing.Iterator[type[msgspec.Struct]]:
    """A struct and all that it consists of."""
    yield struct
    for field in msgspec.structs.fields(struct):
        for inner in structs_in(field.type):
            yield from _structs(inner)
