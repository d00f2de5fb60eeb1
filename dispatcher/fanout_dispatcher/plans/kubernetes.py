"""Plans that an operator wrote into this dispatcher's namespace: ConfigMaps, and Secrets for what is confidential.

Two reflectors mirror them; `pairing` says which plans are whole. The API server may go away for as long as it likes:
what is in force stays. A plan is retired on an explicit delete, or when two lists lack it (`census`) and there is none
of its name either; an empty list where there were many plans proves nothing.
"""

import asyncio
import random
import typing

from fanout_crds import cluster_plan
from fanout_crds.apiserver import ApiServer
from fanout_dispatcher.plans.census import Census
from fanout_dispatcher.plans.pairing import Adopt, Object, Refuse, Wait, decide, name_of, route_of
from fanout_dispatcher.plans.reflector import SILENCE, Reflector
from fanout_dispatcher.telemetry.seam import PlansFaulty, PlansHeld, PlansSynced, Seam
from fanout_dispatcher.values.sink import PlanRefused, PlanSink

SOURCE: typing.Final = "kubernetes"


class KubernetesSource:
    """Feeds a sink from one namespace of a cluster. `run` until it is cancelled."""

    def __init__(
        self,
        cluster: ApiServer,
        *,
        namespace: str,
        class_name: str,
        sink: PlanSink,
        seam: Seam,
        rng: random.Random,
        silence: float = SILENCE,
    ) -> None:
        self._class_name = class_name
        self._sink = sink
        self._seam = seam
        self._census = Census()
        self._plans: dict[str, Object] = {}
        self._secrets: dict[str, Object] = {}
        self._owners: dict[str, str] = {}  # route -> its newest ConfigMap: one made again may be there twice
        self._refused: set[str] = set()  # names of plans that the sink refused: a freed path may change its mind
        self._held: tuple[str, ...] = ()
        self._listed: set[str] = set()
        self._doubted: dict[str, str] = {}  # name -> route: two lists lack it, and nobody asked for it by name yet
        self._reflectors = tuple(
            Reflector(
                cluster,
                f"/api/v1/namespaces/{namespace}/{listener.kind}",
                cluster_plan.selector(class_name),
                listener=listener,
                rng=rng,
                silence=silence,
            )
            for listener in (_Half(self, "configmaps"), _Half(self, "secrets"))
        )

    async def run(self) -> None:
        """Follow the cluster."""
        async with asyncio.TaskGroup() as group:
            for reflector in self._reflectors:
                group.create_task(reflector.run())

    def held(self) -> tuple[str, ...]:
        """The routes that a list lacked with too many others, and that have no plan since."""
        return tuple(route for route in self._held if route not in self._owners)

    def let_go(self, routes: typing.Collection[str]) -> None:
        """Take a person's word that these of the held ones were meant to go."""
        gone = [route for route in self.held() if route in routes]
        self._held = tuple(route for route in self._held if route not in gone)
        self._retire(gone)

    # --- what the reflectors tell -------------------------------------------------------------------------------------

    def listed(self, kind: str, items: list[Object]) -> float | None:
        """Take a complete list of one half."""
        named = {name_of(item): item for item in items}
        again = None
        if kind == "secrets":
            self._secrets = named
        else:
            again = self._recount(named)
        first = self._listed != {"configmaps", "secrets"}
        self._listed.add(kind)
        if self._listed == {"configmaps", "secrets"}:
            for name in sorted(self._owners.values(), key=self._made):  # of two with one path, the older gets it
                self._consider(name)
            if first:
                self._sink.synced()
                self._seam.tell(PlansSynced(source=SOURCE, routes=len(self._plans)))
        return again

    def doubted(self) -> tuple[str, ...]:
        """Names of the plans that two lists lack."""
        return tuple(self._doubted)

    def asked(self, name: str, item: Object | None) -> None:
        """Retire the route of a plan that is not there or another installation's; otherwise the lists were wrong."""
        route = self._doubted.pop(name)
        if item is None or cluster_plan.class_of(item) not in {"", self._class_name}:
            self._retire((route,))
            return
        why = "two lists lack a plan that is there when it is asked for by name: it stays in force"
        self._seam.tell(PlansHeld(source=SOURCE, why=why, routes=(route,)))
        self.put("configmaps", item)

    def put(self, kind: str, item: Object) -> None:
        """Take one half of a plan that is new or changed."""
        if kind == "secrets":
            self._secrets[name_of(item)] = item
        else:
            self._plans[name_of(item)] = item
            self._own(name_of(item))
        if len(self._listed) > 1:
            self._consider(name_of(item))

    def gone(self, kind: str, item: Object) -> None:
        """Retire the route of a plan that was deleted, unless another object has it by now."""
        if kind == "secrets":
            self._secrets.pop(name_of(item), None)  # what is in force keeps its credentials: the operator decides
            return
        self._plans.pop(name_of(item), None)
        route = route_of(item)
        if self._owners.get(route) != name_of(item):
            return
        del self._owners[route]
        for name in [name for name, other in self._plans.items() if route_of(other) == route]:
            self._own(name)
            self._consider(name)
        if route not in self._owners:
            self._retire((route,))

    def away(self, kind: str, why: str) -> None:
        """Say that the API server cannot be asked."""
        self._seam.tell(PlansFaulty(source=SOURCE, why=f"{kind}: {why}; the plans in force stay"))

    # --- what follows -------------------------------------------------------------------------------------------------

    def _recount(self, named: dict[str, Object]) -> float | None:
        self._plans, self._owners = named, {}
        for name in named:
            self._own(name)
        in_force = self._sink.routes()
        absences = self._census.take(self._owners.keys(), in_force, _now())
        self._doubted = {cluster_plan.name_of(in_force[route]): route for route in absences.gone}
        if absences.held and absences.held != self._held:
            why = "a list lacks many plans at once: they stay in force until they are back; `fanout held` lets go"
            self._seam.tell(PlansHeld(source=SOURCE, why=why, routes=absences.held))
        self._held = absences.held
        return absences.again

    def _retire(self, routes: typing.Iterable[str]) -> None:
        for route in routes:
            self._sink.retire(route)
            for name in sorted(self._refused):
                self._consider(name)

    def _consider(self, name: str) -> None:
        config_map = self._plans.get(name)
        if config_map is None or self._owners.get(route_of(config_map)) != name:
            return
        self._refused.discard(name)
        match decide(config_map, self._secrets.get(name)):
            case Adopt(plan, credentials):
                try:
                    self._sink.adopt(plan, credentials)
                except PlanRefused as refused:
                    self._refused.add(name)
                    self._sink.refuse(plan.key, str(refused))
            case Refuse(route, why):
                self._sink.refuse(route, why)
            case Wait():
                pass  # the other half is on its way

    def _own(self, name: str) -> None:
        """Let *name* stand for its route, unless a newer one does."""
        route = route_of(self._plans[name])
        known = self._owners.get(route)
        if known is None or self._made(name) >= self._made(known):
            self._owners[route] = name

    def _made(self, name: str) -> tuple[str, str]:
        return str(self._plans[name]["metadata"].get("creationTimestamp", "")), name


def _now() -> float:
    return asyncio.get_running_loop().time()


class _Half:
    """Hears one reflector and says which kind it was."""

    def __init__(self, source: KubernetesSource, kind: str) -> None:
        self.kind = kind
        self._source = source
        self._away: str | None = None

    def listed(self, items: list[Object]) -> float | None:
        return self._source.listed(self.kind, items)

    def doubted(self) -> tuple[str, ...]:
        return self._source.doubted() if self.kind == "configmaps" else ()

    def asked(self, name: str, item: Object | None) -> None:
        self._source.asked(name, item)

    def put(self, item: Object) -> None:
        self._source.put(self.kind, item)

    def gone(self, item: Object) -> None:
        self._source.gone(self.kind, item)

    def away(self, why: str | None) -> None:
        if why is not None and self._away is None:
            self._source.away(self.kind, why)  # once, not at every retry
        self._away = why
