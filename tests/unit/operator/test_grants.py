"""ReferenceGrants: what they permit, to whom, and which routes a change of one is news to."""

import itertools
from typing import Any

import pytest

from fanout_crds.references import References, SecretKey, ServiceKey, Unresolved
from fanout_operator import resolve
from fanout_operator.grants import ANY, Grants, Permission, permissions
from fanout_operator.kube import SECRETS, SERVICES, Kind
from fanout_operator.resolve import Rights, asked, permitted
from tests.support.figures import Figure

OURS = {"group": "fanout.dev", "kind": "FanoutRoute"}


def grant(*to: dict[str, Any], of: tuple[dict[str, Any], ...] = (), namespace: str = "vault") -> dict[str, Any]:
    """A ReferenceGrant of a namespace, by default for routes of shop."""
    return {
        "metadata": {"name": "some", "namespace": namespace},
        "spec": {"from": list(of or ({**OURS, "namespace": "shop"},)), "to": list(to)},
    }


def to(kind: str, *name: str, group: str = "") -> dict[str, Any]:
    return {"group": group, "kind": kind, **({"name": name[0]} if name else {})}


def may(found: dict[str, Any], kind: Kind, namespace: str, name: str, owner: str) -> bool:
    """Ask as a reconcile does: only what was asked for is looked for among what is given."""
    grants = Grants(lambda _permission: None)
    grants.note("key", None, permissions(found))
    key = (namespace, name, "x")
    needs = References(
        services=frozenset({ServiceKey(*key)} if kind is SERVICES else ()),
        secrets=frozenset({SecretKey(*key)} if kind is SECRETS else ()),
    )
    return permitted(kind, namespace, name, Rights(owner, grants.among(asked(needs, owner))))


def test_the_matrix_of_grants_lets_nothing_through_but_what_one_says(figure: Figure) -> None:
    """P29: every grant of one kind, name and owner against every reference; a leak or a refusal too many is listed."""
    owners, namespaces, names = ("shop", "blog"), ("vault", "attic"), ("mail", "other")
    asked_for, wrong = 0, []
    for given_kind, given_name, given_owner, given_in in itertools.product(
        ("Service", "Secret"), ("mail", ANY), owners, namespaces
    ):
        found = grant(
            to(given_kind, *([given_name] if given_name else [])),
            of=({**OURS, "namespace": given_owner},),
            namespace=given_in,
        )
        for kind, name, owner, namespace in itertools.product((SERVICES, SECRETS), names, owners, namespaces):
            meant = (kind.name, owner, namespace) == (given_kind, given_owner, given_in) and given_name in {ANY, name}
            asked_for += 1
            if may(found, kind, namespace, name, owner) != meant:
                wrong.append((given_kind, given_name, given_owner, given_in, kind.name, name, owner, namespace))

    assert wrong == []
    figure("P29", references_asked_of_a_matrix_of_grants=asked_for, leaks_or_refusals_too_many=len(wrong))


@pytest.mark.parametrize(
    "found",
    [
        grant(),
        grant(to("ConfigMap")),
        grant(to("Secret", group="example.com")),
        grant(to("Service"), to("Secret", "another")),
        grant(to("Secret"), of=({"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "namespace": "shop"},)),
        grant(to("Secret"), of=({"group": "fanout.dev", "kind": "HTTPRoute", "namespace": "shop"},)),
        grant(to("Secret"), of=({"group": "", "kind": "FanoutRoute", "namespace": "shop"},)),
        grant(to("Secret"), of=({**OURS, "namespace": "*"},)),
        {"metadata": {"name": "empty", "namespace": "vault"}},
        {"metadata": {"name": "null", "namespace": "vault"}, "spec": {"from": None, "to": None}},
    ],
)
def test_what_a_grant_says_of_others_is_no_permission_for_us(found: dict[str, Any]) -> None:
    assert not may(found, SECRETS, "vault", "mail", "shop")


def test_in_its_own_namespace_a_route_asks_for_nothing() -> None:
    needs = References(services=frozenset({ServiceKey("shop", "a", "80")}), secrets=frozenset())

    assert asked(needs, "shop") == frozenset()
    assert permitted(SERVICES, "shop", "a", Rights("shop"))


def test_what_is_missing_is_said_so_that_the_other_namespace_can_write_it() -> None:
    said = resolve.secret(SecretKey("vault", "mail", "token"), Rights("shop"), None)

    assert isinstance(said, Unresolved)
    assert said.message == (
        "Secret vault/mail is of another namespace than shop: no ReferenceGrant in vault lets FanoutRoutes of shop"
        " refer to it"
    )


def test_a_change_is_news_to_what_came_or_went_and_to_nothing_else() -> None:
    told: list[Permission] = []
    grants = Grants(told.append)
    narrow, wide = permissions(grant(to("Secret", "mail"))), permissions(grant(to("Secret", "mail"), to("Service")))
    grants.note("vault/a", None, narrow)
    grants.note("vault/a", narrow, wide)
    grants.note("vault/a", wide, wide)

    assert told == [Permission("vault", "shop", "Secret", "mail"), Permission("vault", "shop", "Service", ANY)]


def test_a_permission_that_two_grants_give_stays_until_both_are_gone() -> None:
    told: list[Permission] = []
    grants = Grants(told.append)
    (one,) = given = permissions(grant(to("Secret", "mail")))
    grants.note("vault/a", None, given)
    grants.note("vault/b", None, given)
    grants.note("vault/a", given, None)
    after_one = grants.among({one})
    grants.note("vault/b", given, None)

    assert after_one == {one}
    assert grants.among({one}) == frozenset()
    assert told == [one, one]  # given, and taken away
