"""A plan as it lies in a cluster: a ConfigMap, and a Secret of the same name where credentials go along.

Both lie in the dispatcher's namespace and are named by the route's UID. The operator writes them and the dispatcher
reads them, so every word that both must spell alike is here: labels to find them by, annotations to know them by
without reading their data, and the key the plan lies under. The Secret is written before the ConfigMap; a plan with
handles counts once the Secret carries its revision.
"""

import typing
from collections.abc import Mapping

from fanout_crds.route import GROUP

# Labels: what can be selected.
MANAGED_BY: typing.Final = "app.kubernetes.io/managed-by"
OPERATOR: typing.Final = "fanout-operator"  # the value of MANAGED_BY
PLAN: typing.Final = f"{GROUP}/plan"  # "true" on both objects of every plan
CLASS: typing.Final = f"{GROUP}/class"  # which installation serves it
ROUTE_UID: typing.Final = f"{GROUP}/route-uid"

# Annotations: what metadata alone tells.
ROUTE: typing.Final = f"{GROUP}/route"  # namespace/name
REVISION: typing.Final = f"{GROUP}/revision"
GENERATION: typing.Final = f"{GROUP}/generation"
PATH: typing.Final = f"{GROUP}/path"

FILE: typing.Final = "plan.json"  # the key of the ConfigMap's data; the Secret's keys are the plan's handles


def name_of(route_uid: str) -> str:
    """The name of both objects of a route's plan."""
    return f"fanout-plan-{route_uid}"


def labels(class_name: str, route_uid: str) -> dict[str, str]:
    """The labels of both objects."""
    return {MANAGED_BY: OPERATOR, PLAN: "true", CLASS: class_name, ROUTE_UID: route_uid}


def selector(class_name: str) -> str:
    """The label selector of an installation's own plans."""
    return f"{PLAN}=true,{CLASS}={class_name}"


def class_of(document: Mapping[str, typing.Any]) -> str:
    """Which installation an object is of; empty when it does not say."""
    return str((document["metadata"].get("labels") or {}).get(CLASS, ""))


def note(document: Mapping[str, typing.Any], annotation: str) -> str:
    """What an object is annotated with; empty when it is not."""
    return str((document["metadata"].get("annotations") or {}).get(annotation, ""))
