"""An engine that a test moves on step by step: time passes when the test says so, and targets answer when it does.

For tests whose steps hypothesis chooses. Nothing is scripted ahead, so a specification can be asked after every step.
"""

import asyncio
import typing

import msgspec

from fanout_crds.plan import Plan
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.desk import EngineDesk
from fanout_dispatcher.engine.engine import Engine, Opened
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal.disk import LoopDisk
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import Journal
from fanout_dispatcher.telemetry.seam import DeliveryDead, Recorder
from fanout_dispatcher.transport.memory import NEVER, Reply, ScriptedSenders
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import AcceptedAll, Answered
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.outcome import Outcome
from tests.sim.loop import VirtualLoop
from tests.unit.dispatcher.engine.scripted import HEAD

T = typing.TypeVar("T")
A_MOMENT = 0.02  # seconds in which whatever can be done at once is done, and committed
CALM: typing.Final[dict[str, object]] = {  # as far as the test says nothing else, nothing happens by itself
    "circuit_breaker": {"enabled": False},
    "retry": {"budget": None},
    "timeouts": {"attempt": 0.0, "total": 0.0},
}


class Stepped:
    """One route. Events are called e1, e2, …; *asked* has the attempts that came since it was last looked at."""

    def __init__(self, plan: Plan, *, journal: Journal | None = None, journal_bytes: int = 1 << 30) -> None:
        self.loop = VirtualLoop()
        self.loop.set_exception_handler(lambda loop, context: self.faults.append(context))
        self.faults: list[dict[str, typing.Any]] = []
        self.journal = journal or MemoryJournal()
        self.seam = Recorder()
        self.asked: list[Flight] = []
        self.flying: dict[tuple[str, str], Flight] = {}  # by target and event
        self.posted = 0
        self.path = plan.path
        self.loop.run_until_complete(self._start(plan, journal_bytes))

    async def _start(self, plan: Plan, journal_bytes: int) -> None:
        loop = asyncio.get_running_loop()
        memory = MemoryJournal()
        durable = Opened(disk=LoopDisk(self.journal), recovered=self.journal.open(), max_bytes=journal_bytes)
        self.engine = Engine(
            Clock(loop, base=durable.recovered.now, wall=loop.time),
            durable=durable,
            memory=Opened(disk=LoopDisk(memory), recovered=memory.open(), max_bytes=journal_bytes),
            senders=ScriptedSenders(loop, lambda target: self._is_asked),
            seam=self.seam,
        )
        self.engine.adopt(plan, {})
        self.engine.start()
        self.desk = EngineDesk(self.engine)

    def _is_asked(self, flight: Flight) -> Reply:
        key = (flight.target, flight.event.head.id)
        assert key not in self.flying, f"{key} is in flight already"
        self.flying[key] = flight
        self.asked.append(flight)
        return NEVER

    def close(self) -> None:
        """Let nothing of it go on."""
        for task in asyncio.all_tasks(self.loop):
            task.cancel()
        self.loop.run_until_complete(asyncio.sleep(0))
        self.loop.close()
        self.journal.close()

    @property
    def now(self) -> float:
        """Engine time."""
        return self.engine.clock.now()

    @property
    def route(self) -> Route:
        """The route as it is in force."""
        route = self.engine.route_at(self.path)
        assert route is not None
        return route

    def lane(self, target: str) -> Lane:
        """The lane of a target."""
        return next(lane for lane in self.route.lanes if lane.target.name == target)

    def adopt(self, plan: Plan) -> None:
        """A plan for the engine."""
        self._call(lambda: self.engine.adopt(plan, {}))

    def passes(self, seconds: float = A_MOMENT) -> None:
        """So much time passes."""
        self._call(lambda: None, seconds)

    def ask(self, question: typing.Coroutine[typing.Any, typing.Any, T]) -> T:
        """What the desk says."""
        return self.loop.run_until_complete(question)

    def post(self, *sizes: int) -> list[tuple[str, Answered]]:
        """Events with bodies of these sizes come in the same moment, one by one: their names and what each is told."""
        heard: list[tuple[str, list[Answered]]] = []

        def come() -> None:
            for size in sizes:
                self.posted += 1
                told: list[Answered] = []
                heard.append((f"e{self.posted}", told))
                self.engine.accept(self.route, self._head(), b"x" * size, told.append)

        self._call(come)
        return [(ident, told) for ident, (told,) in heard]

    def post_together(self, *sizes: int) -> tuple[list[str], AcceptedAll | Answered]:
        """The same, of which all are taken or none."""
        idents, events = [], []
        told: list[AcceptedAll | Answered] = []
        for size in sizes:
            self.posted += 1
            idents.append(f"e{self.posted}")
            events.append((self._head(), b"x" * size))
        self._call(lambda: self.engine.accept_all(self.route, events, told.append))
        (answer,) = told
        return idents, answer

    def land(self, target: str, ident: str, outcome: Outcome) -> float:
        """The target answers; when that was."""
        flight = self.flying.pop((target, ident))
        at = self.now
        self._call(lambda: flight.landing.land(flight, outcome))
        return at

    def deaths(self) -> list[DeliveryDead]:
        """Deliveries that were given up since this was last asked."""
        found = [one for one in self.seam.changes if isinstance(one, DeliveryDead)]
        self.seam.changes.clear()
        return found

    def _head(self) -> Head:
        return msgspec.structs.replace(HEAD, id=f"e{self.posted}")

    def _call(self, job: typing.Callable[[], object], seconds: float = A_MOMENT) -> None:
        """Do it on the loop, and let come of it what can in that time."""

        async def call() -> None:
            job()
            await asyncio.sleep(seconds)

        self.loop.run_until_complete(call())
        assert not self.faults, self.faults
