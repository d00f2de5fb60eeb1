"""Plans as they lie in the cluster (fanout_crds.cluster_plan), written and read back by the operator.

Their metadata carries all that the operator needs to know of them later, so that it can watch metadata alone. They have
no owner references: the garbage collector deletes what is owned across namespaces.
"""

import base64
import binascii
import re
import typing
from collections.abc import Mapping

import msgspec

from fanout_crds.cluster_plan import FILE, GENERATION, PATH, REVISION, ROUTE, labels, name_of, note
from fanout_crds.plan import Credentials, Plan, encode
from fanout_operator.kube import CONFIG_MAPS, FIELD_MANAGER, SECRETS, Document, Kind, Reading

NOTES: typing.Final = (ROUTE, REVISION, GENERATION, PATH)
MARKS: typing.Final = len(NOTES) + len(labels("", ""))  # annotations and labels of each of our objects
JUST_NOW: typing.Final = "9999"  # later than any time that the API server tells

_KEY: typing.Final = re.compile(r"[a-z0-9-]+/[a-z0-9.-]+")


class Written(msgspec.Struct, frozen=True, kw_only=True):
    """What a plan's metadata says: whose it is, and which revision."""

    route: str
    route_uid: str
    revision: str
    path: str
    created: str  # when the ConfigMap was made, RFC 3339
    owned: int = 0  # how many of its fields are as we wrote them, by the API server's word


class Inventory:
    """Which plans lie in the cluster, by route: more than one while a route made again takes over from its namesake."""

    def __init__(self) -> None:
        self._plans: dict[str, dict[str, Written]] = {}

    def __repr__(self) -> str:
        return f"<Inventory {len(self._plans)}>"

    def __len__(self) -> int:
        return sum(len(found) for found in self._plans.values())

    def __iter__(self) -> typing.Iterator[Written]:
        for found in self._plans.values():
            yield from found.values()

    def of(self, route: str) -> tuple[Written, ...]:
        """The plans of a route."""
        return tuple(self._plans.get(route, {}).values())

    def note(self, plan: Written) -> None:
        """A plan was written or seen."""
        self._plans.setdefault(plan.route, {})[plan.route_uid] = plan

    def drop(self, plan: Written) -> None:
        """A plan was removed."""
        found = self._plans.get(plan.route, {})
        found.pop(plan.route_uid, None)
        if not found:
            self._plans.pop(plan.route, None)


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A plan as it is in force now, read back to be compared: nothing is written when nothing changed."""

    plan: bytes
    plan_revision: str
    generation: int
    path: str
    credentials: Mapping[str, bytes]
    credentials_revision: str | None  # None: there is no Secret
    owned: int = MARKS + 1  # of each object, how many fields are as we wrote them
    credentials_owned: int = 0

    def __repr__(self) -> str:
        return f"<Content revision={self.plan_revision} credentials={sorted(self.credentials)}>"


def written(document: Document) -> Written:
    """Read a plan's metadata; what somebody removed from it, or spoilt, reads as empty."""
    route = note(document, ROUTE)
    return Written(
        route=route if _KEY.fullmatch(route) else "",
        route_uid=uid_of(document),
        revision=note(document, REVISION),
        path=note(document, PATH),
        created=document["metadata"].get("creationTimestamp", ""),
        owned=_owned(document),
    )


def uid_of(document: Reading) -> str:
    """The uid of the route that an object is of: its name is all that nobody can edit. Empty: it is no plan's."""
    before, prefix, uid = document["metadata"]["name"].partition(name_of(""))
    return uid if prefix and not before else ""


def reference(plan: Written, namespace: str) -> Document:
    """The ConfigMap of a plan, as much of it as says which one is meant."""
    metadata = {"namespace": namespace, "name": name_of(plan.route_uid)}
    return {"apiVersion": CONFIG_MAPS.api_version, "kind": CONFIG_MAPS.name, "metadata": metadata}


def config_map(plan: Plan, namespace: str, class_name: str) -> Document:
    """The ConfigMap of a plan."""
    return _object(CONFIG_MAPS, plan, namespace, class_name) | {"data": {FILE: encode(plan).decode("utf-8")}}


def secret(plan: Plan, credentials: Credentials, namespace: str, class_name: str) -> Document:
    """The Secret that goes with a plan: one entry per handle."""
    data = {handle: base64.b64encode(value).decode("ascii") for handle, value in credentials.items()}
    return _object(SECRETS, plan, namespace, class_name) | {"type": "Opaque", "data": data}


def content(config: Reading | None, secret: Reading | None) -> Content | None:
    """Read back what `config_map` and `secret` wrote; None when there is no plan."""
    if config is None:
        return None
    generation = note(config, GENERATION)
    return Content(
        plan=(config.get("data") or {}).get(FILE, "").encode("utf-8"),
        plan_revision=note(config, REVISION),
        generation=int(generation) if generation.isdecimal() else 0,
        path=note(config, PATH),
        credentials=decoded(secret) if secret else {},
        credentials_revision=note(secret, REVISION) if secret else None,
        owned=_owned(config),
        credentials_owned=_owned(secret) if secret else 0,
    )


def decoded(secret: Reading) -> dict[str, bytes]:
    """The values of a Secret; one that is no base64 (only our own could be) reads as empty."""
    return {key: _bytes(value) for key, value in (secret.get("data") or {}).items()}


def _owned(document: Reading) -> int:
    """How many labels, annotations and entries of data belong to us alone or also to us.

    Whoever else gives one of them another value takes it over, even when he gives it back its own one after that.
    Source: https://kubernetes.io/docs/reference/using-api/server-side-apply/#field-management
    """
    for one in document["metadata"].get("managedFields") or ():
        if (one.get("manager"), one.get("operation")) == (FIELD_MANAGER, "Apply"):
            fields = one.get("fieldsV1") or {}
            marks = fields.get("f:metadata") or {}
            groups = (fields.get("f:data"), marks.get("f:annotations"), marks.get("f:labels"))
            return sum(name.startswith("f:") for group in groups for name in group or ())
    return 0


def _bytes(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return b""


def _object(kind: Kind, plan: Plan, namespace: str, class_name: str) -> Document:
    notes = dict(zip(NOTES, (plan.key, plan.revision, str(plan.generation), plan.path), strict=True))
    metadata = {
        "name": name_of(plan.uid),
        "namespace": namespace,
        "labels": labels(class_name, plan.uid),
        "annotations": notes,
    }
    return {"apiVersion": kind.api_version, "kind": kind.name, "metadata": metadata}
