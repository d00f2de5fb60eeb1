"""A small world for the engine: real engine code, scripted targets, a disk that can fail, one seed.

A *life* is one process, on a loop of its own. When its story returns without draining, that is a crash: the loop is
never run again and nothing survives but what the journal had committed, as after kill -9. What the checkers need is
kept in a ``History``.
"""

import asyncio
import hashlib
import random
import typing

import msgspec

from fanout_crds.plan import Plan
from fanout_dispatcher.engine.awaited import Awaited
from fanout_dispatcher.engine.batches import Batches
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.caller import Caller
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.desk import EngineDesk
from fanout_dispatcher.engine.engine import Engine, Opened
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.journal import clock as journal_clock
from fanout_dispatcher.journal.disk import LoopDisk
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.telemetry.seam import Change, DeliveriesUnreadable, JournalDegraded, Recorder
from fanout_dispatcher.transport.memory import Reply
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted, Answered, Repeated, Settled, Told, Turned
from fanout_dispatcher.values.event import Head, State
from fanout_dispatcher.values.keyed import Keyed, door
from fanout_dispatcher.values.sink import PlanRefused
from fanout_dispatcher.values.views import DeadLetterFilter, TargetView
from tests.sim import history as records
from tests.sim.disk import Watched, WorldDisk
from tests.sim.history import DURABLE, History
from tests.sim.loop import run
from tests.sim.senders import Lost, WorldSender
from tests.sim.storage import MemoryStorage, Storage

Behave = typing.Callable[[str, Flight, float], Reply | Lost]  # (target, flight, world time) -> what the target does

Hear = typing.Callable[[Told | Repeated], None]

COMMIT = (0.0001, 0.004)  # seconds that a call to the journal takes
JSON = b"content-type: application/json\r\n"
WALL = 1_800_000_000.0  # what the wall clock says when the world begins


class Writer:
    """Somebody who waits under a key, and writes an answer in a way of the simulation's own."""

    def __init__(self, tell: Hear) -> None:
        self.tell = tell
        self.wrote = False

    def write(self, told: Settled) -> bytes:
        self.wrote = True
        return msgspec.msgpack.encode(told)


class Life:
    """One process in the world."""

    def __init__(self, world: "World", number: int) -> None:
        self.loop = asyncio.get_running_loop()
        self.world = world
        self.number = number
        self.history = world.history
        self.callers: dict[str, Caller | Awaited | None] = {}  # who waits, by event
        journal = world.storage.journal()
        recovered = journal.open()
        scratch = MemoryJournal(key=f"scratch/{number}".encode())  # another in each process: receipts differ
        self.disk = WorldDisk(Watched(journal, self._committed), chance=world.chance, latency=world.disk)
        self.clock = Clock(self.loop, base=recovered.now, wall=world.wall)
        self.engine = Engine(
            self.clock,
            durable=Opened(disk=self.disk, recovered=recovered, max_bytes=1 << 30),
            memory=Opened(disk=LoopDisk(scratch), recovered=scratch.open(), max_bytes=1 << 30),
            senders=lambda target, credentials: WorldSender(self, target),
            seam=self,
            seed=world.seed,
        )
        for route in self.engine.table.by_key.values():  # as the journal had them
            self.history.log.append(records.Adopted(self.now(), number, route.plan))
        for route, _ in self.engine.table.retiring.values():  # deleted in the life before, and not at their end yet
            self.history.log.append(records.Adopted(self.now(), number, route.plan))
            self.history.log.append(records.Retired(self.now(), number, route.plan.key))
        if world.has_source:
            self._load(world.plans)
        self.engine.start()
        self.desk = EngineDesk(self.engine)

    def now(self) -> float:
        """World time."""
        return self.world.began + self.loop.time()

    def tell(self, change: Change) -> None:
        """The engine's seam."""
        if isinstance(change, JournalDegraded | DeliveriesUnreadable) and self.world.folder:
            change = msgspec.structs.replace(change, why=change.why.replace(self.world.folder, "…"))
        self.world.seam.tell(change)
        self.history.log.append(records.Told(self.now(), self.number, change))

    # --- operators --------------------------------------------------------------------------------------------------

    def adopt(self, plan: Plan) -> bool:
        """A plan for the engine; False when it is refused."""
        place = len(self.history.log)  # before what the engine says of it
        self.history.log.append(records.Adopted(self.now(), self.number, plan))
        try:
            self.engine.adopt(plan, {})
        except PlanRefused:
            del self.history.log[place]
            return False
        return True

    def _load(self, plans: dict[str, Plan]) -> None:
        """A plan source's first complete load: what it does not have is deleted."""
        for plan in plans.values():
            self.adopt(plan)
        for gone in [key for key in self.engine.routes() if key not in plans]:
            self.retire(gone)
        self.engine.synced()

    def retire(self, route: str) -> None:
        """The route is deleted."""
        self.history.log.append(records.Retired(self.now(), self.number, route))
        self.engine.retire(route)

    async def replay(self, wanted: DeadLetterFilter) -> tuple[str, ...]:
        """Dead letters go out again, by their ids: so none but these can, and those that went are there no more."""
        meant = tuple([letter.id for letter in await self.desk.dead_letters(wanted)])
        if not meant:
            return ()
        these = DeadLetterFilter(ids=meant, limit=len(meant))
        receipts = await self.desk.replay(these)
        kept = len(await self.desk.dead_letters(these))
        self.history.log.append(records.Replayed(self.now(), self.number, receipts, meant=len(meant), kept=kept))
        return receipts

    async def drain(self, patience: float) -> None:
        """SIGTERM."""
        self.history.log.append(records.Stopping(self.now(), self.number))
        await self.engine.drain(patience)

    # --- producers --------------------------------------------------------------------------------------------------

    def post(
        self, ident: str, body: bytes = b"{}", route: Route | None = None, key: str | None = None, partition: str = ""
    ) -> "asyncio.Future[Answered]":
        """An event at the door of *route* (as it was when its head was read); the future gets the answer.

        With a *key* it may be one that came before: all of them have the same fingerprint.
        """
        answer: asyncio.Future[Answered] = self.loop.create_future()
        route = route or self.engine.route_at(self.world.plan.path)
        assert route is not None
        head = Head(id=ident, source="/sim", type="sim", identity=ident.encode(), attributes=_lines(partition))
        posted = records.Posted(self.now(), self.number, ident, route.plan, body, key=key, partition=partition)
        self.history.log.append(posted)

        def reply(answered: Answered) -> None:
            self._answered(ident, route.book, answered, keyed=key is not None)
            answer.set_result(answered)

        if key is None:
            self.engine.accept(route, head, body, reply)
        else:
            name = f"{route.plan.key} {key}".encode()
            self.engine.accept_once(route, Keyed(door(route.plan.key), name, key.encode(), head, body), reply)
        return answer

    def ask(self, ident: str, body: bytes = b"{}", route: Route | None = None) -> "asyncio.Future[Told]":
        """An event whose caller waits for targets; the future gets what it is told."""
        told: asyncio.Future[Told] = self.loop.create_future()
        asked = route or self.engine.route_at(self.world.plan.path)
        assert asked is not None

        def hear(said: Told | Repeated) -> None:
            if not told.done() and not isinstance(said, Repeated):  # a second answer is for the checkers
                told.set_result(said)

        self.wait(ident, body, asked, hear=hear)
        return told

    def wait(
        self, ident: str, body: bytes, route: Route, *, key: str | None = None, hear: Hear = lambda said: None
    ) -> None:
        """An event whose caller waits for targets, and is told by *hear*. With a *key*, as `post`."""
        head = Head(id=ident, source="/sim", type="sim", identity=ident.encode(), attributes=b"")
        self.history.log.append(records.Posted(self.now(), self.number, ident, route.plan, body, waits=True, key=key))

        def tell(said: Told | Repeated) -> None:
            self._served(ident, route.book, said, client if key is not None else None)
            hear(said)

        client = Writer(tell)
        if key is None:
            self.callers[ident] = self.engine.accept_waiting(route, head, body, tell)
        else:
            keyed = Keyed(door(route.plan.key), f"{route.plan.key} {key}".encode(), key.encode(), head, body)
            self.callers[ident] = self.engine.accept_waiting_once(route, keyed, client)

    def _served(self, ident: str, book: Book, said: Told | Repeated, client: "Writer | None") -> None:
        served = records.Served(self.now(), self.number, ident)
        self.history.log.append(served)
        if isinstance(said, Turned):
            served.reason = said.reason
            self._answered(ident, book, said, keyed=False)
            return
        if isinstance(said, Repeated):
            served.again = client is not None and not client.wrote
            if served.again:
                self.history.fire("receipt in place of an answer" if said.answer is None else "answer told again")
            if said.answer is None:
                served.ended, served.receipt = "Known", said.receipt
                self._answered(ident, book, Accepted(said.receipt), keyed=True)
                return
            served.written = hashlib.blake2b(said.answer, digest_size=8).hexdigest()
            said = msgspec.msgpack.decode(said.answer, type=Settled)
        if not served.again:
            self.history.fire(f"caller {said.ending.value}")
        self.history.fire("answer used again", sum(one.answer is not None and one.answer.cached for one in said.heard))
        served.ended, served.receipt = said.ending.value, said.receipt
        served.hears = tuple(
            records.Hears(
                one.target,
                State.NAMES[one.state],
                one.reason,
                one.answer.body if one.answer else None,
                fallback=one.fallback,
            )
            for one in said.heard
        )
        if said.receipt is not None:
            self._answered(ident, book, Accepted(said.receipt), keyed=client is not None)

    def _answered(self, ident: str, book: Book, answered: Answered, *, keyed: bool) -> None:
        said = records.Answered(self.now(), self.number, ident)
        if isinstance(answered, Accepted):
            delivery = (self._named(book), book.receipts.read(answered.receipt) or 0)
            if keyed and any(one.delivery == delivery for one in self.history.of(records.Answered)):
                self.history.log.append(records.Repeated(self.now(), self.number, ident, delivery))
                return
            self.history.accepted[ident] = said.receipt = answered.receipt
            said.delivery = delivery
        else:
            said.reason = answered.reason
        self.history.log.append(said)

    # --- lookers-on -------------------------------------------------------------------------------------------------

    def pending(self) -> int:
        """Deliveries that are owed."""
        return sum(lane.tally.meter.pending for lane in self.engine.table.lanes.values())

    def writing(self) -> bool:
        """Whether a commit is under way, or to be tried again: nobody knows yet how it ends."""
        return any(book.committer.busy for book in (self.engine.durable, self.engine.memory))

    async def settle(self, patience: float = 1e6) -> None:
        """Wait until nothing is pending."""
        give_up = self.now() + patience
        while self.pending():
            assert self.now() < give_up, self.engine.table.lanes
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
        """Write down the final state of every accepted event, and of the replays that took its place."""
        self.disk.latency = (0.0, 0.0)
        to_see = list(self.history.accepted.values())
        while to_see:
            receipt = to_see.pop()
            view = self.history.events[receipt] = await self.desk.event(receipt)
            to_see += [one.replayed_as for one in view.deliveries if one.replayed_as] if view else []
        self.history.left = await self.look_at_letters()
        self.history.meters = list(self.desk.lane_meters())
        self.history.wall = self.clock.wall(self.clock.offset) - self.world.began

    async def look_at_letters(self) -> set[str]:
        """Write down every dead letter that is there now; their ids."""
        found = await self.desk.dead_letters(DeadLetterFilter(limit=10_000))
        for letter in found:
            whole = await self.desk.dead_letter(letter.id)
            if whole is not None:
                self.history.letters[letter.id] = whole
        return {letter.id for letter in found}

    def journal_of(self, flight: Flight) -> str:
        """Which journal a flight's event is in."""
        landing = typing.cast(typing.Any, flight.landing)
        lane = landing._lane if isinstance(landing, Batches) else getattr(landing, "lane", landing)
        return self._named(lane.book)  # of a batch, and of a hedged attempt, the tries land with another

    def _named(self, book: Book) -> str:
        """The journal on disk outlives its process, the one in memory begins anew with each."""
        return DURABLE if book is self.engine.durable else f"memory of life {self.number}"

    def _committed(self, batch: Batch, fault: Exception | None) -> None:
        begun = self.world.began + self.clock.on_loop(batch.at)
        why = None if fault is None else type(fault).__name__
        self.history.log.append(records.Committed(self.now(), self.number, begun, why))


def _lines(key: str) -> bytes:
    """The header lines of an event, with the attribute that targets keep order by."""
    return JSON + f"ce-partitionkey: {key}\r\n".encode() if key else JSON


Story = typing.Callable[[Life], typing.Coroutine[typing.Any, typing.Any, None]]


class World:
    """One seed's world. *behave* is the targets' behaviour."""

    def __init__(self, plan: Plan, behave: Behave, *, seed: int = 0) -> None:
        self.plans = {plan.key: plan}  # by route: what the source of plans has
        self.behave = behave
        self.seed = seed
        self.chance = random.Random(f"world/{seed}")
        self.storage: Storage = MemoryStorage(self.clock, seed=seed)
        self.folder = ""  # where the journal is; its name differs from run to run, and what is written down must not
        self.history = History()
        self.seam = Recorder()
        self.disk = COMMIT
        self.has_source = True  # the plans come from somewhere besides the journal
        self.judged = False  # by checkers, which have more to say than what a callback raised
        self.lives = 0
        self.began = 0.0  # when the current life did, in world time
        self.paused = 0.0  # seconds in which no process was there
        self.boots = 1
        self.jumped = 0.0  # seconds that the wall clock is off
        self.loop_time: typing.Callable[[], float] = lambda: 0.0

    @property
    def plan(self) -> Plan:
        """The plan of the only route, or of the first."""
        return next(iter(self.plans.values()))

    @plan.setter
    def plan(self, plan: Plan) -> None:
        self.plans[plan.key] = plan

    def now(self) -> float:
        """Seconds since the world began."""
        return self.began + self.loop_time()

    def script_time(self) -> float:
        """Seconds since the world began in which there was a process: what a scenario's times count."""
        return self.now() - self.paused

    def wall(self) -> float:
        """What the machine's wall clock says."""
        return WALL + self.now() + self.jumped

    def live(self, story: Story, *, power: bool = False) -> None:
        """Run one process through *story*; when that returns the process is gone, and maybe the *power* too."""
        self.lives += 1
        number = self.lives

        async def life() -> str:
            self.loop_time = asyncio.get_running_loop().time
            self.history.log.append(records.Began(self.now(), number))
            one = Life(self, number)
            await story(one)
            if one.disk.phase != "idle":
                self.history.fire(f"crash while a commit is {one.disk.phase}")
            return "drained" if one.engine.acceptance.closed else "power" if power else "crash"

        how = run(life(), seed=self.seed * 1000 + number, faults=self.history.faults if self.judged else None)
        self.history.log.append(records.Ended(self.now(), number, how))
        self.began, self.loop_time = self.now(), lambda: 0.0
        taken = self.storage.end(power=power)
        self.history.fire("writes taken by a power cut", taken)

    def clock(self) -> journal_clock.Clock:
        return journal_clock.Clock(f"boot-{self.boots}", 1000.0 + self.now(), self.wall())
