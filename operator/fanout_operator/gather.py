"""Reading everything one route depends on, into one frozen `Observed`.

The only module that looks things up for a reconcile. What it looks for it notes with the dependants first, so that a
change which comes between the look and the plan brings the route back. References into other namespaces are not even
looked up without a grant, and while nobody knows which grants there are, a route that needs one waits: what is in force
for it stays. So does one whose Service only its endpoints can resolve, while those are not known. The path is claimed
last, with nothing awaited between that and the judgement.
"""

import asyncio
from collections.abc import Callable, Collection, Iterable

import msgspec

from fanout_crds.cluster_plan import class_of, name_of
from fanout_crds.faults import Fault, Invalid
from fanout_crds.references import References, SecretKey, ServiceKey, references
from fanout_crds.route import FanoutRoute, parse
from fanout_operator import plans, resolve
from fanout_operator.claims import Claims, Holder
from fanout_operator.dependants import Dependants, thing_of
from fanout_operator.endpoints import Endpoints
from fanout_operator.grants import Grants
from fanout_operator.judge import Observed, Rules
from fanout_operator.kube import (
    CONFIG_MAPS,
    ENDPOINT_SLICES,
    SECRETS,
    SERVICES,
    Document,
    Kind,
    Kube,
    Unavailable,
)
from fanout_operator.reads import Reads
from fanout_operator.resolve import Rights
from fanout_operator.routes import Known


class Sources(msgspec.Struct, frozen=True, kw_only=True):
    """Where facts come from."""

    kube: Kube  # where plans are written
    reads: Reads
    dependants: Dependants
    claims: Claims
    grants: Grants
    granted: Callable[[], bool]  # whether all grants are known
    endpoints: Endpoints
    endpoints_known: Callable[[], bool]
    inventory: plans.Inventory
    credentials: plans.Inventory  # the Secrets that go with plans
    namespace: str  # the dispatcher's, where plans are


async def gather(key: str, known: Known, sources: Sources, rules: Rules) -> Observed:
    """Observe one route of our class."""
    route, faults = _parse(known.document())
    needs = references(route) if route else References(services=frozenset(), secrets=frozenset())
    owner = key.split("/", maxsplit=1)[0]
    asked = resolve.asked(needs, owner)
    things = _things(needs) | {one.thing for one in asked}
    sources.dependants.set(key, things)
    if asked and not sources.granted():
        raise Unavailable("which ReferenceGrants there are is not known yet")
    rights = resolve.Rights(owner, sources.grants.among(asked))
    services, secrets, plan = await asyncio.gather(
        _find(sources.reads, SERVICES, {_of(one) for one in needs.services}, rights),
        _find(sources.reads, SECRETS, {_of(one) for one in needs.secrets}, rights),
        _plan(sources, key, known.uid, rules.class_name),
    )
    by_name = {one: port for one in needs.services if (port := resolve.by_name(one, services.get(_of(one))))}
    sources.dependants.set(key, things | {thing_of(ENDPOINT_SLICES, _of(one)) for one in by_name})
    if by_name and not sources.endpoints_known():
        raise Unavailable("which endpoints there are is not known yet")
    listening = {one: sources.endpoints.listens(_of(one), port.get("name") or "") for one, port in by_name.items()}
    observed = Observed(
        key=key,
        uid=known.uid,
        generation=known.generation,
        route=route,
        faults=faults,
        services=resolve.all_services(needs.services, rights, services, listening),
        secrets=resolve.all_secrets(needs.secrets, rights, secrets),
        plan=plan,
    )
    if route is None or not rules.permits(route):
        return observed
    holder = sources.claims.take(route.claim, Holder(key, known.uid))
    return msgspec.structs.replace(observed, holder=holder)


def _things(needs: References) -> frozenset[str]:
    services = {thing_of(SERVICES, _of(one)) for one in needs.services}
    return frozenset(services | {thing_of(SECRETS, _of(one)) for one in needs.secrets})


def _of(key: ServiceKey | SecretKey) -> str:
    """The object whose port or key is meant."""
    return f"{key.namespace}/{key.name}"


def _parse(document: Document) -> tuple[FanoutRoute | None, tuple[Fault, ...]]:
    try:
        return parse(document), ()
    except Invalid as invalid:
        return None, invalid.faults


async def _find(reads: Reads, kind: Kind, names: Collection[str], rights: Rights) -> dict[str, Document]:
    """Read objects by ``namespace/name``; what is not there, or not for this owner to know, is left out."""
    wanted = [name.split("/") for name in sorted(names)]
    found = await asyncio.gather(
        *(
            reads.referent(kind, namespace, name)
            for namespace, name in wanted
            if resolve.permitted(kind, namespace, name, rights)
        )
    )
    return {f"{one['metadata']['namespace']}/{one['metadata']['name']}": one for one in _present(found)}


async def _plan(sources: Sources, key: str, uid: str, class_name: str) -> plans.Content | None:
    """Read the plan that lies there, unless it is still that of the installation which had the route before us.

    Where our own watches say that there is none, nobody is asked.
    """
    name = name_of(uid)
    if not _has(sources.inventory, key, uid):
        return None
    kinds = (CONFIG_MAPS, SECRETS) if _has(sources.credentials, key, uid) else (CONFIG_MAPS,)
    config, *secret = await asyncio.gather(*(sources.reads.ours(kind, sources.namespace, name) for kind in kinds))
    if config is None or class_of(config) != class_name:
        return None
    return plans.content(config, secret[0] if secret else None)


def _has(inventory: plans.Inventory, key: str, uid: str) -> bool:
    return any(one.route_uid == uid for one in inventory.of(key))


def _present(found: Iterable[Document | None]) -> Iterable[Document]:
    return (one for one in found if one is not None)
