"""Which plan can be adopted: a ConfigMap and, when the plan has credentials, the Secret that was written with it.

Pure. The two arrive in any order and are never written together; the revision on both tells that they belong together.
Until they do, the plan that is in force stays.
"""

import base64
import binascii
import typing

import msgspec

from fanout_crds import cluster_plan
from fanout_crds import plan as plans

Object = dict[str, typing.Any]


class Adopt(msgspec.Struct, frozen=True):
    """Take this plan into force."""

    plan: plans.Plan
    credentials: plans.Credentials

    def __repr__(self) -> str:
        return f"Adopt({self.plan.key} {self.plan.revision})"


class Refuse(msgspec.Struct, frozen=True):
    """This route has a newer plan that cannot be read."""

    route: str
    why: str


class Wait(msgspec.Struct, frozen=True):
    """The other half is not there yet."""

    route: str


Decision = Adopt | Refuse | Wait


def route_of(item: Object) -> str:
    """Give the route that an object was written for; empty when it does not say."""
    return cluster_plan.note(item, cluster_plan.ROUTE)


def name_of(item: Object) -> str:
    """Give the name that both halves share."""
    return str(item["metadata"]["name"])


def decide(config_map: Object, secret: Object | None) -> Decision:
    """Say what to do with what is there of one plan."""
    route = route_of(config_map)
    try:
        plan = plans.decode((config_map.get("data") or {}).get(cluster_plan.FILE, ""))
    except (plans.UnknownFormat, ValueError) as error:
        return Refuse(route, f"ConfigMap {name_of(config_map)}: {error}")
    if plan.key != route:
        return Refuse(route, f"ConfigMap {name_of(config_map)} is marked {route} and holds a plan of {plan.key}")
    handles = plan.handles
    if not handles:
        return Adopt(plan, {})
    if secret is None or cluster_plan.note(secret, cluster_plan.REVISION) != plan.revision:
        return Wait(route)
    try:
        credentials = {key: base64.b64decode(value, validate=True) for key, value in (secret.get("data") or {}).items()}
    except (binascii.Error, TypeError):
        return Refuse(route, f"Secret {name_of(secret)} is not base64")
    if missing := sorted(handles - credentials.keys()):
        return Refuse(route, f"Secret {name_of(secret)} lacks {', '.join(missing)}")
    return Adopt(plan, {handle: credentials[handle] for handle in handles})
