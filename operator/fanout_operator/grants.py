"""What a namespace permits to others: the ReferenceGrants of the Gateway API, each taken apart into single permissions.

A ReferenceGrant lies in the namespace that is referred to and says who may: "FanoutRoutes of shop, to Secrets", or to
one Secret by name. It is additive, and the only way to permit anything. Here each of its pairs becomes a `Permission`,
so that asking is a look into a set, and a change of a grant names exactly the permissions that came or went, and by
them the routes that use them (routes.Dependants).

Source: https://gateway-api.sigs.k8s.io/api-types/referencegrant/
"""

import typing
from collections.abc import Callable, Iterable

from fanout_crds.route import GROUP, KIND
from fanout_operator.kube import SECRETS, SERVICES, Reading

ANY: typing.Final = ""  # the name of a permission for every object of a kind

_KINDS: typing.Final = {kind.name for kind in (SERVICES, SECRETS)}  # what routes can refer to


class Permission(typing.NamedTuple):
    """Routes of `owner` may refer to an object, or to all of its kind, in `namespace`."""

    namespace: str
    owner: str
    kind: str
    name: str

    @property
    def thing(self) -> str:
        """The name by which dependants know it."""
        return f"Permission/{self.namespace}/{self.owner}/{self.kind}/{self.name}"


class Grants:
    """Which permissions there are, each counted, since several grants may give the same one."""

    def __init__(self, changed: Callable[[Permission], None]) -> None:
        """`changed` is told each permission that is there now and was not, or the other way round."""
        self._changed = changed
        self._given: dict[Permission, int] = {}

    def __repr__(self) -> str:
        return f"<Grants permissions={len(self._given)}>"

    def among(self, asked: Iterable[Permission]) -> frozenset[Permission]:
        """Those that are given."""
        return frozenset(one for one in asked if one in self._given)

    def note(self, _key: str, before: frozenset[Permission] | None, now: frozenset[Permission] | None) -> None:
        """A grant was made, changed or revoked."""
        was, is_ = before or frozenset(), now or frozenset()
        for one in is_ - was:
            self._count(one, 1)
        for one in was - is_:
            self._count(one, -1)

    def _count(self, one: Permission, more: int) -> None:
        before = self._given.pop(one, 0)
        if before + more:
            self._given[one] = before + more
        if not before or not before + more:
            self._changed(one)


def permissions(grant: Reading) -> frozenset[Permission]:
    """Take a ReferenceGrant apart; what it says of other kinds than ours is left out."""
    namespace, spec = grant["metadata"]["namespace"], grant.get("spec") or {}
    owners = [
        one["namespace"] for one in spec.get("from") or () if (one.get("group"), one.get("kind")) == (GROUP, KIND)
    ]
    objects = [
        (one["kind"], one.get("name") or ANY)
        for one in spec.get("to") or ()
        if one.get("group") == SECRETS.group and one.get("kind") in _KINDS
    ]
    return frozenset(Permission(namespace, owner, kind, name) for owner in owners for kind, name in objects)
