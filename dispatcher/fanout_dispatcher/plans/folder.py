"""Plans from manifests on this machine: loads files and folders, compiles, and follows their changes.

What is wrong never takes effect and never takes anything away: a faulty file keeps its routes as they were, a folder
that cannot be read keeps all of them, and a route whose file is gone stays until a second look, or longer when many
went at once (`census`). Every load looks at everything there is, so it does not matter which change woke it.
"""

import asyncio
import pathlib
import random
import typing

from fanout_crds.compile import Installation
from fanout_crds.faults import Fault, Invalid
from fanout_crds.manifests import Manifests, Secrets, Sourced, load
from fanout_crds.references import ServiceKey
from fanout_dispatcher.plans.census import Absences, Census
from fanout_dispatcher.plans.compiling import Compiling
from fanout_dispatcher.plans.watch import SWEEP, Watch
from fanout_dispatcher.telemetry.seam import PlansFaulty, PlansHeld, PlansSynced, Seam
from fanout_dispatcher.values.sink import PlanRefused, PlanSink

SOURCE: typing.Final = "folder"
MANY_GONE: typing.Final = (
    "many routes are gone at once: they stay in force until they are back; to let them go, put them back and take one"
    " or two away at a time, or start on a fresh --data folder"
)


class FolderSource:
    """Feeds a sink from *paths*. `run` until it is cancelled."""

    def __init__(
        self,
        paths: typing.Sequence[pathlib.Path],
        *,
        sink: PlanSink,
        seam: Seam,
        installation: Installation,
        resolve: typing.Mapping[ServiceKey, str],
        rng: random.Random,
        sweep: float = SWEEP,
    ) -> None:
        self._paths = paths
        self._folders = [path for path in paths if path.is_dir()]
        self._sink = sink
        self._seam = seam
        self._class_name = installation.class_name
        self._compiling = Compiling(installation, resolve, rng)
        self._watch = Watch(paths, sweep=sweep)
        self._census = Census()
        self._origin: dict[str, str] = {}  # route -> file
        self._path: dict[str, str] = {}  # listen path -> route that has it
        self._said: frozenset[str] = frozenset()
        self._held: tuple[str, ...] = ()

    async def run(self) -> None:
        """Load, then load again whenever something changed."""
        changed = asyncio.Event()
        again = await self.load()
        self._sink.synced()
        self._seam.tell(PlansSynced(source=SOURCE, routes=len(list(self._sink.routes()))))
        async with asyncio.TaskGroup() as group:
            group.create_task(self._watch.follow(changed.set))
            while True:
                await _first(changed, again)
                changed.clear()
                again = await self.load()

    async def load(self) -> float | None:
        """Look at everything once. Gives the seconds after which to look again although nothing changes."""
        try:
            found = await asyncio.to_thread(self._read)
        except OSError as error:  # a folder that went or may not be read: what it held stays in force
            self._say({f"{error.filename}: {(error.strerror or str(error)).lower()}; its routes stay as they were"})
            return None
        served = {one.route.key: one for one in found.routes if one.route.spec.class_name == self._class_name}
        self._say({str(one) for one in (*found.faults, *found.notices)} | self._foreign(found))
        spoilt = self._spoilt(found.faults, served)
        absences = self._census.take(served.keys() | self._sheltered(found.faults), self._sink.routes(), _now())
        self._retire(absences)
        for route, why in spoilt.items():
            self._sink.refuse(route, why)
        for one in sorted(served.values(), key=lambda one: one.route.key not in self._origin):  # they may leave a path
            if one.route.key not in spoilt:
                self._adopt(one, found.secrets)
        return absences.again

    def _read(self) -> Manifests:
        for folder in self._folders:
            next(folder.iterdir(), None)  # raises OSError: an unreadable folder must not look like an empty one
        return load([path for path in self._paths if path.exists()])

    def _adopt(self, one: Sourced, secrets: Secrets) -> None:
        route = one.route.key
        try:
            made = self._compiling.compile(one, secrets)
            self._check_path(made.plan.path, route)
            self._sink.adopt(made.plan, made.credentials)
        except Invalid as wrong:
            self._sink.refuse(route, "; ".join(str(one.placed(fault)) for fault in wrong.faults))
            return
        except PlanRefused as why:
            self._sink.refuse(route, f"{one.file}:{one.line}: {why}")
            return
        self._path = {path: owner for path, owner in self._path.items() if owner != route} | {made.plan.path: route}
        self._origin[route] = one.file

    def _check_path(self, path: str, route: str) -> None:
        incumbent = self._path.get(path, route)
        if incumbent != route:
            raise PlanRefused(f"path {path} belongs to {incumbent} ({self._origin[incumbent]})")

    def _spoilt(self, faults: typing.Iterable[Fault], served: typing.Mapping[str, Sourced]) -> dict[str, str]:
        """Give the routes that came from a file which has a fault now and that do not come from it any more."""
        said = {fault.file: str(fault) for fault in faults}
        return {
            route: said[file]
            for route, file in self._origin.items()
            if file in said and (route not in served or served[route].file != file)
        }

    def _sheltered(self, faults: typing.Iterable[Fault]) -> set[str]:
        """Give the routes that may stand in a faulty file: its own, and those of unknown origin (after a restart)."""
        faulty = {fault.file for fault in faults}
        return {route for route in self._sink.routes() if faulty and self._origin.get(route) in (faulty | {None})}

    def _retire(self, absences: Absences) -> None:
        for route in absences.gone:
            self._sink.retire(route)
            self._compiling.forget(route)
            self._origin.pop(route, None)
            self._path = {path: owner for path, owner in self._path.items() if owner != route}
        if absences.held and absences.held != self._held:
            self._seam.tell(PlansHeld(source=SOURCE, why=MANY_GONE, routes=absences.held))
        self._held = absences.held

    def _foreign(self, found: Manifests) -> set[str]:
        return {
            f"{one.file}:{one.line}: {one.route.key} is of class {one.route.spec.class_name}, not served here"
            for one in found.routes
            if one.route.spec.class_name != self._class_name
        }

    def _say(self, faults: typing.AbstractSet[str]) -> None:
        """Tell what was not told after the last load already."""
        for fault in sorted(faults - self._said):
            self._seam.tell(PlansFaulty(source=SOURCE, why=fault))
        self._said = frozenset(faults)


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _first(changed: asyncio.Event, again: float | None) -> None:
    try:
        async with asyncio.timeout(again):
            await changed.wait()
    except TimeoutError:
        pass
