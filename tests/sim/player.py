"""Plays a scenario: one life after the other, act by act, until all faults are over and nothing is owed any more."""

import asyncio
import contextlib
import pathlib
import tempfile
import typing

import msgspec

from fanout_crds.plan import Target
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.engine.routes import DRAIN
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.transport.memory import NEVER
from fanout_dispatcher.values.views import DeadLetterFilter, SagaFilter
from tests.sim import drawing
from tests.sim import history as records
from tests.sim import scenario as acts
from tests.sim.checkers.reading import is_graph
from tests.sim.history import History
from tests.sim.notable import notable
from tests.sim.scenario import Act, End, Scenario
from tests.sim.storage import SqliteStorage
from tests.sim.tempers import behave
from tests.sim.world import Life, World

IN_MEMORY = pathlib.Path("/dev/shm")  # syncing costs nothing there, and the simulated disk is what forgets
ALL = DeadLetterFilter(limit=10_000)
SLACK = 30.0  # seconds beyond what the plans themselves ask for


def play(scenario: Scenario) -> History:
    """Carry it out; what happened."""
    world = World(scenario.plans[0], lambda target, flight, now: NEVER, seed=scenario.seed)
    world.judged = True
    world.plans = {plan.key: plan for plan in scenario.plans}
    world.behave = behave(world, scenario.tempers, scenario.heal)
    world.disk = scenario.latency
    if not scenario.embedded:
        Player(world, scenario).play()
        return world.history
    with tempfile.TemporaryDirectory(dir=IN_MEMORY if IN_MEMORY.is_dir() else None) as folder:
        storage = SqliteStorage(pathlib.Path(folder), world.clock, seed=scenario.seed)
        world.storage, world.folder = storage, folder
        with contextlib.closing(storage):
            Player(world, scenario).play()
    return world.history


class Player:
    """One scenario on its stage."""

    def __init__(self, world: World, scenario: Scenario) -> None:
        self.world = world
        self.scenario = scenario
        self.acts = list(reversed(scenario.acts))
        self.known = list(scenario.plans)  # every plan that was ever in force
        self.end: End | None = None
        self.tasks: list[asyncio.Task[None]] = []
        self.bodies = 0.0  # script time at which the last body that is on its way is in

    def play(self) -> None:
        """All lives, the last of which sees everything through."""
        world = self.world
        while True:
            self.end = None
            power = self._ends_by_power()
            world.live(self._life, power=power)
            if self.end is None:
                break
            world.began += self.end.away
            world.paused += self.end.away
            world.boots += self.end.how == "reboot"
            self._jump(self.end.jump)
        for what, count in (world.storage.fired() | notable(world.history)).items():
            world.history.fire(what, count)

    def _ends_by_power(self) -> bool:
        end = next((act for act in reversed(self.acts) if isinstance(act, End)), None)
        return end is not None and end.how in {"power", "reboot"}

    async def _life(self, life: Life) -> None:
        self.tasks = []
        while self.acts:
            act = self.acts.pop()
            await self._until(life, act.at)
            if isinstance(act, End):
                return await self._ended(life, act)
            self._do(life, act)
        await self._until(life, max(self.scenario.heal, self.bodies))
        await self._at_last(life)

    async def _until(self, life: Life, at: float) -> None:
        wait = at - self.world.script_time()
        if wait > 0:
            await asyncio.sleep(wait)

    async def _ended(self, life: Life, end: End) -> None:
        self.end = end
        self.world.history.fire(end.how)
        if end.how == "sigterm":
            for number in range(3):  # producers do not know yet
                late = acts.Post(at=0.0, path=self.scenario.plans[0].path, event=f"late{life.number}-{number}")
                life.loop.call_later(0.002 * (number + 1), self._post, life, late)
            await life.drain(end.patience)

    def _do(self, life: Life, act: Act) -> None:
        world = self.world
        match act:
            case acts.Post():
                self._post(life, act)
            case acts.Adopt(plan=plan):
                world.plan = plan
                self.known.append(plan)
                life.adopt(plan)
                world.history.fire("plan changed")
            case acts.Retire(route=route):
                world.plans.pop(route, None)
                life.retire(route)
                world.history.fire("route deleted")
            case acts.Replay(limit=limit):
                self._task(self._replay(life, limit))
            case acts.Remove(limit=limit):
                self._task(self._remove(life, limit))
            case acts.Decide(deed=deed, limit=limit):
                self._task(self._decide(life, deed, limit))
            case acts.Trouble(share=share):
                world.storage.trouble(share, world.chance)
            case acts.Latency(seconds=seconds):
                life.disk.latency = seconds
            case acts.Jump(seconds=seconds):
                self._jump(seconds)
            case _:
                raise AssertionError(act)

    def _jump(self, seconds: float) -> None:
        self.world.jumped += seconds
        if seconds:
            self.world.history.fire("wall clock jumped")

    def _post(self, life: Life, post: acts.Post) -> None:
        route = life.engine.route_at(post.path)
        if route is None:
            return  # 404
        if post.slow:
            self.bodies = max(self.bodies, self.world.script_time() + post.slow + 0.1)
            life.loop.call_later(post.slow, self._complete, life, post, route)
        else:
            self._begin(life, post, route)

    def _complete(self, life: Life, post: acts.Post, route: Route) -> None:
        """Its body is there. The data port judges it again, if *route* has gone meanwhile."""
        if route.standing.in_force:
            self._begin(life, post, route)
        else:
            self._post(life, msgspec.structs.replace(post, slow=0.0))

    def _begin(self, life: Life, post: acts.Post, route: Route) -> None:
        body = post.event.encode().ljust(post.size, b".")
        if post.waits and route.waits is not None:
            life.wait(post.event, body, route, key=post.key)
        else:
            life.post(post.event, body, route, post.key, post.partition)

    def _task(self, job: typing.Coroutine[typing.Any, typing.Any, None]) -> None:
        self.tasks.append(asyncio.get_running_loop().create_task(job))

    async def _replay(self, life: Life, limit: int) -> None:
        with contextlib.suppress(JournalFault):  # said to whoever asked; they may ask again
            receipts = await life.replay(DeadLetterFilter(limit=limit))
            self.world.history.fire("replayed", len(receipts))

    async def _remove(self, life: Life, limit: int) -> None:
        began = life.now()
        life.history.log.append(records.Removed(began, life.number, began, 0))
        with contextlib.suppress(JournalFault):
            count = await life.desk.remove(DeadLetterFilter(limit=limit))
            self.world.history.fire("removed", count)

    async def _decide(self, life: Life, deed: str, limit: int) -> None:
        life.history.log.append(records.Decided(life.now(), life.number, deed))
        act = life.desk.resume if deed == "resume" else life.desk.abandon
        with contextlib.suppress(JournalFault):
            self.world.history.fire(f"saga: {deed}", len(await act(SagaFilter(limit=limit))))

    # --- after all faults -------------------------------------------------------------------------------------------

    async def _at_last(self, life: Life) -> None:
        """Everything is well now: what is owed has to be settled in time, and is looked at."""
        world = self.world
        world.storage.trouble(0.0, world.chance)
        life.disk.latency = self.scenario.latency
        for plan in [drawing.resumed(one, 1000) for one in world.plans.values() if one.suspend]:
            world.plan = plan
            life.adopt(plan)
        for task in self.tasks:  # a replay that is under way owes something when it is over
            await task
        await self._settled(life)
        await life.look_at_letters()
        if self.scenario.replay:
            await self._replay(life, 10_000)
            await self._settled(life)
        await life.look()

    async def _settled(self, life: Life) -> None:
        within = self._patience(life)
        log = life.history.log
        log.append(records.Healed(life.now(), life.number, within))
        give_up = life.now() + within
        while (life.pending() or life.writing() or life.engine.readiness()) and life.now() < give_up:
            await asyncio.sleep(0.25)
            if any(meter.stuck for meter in life.desk.lane_meters()):  # people have mended it, as everything else
                await self._decide(life, "resume", 1000)
        log.append(records.Settled(life.now(), life.number, life.pending(), life.engine.readiness()))
        await asyncio.sleep(0.1)

    def _patience(self, life: Life) -> float:
        """How long the slowest target may take by its own policy, with everybody in its queue one after the other."""
        targets = [target for plan in self.known for target in plan.everybody]
        deep = max(len(plan.everybody) if is_graph(plan) else 1 for plan in self.known)  # one after the other
        longest = deep * max(longest_wait(target) for target in targets)
        limits = [target.policy.rate_limit for target in targets]
        slowest = max((limit.per / limit.requests for limit in limits if limit is not None), default=0.0)
        return longest + DRAIN + SLACK + (0.05 + slowest) * life.pending()


def longest_wait(target: Target) -> float:
    """Seconds from now in which a target that is well again has surely been asked."""
    policy = target.policy
    breaker = policy.circuit_breaker
    opened = max(breaker.open_duration, breaker.max_open_duration)
    backoff = policy.retry.backoff
    asked = min(3.0, policy.retry.retry_after_max)
    together = policy.batch.max_wait if policy.batch else 0.0
    waits = together + target.delay + max(backoff.max_delay, asked)
    return waits + policy.timeouts.attempt + 3 * opened + breaker.half_open.max_wait
