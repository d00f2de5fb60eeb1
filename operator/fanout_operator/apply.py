"""Writing plans, and taking them away again.

Order matters. The Secret goes before the ConfigMap, so that a dispatcher which sees a revision finds its credentials; a
Secret that is not needed any more goes after it. All writes are idempotent: whatever was interrupted is done again.
"""

import structlog

from fanout_crds.cluster_plan import class_of, name_of
from fanout_operator import plans
from fanout_operator.kube import CONFIG_MAPS, SECRETS, Kind, Kube, NotFound
from fanout_operator.render import Rendered

log = structlog.get_logger()


async def apply(kube: Kube, rendered: Rendered, namespace: str, class_name: str) -> plans.Written | None:
    """Put a plan in force; answers what was written, None when it was in force already."""
    plan, written = rendered.plan, None
    if rendered.write:
        if rendered.credentials:
            await kube.apply(SECRETS, plans.secret(plan, rendered.credentials, namespace, class_name))
        written = plans.written(await kube.apply(CONFIG_MAPS, plans.config_map(plan, namespace, class_name)))
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
