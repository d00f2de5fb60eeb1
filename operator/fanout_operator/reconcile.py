"""One route, from what is: gather, judge, render, apply, and hand the finding on to be reported.

The handler of the work queue; it may be interrupted anywhere and is then done again. Three ways to go: the route is
ours, it is another installation's, or it is gone. A plan is only ever taken away when the API server itself says that
the route does not exist, and `holding` that this means a deletion.
"""

from collections.abc import Callable

import msgspec
import structlog

from fanout_crds.cautions import cautions
from fanout_crds.compile import Installation
from fanout_crds.listen import claim
from fanout_crds.references import service_key
from fanout_operator import plans
from fanout_operator.apply import apply, withdraw
from fanout_operator.conditions import Finding, InForce
from fanout_operator.gather import Sources, gather
from fanout_operator.holding import Holding
from fanout_operator.judge import Observed, Rules, judge
from fanout_operator.keyed import keyed, keyed_in
from fanout_operator.kube import ROUTES, NotFound
from fanout_operator.reasons import Said
from fanout_operator.render import NewRevision, Rendered, render
from fanout_operator.routes import Known, Routes

log = structlog.get_logger()


class Sinks(msgspec.Struct, frozen=True, kw_only=True):
    """Where what was found out goes, and who is told; the sources of facts are gather.Sources."""

    routes: Routes
    findings: dict[str, Finding]
    judged: Callable[[str], None]  # the status of a route may be another
    left: Callable[[str], None]  # a route is not ours any more
    wake: Callable[[str], None]  # reconcile this one
    holding: Holding


class Reconciler:
    """Brings one key after another to what it should be."""

    def __init__(
        self, sources: Sources, rules: Rules, installation: Installation, sinks: Sinks, *, revision: NewRevision
    ) -> None:
        self._sources = sources
        self._rules = rules
        self._installation = installation
        self._sinks = sinks
        self._revision = revision

    def __repr__(self) -> str:
        return f"<Reconciler class={self._rules.class_name} findings={len(self._sinks.findings)}>"

    async def __call__(self, key: str) -> None:
        """Reconcile ``namespace/name``."""
        known = self._sinks.routes.get(key)
        if known is None:
            await self._gone(key)
        elif known.class_name() != self._rules.class_name:
            await self._leave(key)
        else:
            await self._ours(key, known)

    async def _ours(self, key: str, known: Known) -> None:
        observed = await gather(key, known, self._sources, self._rules)
        outcome: Rendered | Said | None = judge(observed, self._rules)
        if outcome is None and observed.route is not None:
            outcome = render(observed.route, observed, self._installation, self._revision)
        if isinstance(outcome, Rendered):
            if outcome.credentials:
                self._sources.credentials.note(_told(outcome))  # before it is written: one that is not is harmless
            written = await apply(self._sources.kube, outcome, self._sources.namespace, self._rules.class_name)
            if written:
                self._sources.inventory.note(written)
            await self._drop_namesakes(key, known.uid)
        self._settle_claims(observed, outcome)
        self._sinks.holding.drop(key)
        self._sinks.findings[key] = _finding(observed, outcome)
        self._sinks.judged(key)

    async def _gone(self, key: str) -> None:
        """We know of no such route; only the API server's word for it takes a plan away."""
        namespace, name = key.split("/")
        try:
            found = await self._sources.kube.get(ROUTES, namespace, name)
        except NotFound:
            if await self._sinks.holding.deleted(key, [plan.created for plan in self._written(key)]):
                await self._forget(key)
        else:
            self._sinks.routes.note(found)
            self._sinks.wake(key)

    def _written(self, key: str) -> tuple[plans.Written, ...]:
        """All that lies in the cluster for a route, also credentials without a plan: a write that was interrupted."""
        both = (*self._sources.credentials.of(key), *self._sources.inventory.of(key))
        return tuple({plan.route_uid: plan for plan in both}.values())

    async def _leave(self, key: str) -> None:
        """It was ours, or never: its plan is not ours to keep either way."""
        served = key in self._sinks.findings or bool(self._sources.inventory.of(key))
        await self._forget(key)
        if served:
            self._sinks.left(key)

    async def _forget(self, key: str) -> None:
        for plan in self._written(key):
            await self._withdraw(plan)
        self._sources.dependants.set(key, frozenset())
        self._sinks.holding.drop(key)
        self._sinks.findings.pop(key, None)
        self._release(key, frozenset())

    async def _drop_namesakes(self, key: str, uid: str) -> None:
        """A route made again has a plan of its own; the old one goes after the new one is there."""
        for plan in self._written(key):
            if plan.route_uid != uid:
                await self._withdraw(plan)

    async def _withdraw(self, plan: plans.Written) -> None:
        owner = self._sinks.routes.of_uid(plan.route_uid)
        if owner in {None, plan.route}:
            await withdraw(self._sources.kube, plan, self._sources.namespace, self._rules.class_name)
        else:  # somebody marked it with another route than the one whose it is
            self._sinks.wake(owner)
        self._sources.inventory.drop(plan)
        self._sources.credentials.drop(plan)

    def _settle_claims(self, observed: Observed, outcome: Rendered | Said | None) -> None:
        paths = {claim(observed.plan.path)} if observed.plan and not isinstance(outcome, Rendered) else set()
        if observed.route is not None:
            holds = observed.holder is not None and observed.holder.route == observed.key
            if isinstance(outcome, Rendered) or not holds:
                paths.add(observed.route.claim)  # it has it, or waits for it
        self._release(observed.key, frozenset(paths))

    def _release(self, key: str, keeps: frozenset[str]) -> None:
        for waiting in self._sources.claims.keep(key, keeps):
            self._sinks.wake(waiting)


def _told(rendered: Rendered) -> plans.Written:
    """The Secret that goes with a plan, as the watch will tell of it."""
    plan = rendered.plan
    return plans.Written(
        route=plan.key, route_uid=plan.uid, revision=plan.revision, path=plan.path, created=plans.JUST_NOW
    )


def _finding(observed: Observed, outcome: Rendered | Said | None) -> Finding:
    if isinstance(outcome, Rendered):
        return Finding(
            uid=observed.uid,
            generation=observed.generation,
            objection=None,
            unresolved=outcome.unresolved,
            cautions=tuple(map(str, cautions(observed.route))) if observed.route else (),
            targets=tuple(target.name for target in outcome.plan.targets),
            services=_services(observed),
            path=outcome.plan.path,
            keyed=keyed(outcome.plan),
            in_force=InForce(outcome.plan.revision, outcome.plan.generation),
            fresh=outcome.write,
        )
    route, plan = observed.route, observed.plan
    return Finding(
        uid=observed.uid,
        generation=observed.generation,
        objection=outcome,
        targets=tuple(target.name for target in route.spec.targets) if route else (),
        path=plan.path if plan else "",
        keyed=keyed_in(plan.plan) if plan else (),
        in_force=InForce(plan.plan_revision, plan.generation) if plan else None,
    )


def _services(observed: Observed) -> tuple[tuple[str, str], ...]:
    """Which targets are Services of the cluster, and which ones; what lies outside has no endpoints to be seen."""
    if observed.route is None:
        return ()
    home, targets = observed.route.metadata.namespace, observed.route.spec.targets
    keys = ((target.name, service_key(target.service, home)) for target in targets if target.service)
    return tuple((name, f"{key.namespace}/{key.name}") for name, key in keys if isinstance(observed.services[key], str))
