"""A small world for the engine: real engine code, scripted targets, a journal that can crash, one seed.

A *life* is one process, on a loop of its own. When its scenario returns without draining, that is a crash: the loop
is never run again and nothing survives but what the journal had committed, as after kill -9. What the checkers need
is kept in a ``History``.
"""

import asyncio
import random
import typing

from fanout_crds import plan as plans
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.desk import EngineDesk
from fanout_dispatcher.engine.engine import Engine, Opened
from fanout_dispatcher.journal.disk import LoopDisk
from fanout_dispatcher.journal.memory import MemoryJournal, Mishap
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.telemetry.seam import Recorder
from fanout_dispatcher.transport.memory import Reply, ScriptedSenders
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted, Answered
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.outcome import Delivered
from fanout_dispatcher.values.views import DeadLetterFilter, TargetView
from tests.sim.history import History, Sent
from tests.sim.loop import run

Behave = typing.Callable[[str, Flight, float], Reply]  # (target, flight, engine time) -> what the target does

COMMIT = (0.0001, 0.004)  # seconds a commit takes


class Life:
    """One process in the world."""

    def __init__(self, world: "World", number: int) -> None:
        loop = asyncio.get_running_loop()
        self.world = world
        self.number = number
        recovered = world.journal.open()
        scratch = MemoryJournal(key=b"scratch")
        self.disk = LoopDisk(world.journal, rng=world.chance, latency=world.disk)
        self.clock = Clock(loop, base=recovered.now, wall=recovered.now)
        self.engine = Engine(
            self.clock,
            durable=Opened(disk=self.disk, recovered=recovered, max_bytes=1 << 30),
            memory=Opened(disk=LoopDisk(scratch), recovered=scratch.open(), max_bytes=1 << 30),
            senders=ScriptedSenders(loop, lambda target: lambda flight: self._asked(target, flight)),
            seam=world.seam,
            seed=world.seed,
        )
        if world.has_source:
            self.engine.adopt(world.plan, {})
            self.engine.synced()
        self.engine.start()
        self.desk = EngineDesk(self.engine)

    def post(self, ident: str, body: bytes = b"{}") -> "asyncio.Future[Answered]":
        """An event at the door; the future gets the answer."""
        answer: asyncio.Future[Answered] = self.clock.loop.create_future()
        route = self.engine.route_at(self.world.plan.path)
        assert route is not None
        head = Head(id=ident, source="/sim", type="sim", identity=ident.encode(), attributes=b"")

        def reply(answered: Answered) -> None:
            if isinstance(answered, Accepted):
                self.world.history.accepted[ident] = answered.receipt
            else:
                self.world.history.refused[ident] = self.number
            answer.set_result(answered)

        self.engine.accept(route, head, body, reply)
        return answer

    async def settle(self, patience: float = 1e6) -> None:
        """Wait until nothing is pending."""
        give_up = self.clock.now() + patience
        while any(lane.tally.meter.pending for lane in self.engine.table.lanes.values()):
            assert self.clock.now() < give_up, self.engine.table.lanes
            await asyncio.sleep(0.5)
        await asyncio.sleep(0.1)

    def target(self, name: str) -> TargetView:
        """What the desk shows of a target."""
        route = self.desk.route(self.world.plan.key)
        assert route is not None
        return next(one for one in route.targets if one.name == name)

    async def reasons(self, target: str) -> list[str]:
        """Why the dead letters of a target died, oldest first."""
        return [one.reason for one in await self.desk.dead_letters(DeadLetterFilter(target=target))]

    async def look(self) -> None:
        """Write down the final state of every accepted event."""
        for ident, receipt in self.world.history.accepted.items():
            view = await self.desk.event(receipt)
            states = {one.target: one.state for one in view.deliveries} if view else {}
            self.world.history.states[ident] = states

    def _asked(self, target: str, flight: Flight) -> Reply:
        now = self.clock.now()
        reply = self.world.behave(target, flight, now)
        yes = isinstance(reply.outcome, Delivered)
        sent = Sent(flight.event.head.id, target, self.number, now, flight.number, now + reply.latency, yes)
        self.world.history.sent.append(sent)
        return reply


Scenario = typing.Callable[[Life], typing.Coroutine[typing.Any, typing.Any, None]]


class World:
    """One seed's world. *behave* is the targets' behaviour, *mishaps* the share of commits that fail."""

    def __init__(self, plan: plans.Plan, behave: Behave, *, seed: int = 0, mishaps: float = 0.0) -> None:
        self.plan = plan
        self.behave = behave
        self.seed = seed
        self.chance = random.Random(f"world/{seed}")
        self.journal = MemoryJournal(key=b"sim", mishap=self._mishap)
        self.mishaps = mishaps
        self.history = History()
        self.seam = Recorder()
        self.disk = COMMIT  # seconds that a call to the journal takes, from … to
        self.has_source = True  # the plan comes from somewhere besides the journal
        self.lives = 0
        self.now: typing.Callable[[], float] = lambda: 0.0  # engine time in the current life

    def live(self, scenario: Scenario) -> None:
        """Run one process through *scenario*; when that returns, the process is gone."""
        self.lives += 1
        number = self.lives

        async def life() -> None:
            one = Life(self, number)
            self.now = one.clock.now
            await scenario(one)
            self.history.ended[number] = one.clock.now()

        run(life(), seed=self.seed * 1000 + number)
        self.journal.crash()

    def _mishap(self, batch: Batch) -> Mishap | None:
        if self.chance.random() >= self.mishaps:
            self.history.committed[self.lives] = self.now()
            return None
        self.history.mishaps += 1
        return self.chance.choice(list(Mishap))
