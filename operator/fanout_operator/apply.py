"""Writing plans, and taking them away again.

Order matters. The Secret goes before the ConfigMap, so that a dispatcher which sees a revision finds its credentials; a
Secret that is not needed any more goes after it. All writes are idempotent: whatever was interrupted is done again.
Only what the API server lets nobody change is deleted and made anew; a dispatcher goes on with its deliveries, and
takes no events for that moment.
"""

import structlog

from fanout_crds.cluster_plan import class_of, name_of
from fanout_operator import plans
from fanout_operator.kube import CONFIG_MAPS, SECRETS, Document, Kind, Kube, NotFound, Reading, Refused
from fanout_operator.render import Rendered

log = structlog.get_logger()


async def apply(kube: Kube, rendered: Rendered, namespace: str, class_name: str) -> plans.Written | None:
    """Put a plan in force; answers what was written, None when it was in force already."""
    plan, written = rendered.plan, None
    if rendered.write:
        if rendered.credentials:
            await _put(kube, SECRETS, plans.secret(plan, rendered.credentials, namespace, class_name))
        written = plans.written(await _put(kube, CONFIG_MAPS, plans.config_map(plan, namespace, class_name)))
        log.info("plan.written", route=plan.key, revision=plan.revision, generation=plan.generation)
    if rendered.drop_secret:
        await _delete(kube, SECRETS, namespace, name_of(plan.uid))
    return written


async def withdraw(kube: Kube, plan: plans.Written, namespace: str, class_name: str) -> None:
    """Take the plan of a route that is gone out of force: the ConfigMap first, it is what dispatchers follow.

    Another installation in the same namespace may have taken it over under the same name: that one stays.
    """
    for kind in (CONFIG_MAPS, SECRETS):
        await _withdraw(kube, kind, namespace, name_of(plan.route_uid), class_name)
    log.info("plan.removed", route=plan.route, uid=plan.route_uid)


async def _put(kube: Kube, kind: Kind, document: Document) -> Document:
    try:
        return await kube.apply(kind, document)
    except Refused:
        if not await _clear(kube, kind, document):
            raise
        return await kube.apply(kind, document)


async def _clear(kube: Kube, kind: Kind, document: Reading) -> bool:
    """Delete what can never become this document; whatever else was refused stays in force as it is."""
    namespace, name = document["metadata"]["namespace"], document["metadata"]["name"]
    try:
        found = await kube.get(kind, namespace, name)
        if not found.get("immutable") and found.get("type") == document.get("type"):
            return False
        await kube.delete(kind, namespace, name, version=found["metadata"]["resourceVersion"])
    except NotFound:  # it was refused as a new one, or somebody else was faster
        return False
    log.warning("plan.immutable", kind=kind.name, namespace=namespace, name=name)
    return True


async def _withdraw(kube: Kube, kind: Kind, namespace: str, name: str, class_name: str) -> None:
    try:
        found = await kube.get(kind, namespace, name)
        if class_of(found) in {class_name, ""}:
            await kube.delete(kind, namespace, name, version=found["metadata"]["resourceVersion"])
    except NotFound:
        pass  # somebody else was faster


async def _delete(kube: Kube, kind: Kind, namespace: str, name: str) -> None:
    try:
        await kube.delete(kind, namespace, name)
    except NotFound:  # somebody else was faster
        pass
