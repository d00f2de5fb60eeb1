"""Plans from manifests on this machine: loads files and folders, compiles, and follows their changes.

What is wrong never takes effect and never takes anything away: a faulty file keeps its routes as they were, a folder
that cannot be read keeps all of them, and a route whose file is gone stays until a second look, or longer when many
went at once (`census`). A target that is gone from its file has its second look too, and neither counts while the file
still changes (`settling`). What Secrets hold is kept alike (`keeping`). Every load looks at everything there is, so it
does not matter which change woke it.
"""

import asyncio
import pathlib
import random
import typing

import msgspec

from fanout_crds.cautions import cautions
from fanout_crds.compile import Compiled, Installation
from fanout_crds.faults import Fault, Invalid
from fanout_crds.manifests import Manifests, Secrets, Sourced, load, shown
from fanout_crds.plan import Plan
from fanout_crds.references import ServiceKey
from fanout_dispatcher.plans.aside import aside
from fanout_dispatcher.plans.census import CONFIRM, Absences, Census
from fanout_dispatcher.plans.compiling import Compiling
from fanout_dispatcher.plans.conflicts import turns
from fanout_dispatcher.plans.keeping import Keeping
from fanout_dispatcher.plans.settling import Mark, Settling
from fanout_dispatcher.plans.watch import SWEEP, Watch, fingerprint
from fanout_dispatcher.telemetry.seam import (
    PlansCautioned,
    PlansFaulty,
    PlansForeign,
    PlansHeld,
    PlansMended,
    PlansSynced,
    Seam,
)
from fanout_dispatcher.values.sink import PlanRefused, PlanSink

SOURCE: typing.Final = "folder"
TOGETHER: typing.Final = 20  # routes that are compiled in one turn of the loop
TARGETS: typing.Final = 40  # that are put in force in one turn: a sender is made for each
MANY_GONE: typing.Final = (
    "many routes are gone at once: they stay in force until they are back; `fanout held list` shows them,"
    " `fanout held let-go` lets go"
)


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A route that this source put in force: the file it came from, what its path claims, and its targets."""

    file: str
    claim: str
    targets: frozenset[str]


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
        self._settling = Settling()
        self._keeping = Keeping()
        self._standing: dict[str, Standing] = {}  # by route
        self._refused: set[str] = set()  # routes of which the last look found a manifest that is not in force
        self._said: dict[str, str] = {}  # what the last look found wrong, and the file that it is about
        self._foreign: frozenset[str] = frozenset()
        self._cautions: dict[str, str] = {}  # what was told of each route
        self._noticed: frozenset[str] = frozenset()  # and of files
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
            marks, found = await aside(self._look)
        except OSError as error:  # a folder that went or may not be read: what it held stays in force
            why = f"{error.filename}: {(error.strerror or str(error)).lower()}; its routes stay as they were"
            self._say(self._said | {why: str(error.filename)})
            return CONFIRM
        now = _now()
        changed = self._settling.look(marks, now)
        served = {one.route.key: one for one in found.routes if one.route.spec.class_name == self._class_name}
        secrets, missing = self._keeping.take(found, changed, now)
        self._say({str(one): one.file or "" for one in found.faults})
        self._say_foreign(found)
        spoilt = self._spoilt(found, served)
        before, self._refused = self._refused, set()
        restless = {route for route, one in self._standing.items() if one.file in changed}
        present = served.keys() | self._sheltered(found.faults)
        absences = self._census.take(present, self._sink.routes(), now, restless)
        self._retire(absences)
        for route, why in spoilt.items():
            self._refuse(route, why)
        made = await self._compiled([one for route, one in served.items() if route not in spoilt], secrets)
        waits = {route: self._wait(*one, now) for route, one in made.items()}
        await self._adopt_all({route: one for route, one in made.items() if not waits[route]})
        self._forgive(before - self._refused)
        self._say_cautions(found.notices, [one for one, _ in made.values()])
        return min((one for one in (absences.again, missing, *waits.values()) if one), default=None)

    def _look(self) -> tuple[dict[str, Mark], Manifests]:
        """Read everything there is, and how each file was before it was read."""
        for folder in self._folders:
            next(folder.iterdir(), None)  # raises OSError: an unreadable folder must not look like an empty one
        marks = {shown(pathlib.Path(name)): tuple(mark) for name, *mark in fingerprint(self._paths)}
        there = [path for path in self._paths if path.exists()]
        found = load([path for path in there if path.is_dir() or path.is_file()])
        again = "neither a file nor a folder: it cannot be read again when it changes"
        found.faults += [Fault("", again, shown(path)) for path in there if not (path.is_dir() or path.is_file())]
        return typing.cast("dict[str, Mark]", marks), found

    async def _compiled(
        self, served: typing.Iterable[Sourced], secrets: Secrets
    ) -> dict[str, tuple[Sourced, Compiled]]:
        made = {}
        for number, one in enumerate(served):
            if number % TOGETHER == 0:
                await asyncio.sleep(0)
            try:
                made[one.route.key] = (one, self._compiling.compile(one, secrets))
            except Invalid as wrong:
                self._refuse(one.route.key, "; ".join(str(one.placed(fault)) for fault in wrong.faults))
        return made

    def _wait(self, one: Sourced, made: Compiled, now: float) -> float:
        """Give the seconds for which a plan that drops targets is not believed yet: what they are owed would end."""
        before = self._standing.get(one.route.key)
        names = {target.name for target in made.plan.targets}
        return self._settling.wait(one.file, now) if before and before.targets - names else 0.0

    async def _adopt_all(self, made: typing.Mapping[str, tuple[Sourced, Compiled]]) -> None:
        owners = {one.claim: route for route, one in self._standing.items()}
        rooms, ordered = turns({route: one.plan.claim for route, (_, one) in made.items()}, owners)
        for route in rooms:  # it is back before the loop turns: nothing that was accepted notices
            self._sink.retire(route)
            del owners[self._standing.pop(route).claim]
        targets = TARGETS
        for route in ordered:
            if targets >= TARGETS and not rooms:
                await asyncio.sleep(0)
                targets = 0
            targets += len(made[route][1].plan.targets)
            self._adopt(*made[route], owners)

    def _adopt(self, one: Sourced, made: Compiled, owners: dict[str, str]) -> None:
        """Put a plan in force; *owners* says whose each path is, and is kept true."""
        route, plan = one.route.key, made.plan
        try:
            self._check_path(plan, owners)
            self._sink.adopt(plan, made.credentials)
        except PlanRefused as why:
            self._refuse(route, _placed(one, str(why)))
            return
        before = self._standing.get(route)
        if before is not None and before.claim != plan.claim:
            del owners[before.claim]
        owners[plan.claim] = route
        targets = frozenset(target.name for target in plan.targets)
        self._standing[route] = Standing(file=one.file, claim=plan.claim, targets=targets)

    def _refuse(self, route: str, why: str) -> None:
        self._refused.add(route)
        self._sink.refuse(route, why)

    def _forgive(self, routes: set[str]) -> None:
        """Say that nothing of *routes* is refused any more, and forget those that were never in force."""
        for route in sorted(routes):
            if route not in self._sink.routes():
                self._sink.retire(route)
            self._seam.tell(PlansMended(source=SOURCE, of=route))

    def _check_path(self, plan: Plan, owners: typing.Mapping[str, str]) -> None:
        incumbent = owners.get(plan.claim, plan.key)
        if incumbent != plan.key:
            raise PlanRefused(f"path {plan.path} belongs to {incumbent} ({self._standing[incumbent].file})")

    def _spoilt(self, found: Manifests, served: typing.Mapping[str, Sourced]) -> dict[str, str]:
        """Give the routes of which there is only a faulty manifest, and those that a file which is faulty now lacks."""
        said = {fault.file: str(fault) for fault in found.faults}
        lacking = {
            route: said[one.file]
            for route, one in self._standing.items()
            if one.file in said and (route not in served or served[route].file != one.file)
        }
        return lacking | {route: str(fault) for route, fault in found.turned.items() if route not in served}

    def _sheltered(self, faults: typing.Iterable[Fault]) -> set[str]:
        """Give the routes that may stand in a faulty file: its own, and those of unknown origin (after a restart)."""
        faulty = {fault.file for fault in faults}
        origin = {route: one.file for route, one in self._standing.items()}
        return {route for route in self._sink.routes() if faulty and origin.get(route) in (faulty | {None})}

    def _retire(self, absences: Absences) -> None:
        for route in absences.gone:
            self._sink.retire(route)
            self._compiling.forget(route)
            self._standing.pop(route, None)
        if absences.held and absences.held != self._held:
            self._seam.tell(PlansHeld(source=SOURCE, why=MANY_GONE, routes=absences.held))
        self._held = absences.held

    def held(self) -> tuple[str, ...]:
        """The routes that the last look lacked with too many others."""
        return self._held

    def let_go(self, routes: typing.Collection[str]) -> None:
        """Take a person's word that these of the held ones were meant to go."""
        gone = tuple(route for route in self._held if route in routes)
        self._retire(Absences(gone=gone, held=tuple(route for route in self._held if route not in gone)))

    def _say_foreign(self, found: Manifests) -> None:
        """Tell of routes that are another installation's: no fault, unless one of them is in force here."""
        in_force = set(self._sink.routes())
        ours = self._class_name
        foreign: dict[str, bool] = {}
        for one in found.routes:
            if one.route.spec.class_name != ours:
                text = f"{one.file}:{one.line}: {one.route.key} is of class {one.route.spec.class_name}, "
                if one.route.key in in_force:
                    text += f"not served here: what is in force of it is retired, unless its class is {ours} again"
                else:
                    text += f"and this dispatcher serves {ours} (--class-name)"
                foreign[text] = one.route.key in in_force
        for text in sorted(foreign.keys() - self._foreign):
            self._seam.tell((PlansFaulty if foreign[text] else PlansForeign)(source=SOURCE, why=text))
        self._foreign = frozenset(foreign)

    def _say_cautions(self, notices: typing.Iterable[Fault], routes: typing.Iterable[Sourced]) -> None:
        """Tell once what is no fault and will surprise: of the files a line each, of *routes* one for each route."""
        found = {one.route.key: "; ".join(str(one.placed(each)) for each in cautions(one.route)) for one in routes}
        for route, why in found.items():
            if why and self._cautions.get(route) != why:
                self._seam.tell(PlansCautioned(source=SOURCE, route=route, why=why))
        self._cautions = {route: why for route, why in found.items() if why}
        noticed = frozenset(map(str, notices))
        for why in sorted(noticed - self._noticed):
            self._seam.tell(PlansCautioned(source=SOURCE, why=why))
        self._noticed = noticed

    def _say(self, faults: dict[str, str]) -> None:
        """Tell what was not told after the last load already, and which files have no fault any more."""
        for fault in sorted(faults.keys() - self._said.keys()):
            self._seam.tell(PlansFaulty(source=SOURCE, why=fault))
        for file in sorted(set(self._said.values()) - set(faults.values())):
            self._seam.tell(PlansMended(source=SOURCE, of=file))
        self._said = faults


def _placed(one: Sourced, why: str) -> str:
    """Say where it is wrong: at the line of the field, where the sentence begins with one."""
    path, _, sentence = why.partition(": ")
    return str(one.placed(Fault(path, sentence))) if path.startswith("spec.") else f"{one.file}:{one.line}: {why}"


def _now() -> float:
    return asyncio.get_running_loop().time()


async def _first(changed: asyncio.Event, again: float | None) -> None:
    try:
        async with asyncio.timeout(again):
            await changed.wait()
    except TimeoutError:
        pass
