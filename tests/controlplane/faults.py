"""What the fault tests share: a story told before and during a fault, and what must have come of it in the end.

The end is compared as a whole: every plan with its credentials, and every status, without what differs between two runs
in any case (ids, revisions, times).
"""

import json
import time
from collections.abc import Iterator, Sequence
from typing import Any

from fanout_crds.cluster_plan import FILE, PATH, name_of, note
from fanout_operator.kube import ROUTES, SECRETS
from tests.controlplane.installed import PLANS, Installation, Operator, hasty
from tests.controlplane.manifests import CRM, secret, service
from tests.controlplane.waiting import Document
from tests.support.faulty_api import FaultyApi

HASTY = hasty("all")
PATIENCE = 60.0  # seconds; how long it really took is printed
PAUSE = 0.05  # seconds between two looks at three collections, which no single watch could tell of


def through(fanout: Installation, api: FaultyApi, *flags: str, program: Sequence[str] = HASTY) -> Operator:
    """An operator, a hasty one by default, that reaches the API server through the proxy."""
    kubeconfig = api.kubeconfig_for(fanout.namespace, "fanout-operator")
    return fanout.operator(f"--kubeconfig={kubeconfig}", *flags, program=program)


def beginning(fanout: Installation, namespace: str) -> None:
    """Four routes, one with a Secret and one whose Service is missing."""
    bearer = {"bearer": {"secretRef": {"name": "mail", "key": "token"}}}
    payment = {"name": "payment", "service": {"name": "payment", "port": 80}}
    fanout.apply(
        secret(namespace, "mail", token="first"),
        fanout.route(namespace, "credited", CRM | {"authentication": bearer}),
        fanout.route(namespace, "held", CRM, payment),
        fanout.route(namespace, "changed", CRM),
        fanout.route(namespace, "deleted", CRM),
    )


def meanwhile(fanout: Installation, namespace: str) -> None:
    """Of everything that can happen to a route, one."""
    fanout.server.kubectl("delete", "fanoutroute", "deleted", f"--namespace={namespace}")
    fanout.apply(
        secret(namespace, "mail", token="second"),
        service(namespace, "payment", ports=[{"port": 80}]),
        fanout.route(namespace, "changed", CRM, suspend=True),
        fanout.route(namespace, "made", CRM),
        fanout.route(namespace, "late", CRM, listen={"path": f"/{namespace}/credited"}),
    )


def settled(fanout: Installation, namespace: str) -> None:
    """Wait until what happened meanwhile has been heard, when nothing goes wrong."""
    fanout.status(namespace, "late", Accepted="False/PathContested")
    fanout.status(namespace, "held", ResolvedRefs="True")
    fanout.status(namespace, "made", Accepted="True")
    fanout.plan(namespace, "changed", suspend=True)
    fanout.without_plan(namespace, "deleted")
    fanout.status(namespace, "changed", Accepted="True")


def at_the_beginning(fanout: Installation, namespace: str) -> bool:
    """Whether the beginning has been told and heard in full."""
    plans, statuses = dump(fanout, namespace)
    return len(plans) == len(statuses) == 4 and all("observedGeneration" in one for one in statuses.values())


def dump(fanout: Installation, namespace: str) -> tuple[Document, Document]:
    """All plans and all statuses of a namespace's routes, as they would be in any other run."""
    listed = fanout.server.items(SECRETS.path(fanout.namespace), PLANS)
    secrets = {one["metadata"]["name"]: one["data"] for one in listed}
    found: Document = {}
    for route, one in fanout.plans().items():
        if route.startswith(f"{namespace}/"):
            plan = json.loads(one["data"][FILE])
            found[route] = {
                "plan": {key: value for key, value in plan.items() if key not in {"uid", "revision"}},
                "credentials": secrets.get(name_of(plan["uid"])),
                "path": note(one, PATH),
            }
    routes = fanout.server.items(ROUTES.path(namespace))
    statuses = {one["metadata"]["name"]: _timeless(one.get("status", {})) for one in routes}
    return _anywhere(found, namespace), _anywhere(statuses, namespace)


def becomes(
    fanout: Installation, namespace: str, wanted: tuple[Document, Document], patience: float = PATIENCE
) -> float:
    """Wait until a namespace is as it should be; the seconds that took."""
    began = time.monotonic()
    while (found := dump(fanout, namespace)) != wanted:
        assert time.monotonic() - began < patience, "\n".join(differences(found, wanted))
        time.sleep(PAUSE)
    return time.monotonic() - began


def differences(found: Any, wanted: Any, at: str = "") -> Iterator[str]:
    """Say where two states differ."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        for key in found.keys() | wanted.keys():
            yield from differences(found.get(key), wanted.get(key), f"{at}.{key}")
    elif isinstance(found, tuple) and isinstance(wanted, tuple):
        for one, other in zip(found, wanted, strict=True):
            yield from differences(one, other, at)
    elif found != wanted:
        yield f"{at}: is {str(found)[:300]}, should be {str(wanted)[:300]}"


def comes(fanout: Installation, namespace: str) -> None:
    """Wait until the beginning has been heard."""
    deadline = time.monotonic() + PATIENCE
    while not at_the_beginning(fanout, namespace):
        assert time.monotonic() < deadline, dump(fanout, namespace)
        time.sleep(PAUSE)


def _timeless(status: Document) -> Document:
    conditions = [
        {key: value for key, value in one.items() if key != "lastTransitionTime"}
        for one in status.get("conditions", ())
    ]
    return status | {"conditions": conditions}


def _anywhere(found: Any, namespace: str) -> Any:
    return json.loads(json.dumps(found).replace(namespace, "<namespace>"))
