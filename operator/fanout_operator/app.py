"""The operator, put together: what watches, what works, and the order in which it starts.

A start goes in this order, because each step is judged by what the one before has found:

1. all routes are listed, and all plans: what exists and what is in force;
2. paths are claimed, first by the plans in force, then by age: only here does age decide;
3. every route is put on the work queue, those first whose spec nobody has answered yet, then the oldest; and from here
   on events put keys on it, ahead;
4. ready, when that first round is done.

Nothing here decides anything about a route.
"""

import asyncio
import random
import typing
from collections.abc import Callable, Collection, Coroutine

import structlog

from fanout_crds.cluster_plan import selector
from fanout_crds.compile import Installation
from fanout_operator import plans, sweep
from fanout_operator.backoff import Backoff
from fanout_operator.bucket import Bucket
from fanout_operator.claims import Claims
from fanout_operator.coldstart import claim_paths
from fanout_operator.conditions import Finding, some
from fanout_operator.custody import Custody
from fanout_operator.events import Recorder, notice
from fanout_operator.fleet import Fleet
from fanout_operator.gather import Sources
from fanout_operator.holding import Holding
from fanout_operator.judge import Rules
from fanout_operator.kept import Kept
from fanout_operator.kube import CONFIG_MAPS, FAILURES, ROUTES, SECRETS, Document, Kind, Kube, Scope, TooMany, scopes
from fanout_operator.options import Options
from fanout_operator.reads import Reads
from fanout_operator.reconcile import Reconciler, Sinks
from fanout_operator.referents import Hearers, Referents
from fanout_operator.reflector import Reflector, key_of
from fanout_operator.rivals import Rivals
from fanout_operator.routes import Routes
from fanout_operator.workqueue import WorkQueue
from fanout_operator.writer import ANSWERS, ANSWERS_BURST, OTHERS, OTHERS_BURST, Buckets, Ours, StatusWriter

WORKERS: typing.Final = 8
EVENT_RATE: typing.Final = 5.0  # Kubernetes Events a second
EVENT_BURST: typing.Final = 50.0
START: typing.Final = Backoff(base=0.2, cap=2.0)

PlanChanged = Callable[[str, plans.Written | None, plans.Written | None], None]

log = structlog.get_logger()


class Chances(typing.NamedTuple):
    """Chance, ids and the time of day, from the composition root."""

    rng: random.Random
    revision: Callable[[], str]
    wall: Callable[[], str]  # RFC 3339, whole seconds, UTC


class Operator:
    """All parts of one operator, but for what speaks HTTP."""

    def __init__(self, options: Options, kube: Kube, chances: Chances) -> None:
        self._options = options
        self._kube = kube
        self._chances = chances
        self._rules = Rules(class_name=options.class_name, any_path=options.any_path)
        self.routes = Routes()
        self.inventory = plans.Inventory()
        self.findings: dict[str, Finding] = {}
        self.credentials = plans.Inventory()  # the Secrets that go with plans
        self.claims = Claims()
        self.fleet = Fleet(self._reported)
        self.recorder = Recorder(
            kube, bucket=Bucket(EVENT_RATE, EVENT_BURST), wall=chances.wall, new_id=chances.revision
        )
        self.rivals = Rivals(options.installation, self._contested)
        self.status = StatusWriter(
            kube,
            self.routes,
            self.findings,
            self.fleet,
            ours=Ours(self.rivals, options.public_url),
            buckets=Buckets(Bucket(ANSWERS, ANSWERS_BURST), Bucket(OTHERS, OTHERS_BURST)),
            rng=chances.rng,
            wall=chances.wall,
        )
        self.status.written = self.recorder.status_written
        self.work = WorkQueue("routes", self._reconcile, workers=WORKERS, rng=chances.rng)
        self.missing = Kept(lambda routes: self._plans_held(routes, f"{len(routes)} routes vanished at once"))
        self.undefined = Kept(lambda routes: self._plans_held(routes, "routes vanished with their definition"))
        self.holding = Holding(kube, self.undefined, self.work.put)
        self.referents = Referents(kube, options.namespaces, self._hearers(), rng=chances.rng)
        self.status.has_endpoints = self.referents.has_endpoints
        self.reads = Reads(kube, self.referents.services, self.referents.secrets)
        custody = Custody(self.inventory, self.credentials, self._put_back)
        self._plans = self._of_plans(CONFIG_MAPS, custody.plan)
        self._credentials = self._of_plans(SECRETS, custody.secret)
        self.reflectors = (*self.referents.reflectors, self._plans, self._credentials)
        self._reconciler = self._make_reconciler()
        self.sweeper = sweep.Sweeper(
            kube,
            scopes(ROUTES, options.namespaces, metadata_only=True),
            self.routes,
            (self.inventory, self.credentials),
            wake=self.work.put,
            kept=self.missing,
        )
        self._listed = False
        self.synced = asyncio.Event()
        self._begun = False

    def __repr__(self) -> str:
        return f"<Operator {self.routes!r} {self.inventory!r} {self.work!r} {self.fleet!r}>"

    # --- events -------------------------------------------------------------------------------------------------------

    def route(self, document: Document) -> None:
        """A route is there; only its status is looked at when its spec is the one we know."""
        if self.routes.knows(document):
            return
        key = key_of(document)
        if self.routes.note(document):
            self._edited(key)
        else:
            self.status.wake(key)

    def _edited(self, key: str) -> None:
        """Somebody waits for this one: it goes before all that is only caught up with."""
        self.work.forget(key)
        self.work.put(key, ahead=True)
        self.status.edited(key)

    def gone(self, document: Document) -> None:
        """A route was deleted."""
        self.routes.drop(key_of(document), document["metadata"]["uid"])
        self.work.put(key_of(document), ahead=True)
        self.status.wake(key_of(document))  # nobody waits for an answer any more

    def _put_back(self, route: str) -> None:
        if route in self.findings:  # before its first reconcile there is nothing to put back
            self.work.put(route)

    def _reported(self, routes: Collection[str] | None) -> None:
        for key in self.findings if routes is None else routes:
            self.status.wake(key)

    def _contested(self, key: str, rival: str) -> None:
        log.warning("class.contested", route=key, rival=rival)
        if known := self.routes.get(key):
            self.recorder.post(known.document(), notice("Warning", "ClassContested", rival=rival))

    def _plans_held(self, routes: Collection[str], why: str) -> None:
        """Tell it on a plan: the routes are not there to tell it on."""
        held = [plan for key in routes for plan in self.inventory.of(key)]
        if held:
            about = plans.reference(held[0], self._options.namespace)
            self.recorder.post(about, notice("Warning", "PlansHeld", why=why, routes=some(routes)))

    # --- its life -----------------------------------------------------------------------------------------------------

    def tasks(self) -> tuple[Coroutine[None, None, None], ...]:
        """What runs from the beginning; none of them ends by itself."""
        return (*(one.run() for one in self.reflectors), self.status.run(), self.recorder.run(), self.holding.run())

    def held(self) -> int:
        """How many plans stay although their route is not there; until routes could be listed, that is every one."""
        return len({*self.missing, *self.undefined}) if self._listed else len(self.inventory)

    def contested(self) -> int:
        """How many routes another installation serves too."""
        return self.rivals.contested(asyncio.get_running_loop().time())

    async def start(self) -> None:
        """Go through the steps above; afterwards `work` and `sweeper` may run."""
        await self.list_routes()
        await self._plans.synced.wait()
        await self._credentials.synced.wait()
        await self.referents.listed()
        await self.reads.list_ours(self._plan_scope(kind, metadata_only=False) for kind in (CONFIG_MAPS, SECRETS))
        claim_paths(self.claims, self.routes, self.inventory, self._rules)
        for key in sorted(self.routes.by_age(), key=self.routes.answered):  # whom nobody has answered yet comes first
            self.work.put(key)
        self._begun = True
        log.info("operator.listed", routes=len(self.routes), plans=len(self.inventory))

    async def first_round(self) -> None:
        """Wait until all that was there at the start is done."""
        await self.work.drained()
        self.reads.started()
        self.status.caught_up()
        for one in self.reflectors:
            await one.synced.wait()
        await self.work.drained()
        self.synced.set()
        log.info("operator.synced", routes=len(self.routes), plans=len(self.inventory))

    async def list_again(self) -> None:
        """Take a complete list, and work on what it tells that no event did: the watch was away."""
        for key in await self.list_routes():
            if self._begun:  # `start` puts all of them, in its order
                self._edited(key)

    async def list_routes(self) -> list[str]:
        """Take a complete list of all routes, however long it takes to get one; the sweeper compares again soon.

        Answers those whose spec is new to us, also when only a list that broke off has told of them.
        """
        self.sweeper.hurry()
        edited: dict[str, None] = {}  # in the order in which they were told of
        failures = 0
        while True:
            try:
                for scope in scopes(ROUTES, self._options.namespaces):
                    async for page in self._kube.pages(scope):  # whole objects take ten times the room of what is kept
                        edited |= dict.fromkeys(key_of(one) for one in map(_whole, page.items) if self.routes.note(one))
            except FAILURES as fault:
                failures += 1
                log.warning("operator.waiting", fault=f"{type(fault).__name__}: {fault}")
                asked = fault.retry_after if isinstance(fault, TooMany) else 0.0
                await asyncio.sleep(max(asked, START.wait(failures, self._chances.rng)))
            else:
                self._listed = True
                return list(edited)

    # --- parts --------------------------------------------------------------------------------------------------------

    async def _reconcile(self, key: str) -> None:
        await self._reconciler(key)

    def _hearers(self) -> Hearers:
        return Hearers(
            wake=self.work.put,
            endpoints_came=self.status.wake,
            endpoints_went=self.status.lost_endpoints,
            endpoints_listed=lambda: self._reported(None),
            service_deleted=self.status.removed,
        )

    def _make_reconciler(self) -> Reconciler:
        sources = Sources(
            kube=self._kube,
            reads=self.reads,
            dependants=self.referents.dependants,
            claims=self.claims,
            grants=self.referents.grants,
            granted=self.referents.granted,
            endpoints=self.referents.endpoints,
            endpoints_known=self.referents.endpoints_known,
            inventory=self.inventory,
            credentials=self.credentials,
            namespace=self._options.namespace,
        )
        sinks = Sinks(
            routes=self.routes,
            findings=self.findings,
            judged=self.status.judged,
            left=self.status.left,
            wake=self.work.put,
            holding=self.holding,
        )
        installation = Installation(class_name=self._options.class_name)
        return Reconciler(sources, self._rules, installation, sinks, revision=self._chances.revision)

    def _of_plans(self, kind: Kind, told: PlanChanged) -> Reflector[plans.Written]:
        def changed(key: str, before: plans.Written | None, now: plans.Written | None) -> None:
            self.reads.changed(kind, key)
            told(key, before, now)

        scope = self._plan_scope(kind, metadata_only=True)
        return Reflector(self._kube, scope, keep=plans.written, changed=changed, rng=self._chances.rng)

    def _plan_scope(self, kind: Kind, *, metadata_only: bool) -> Scope:
        labels = selector(self._options.class_name)
        return Scope(kind=kind, namespace=self._options.namespace, labels=labels, metadata_only=metadata_only)


def _whole(document: Document) -> Document:
    """An item of a list does not repeat what the list says: its kind."""
    return {"apiVersion": ROUTES.api_version, "kind": ROUTES.name, **document}
