"""The engine: everything between the front door and the senders, and its life from recovery to the last commit.

It is a plan sink for the sources, the door for the ingress, and (through its desk) what people look at. It owns no
socket and no thread: journals come with their disks, senders from a factory, time from the loop. So all of it runs in
virtual time, decided by one seed.
"""

import asyncio
import contextlib
import functools
import typing

import msgspec

from fanout_crds import plan as plans
from fanout_dispatcher.engine import together
from fanout_dispatcher.engine.acceptance import Acceptance
from fanout_dispatcher.engine.awaited import Awaited
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.caller import Caller
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.linger import LONGEST
from fanout_dispatcher.engine.once import Once
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.engine.routes import UNDIVIDED, Routes, Share
from fanout_dispatcher.engine.tidy import Tidy
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.journal.disk import Disk
from fanout_dispatcher.journal.protocol import Recovered
from fanout_dispatcher.telemetry.seam import JournalDegraded, JournalRecovered, Seam
from fanout_dispatcher.transport.protocol import SenderFactory
from fanout_dispatcher.values.answers import Client, Reply, ReplyAll, Tell
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.keyed import Keyed
from fanout_dispatcher.values.sink import PlanRefused
from fanout_dispatcher.values.views import SourceView

SWEEP: typing.Final = 1.0  # seconds between looks at what has expired
MARK: typing.Final = 10.0  # seconds between two marks in the journal of what a restart need not look at
HOUSEKEEPING: typing.Final = 60.0  # seconds between looks at what is kept too long
PRUNED: typing.Final = 200  # lanes whose dead letters are looked through in one sweep, after housekeeping named them
TIDY: typing.Final = 600.0  # seconds between looks at what the journals keep and nobody asks for any more
HISTORY_KEPT: typing.Final = 24 * 3600.0  # seconds that finished events can still be asked for
KEPT_ANYWAY: typing.Final = 168 * 3600.0  # seconds that dead letters of a target that is gone are kept
FLUSH: typing.Final = 3.0  # seconds that the last commits get at least: what a start reads may be before them
POLL: typing.Final = 0.02  # seconds between looks at what is in flight while shutting down


class Opened(msgspec.Struct, frozen=True, kw_only=True):
    """A journal that is open: its disk, what it found, and how many bytes it may hold."""

    disk: Disk
    recovered: Recovered
    max_bytes: int


class Engine:
    """Accepts, delivers, retries, keeps. ``start`` first; ``drain`` last."""

    def __init__(
        self,
        clock: Clock,
        *,
        durable: Opened,
        memory: Opened,
        senders: SenderFactory,
        seam: Seam,
        worker: int = 0,
        seed: int = 0,
        share: Share = UNDIVIDED,
    ) -> None:
        self.clock = clock
        self.seam = seam
        self.watchers: list[typing.Callable[[str], None]] = []
        self.works = Works(clock, seam=seam, seed=seed, changed=self._changed)
        self.durable = self._book(durable, str(worker), linger=LONGEST)
        self.memory = self._book(memory, f"m{worker}", linger=0.0)  # its commits cost nothing that could be shared
        self.table = Routes(self.works, senders=senders, durable=self.durable, memory=self.memory, share=share)
        self.tidies = [Tidy(book, functools.partial(self.table.in_use, book)) for book in (self.durable, self.memory)]
        self.acceptance = Acceptance(clock, self.works.callers)
        self.once = {
            self.durable: Once(self.durable, self.acceptance, durable.recovered.keys),
            self.memory: Once(self.memory, self.acceptance, memory.recovered.keys),
        }
        self.plans_known = bool(durable.recovered.plans)  # a restart needs nobody else to go on
        self.troubled_at: dict[str, float] = {}  # by a book's worker: since when it cannot commit
        self.timers: list[asyncio.TimerHandle] = []
        self.unpruned: list[Lane] = []  # lanes with dead letters that housekeeping has still to look through
        self._recover(durable.recovered)

    # --- the front door ---------------------------------------------------------------------------------------------

    def route_at(self, path: str) -> Route | None:
        """The route that listens at *path*, as it is written out."""
        return self.table.paths.at(path)

    def route_like(self, path: str) -> Route | None:
        """The route whose path with names in braces is like *path*, percent-encoded as it came."""
        return self.table.paths.like(path)

    def accept(self, route: Route, head: Head, body: bytes, reply: Reply) -> None:
        """Take an event; *reply* is called once, on the loop. Never raises."""
        self.acceptance.accept(route, head, body, reply)

    def accept_waiting(self, route: Route, head: Head, body: bytes, tell: Tell) -> Caller | None:
        """Take an event whose caller waits for its targets; what is given back may ``leave``. Never raises."""
        return self.acceptance.accept_waiting(route, head, body, tell)

    def accept_once(self, route: Route, keyed: Keyed, reply: Reply) -> None:
        """Take an event unless its key was taken before; *reply* is called once, on the loop. Never raises."""
        self.once[route.book].accept(route, keyed, reply)

    def accept_waiting_once(self, route: Route, keyed: Keyed, client: Client) -> Awaited | None:
        """Take an event whose caller waits, unless its key was taken before; *client* is told once. Never raises."""
        return self.once[route.book].accept_waiting(route, keyed, client)

    def accept_all(self, route: Route, events: list[tuple[Head, bytes]], reply: ReplyAll) -> None:
        """Take all of some events, or none; *reply* is called once, on the loop. Never raises."""
        together.accept(self.acceptance, route, events, reply)

    # --- what routes fetch by themselves ---------------------------------------------------------------------------

    def fetch(self, route: Route, key: str, head: Head, body: bytes, reply: Reply) -> None:
        """Take an event that a source of *route* calls *key*; from its commit on, that is remembered. Never raises."""
        self.acceptance.accept(route, head, body, reply, fetched=key)

    def remembered(self, route: str) -> typing.AbstractSet[str]:
        """Keys of what was taken and may be fetched again, as of now: those are on disk."""
        return self.durable.fetched.get(route, frozenset())

    def forget(self, route: str, keys: typing.Collection[str]) -> None:
        """These are not fetched again."""
        self.durable.forget(route, keys)

    def door_meter(self, route: str) -> RouteMeter | None:
        """The counters of what comes in to *route*; None when it is not in force."""
        found = self.table.by_key.get(route)
        return None if found is None else found.meter

    def show_source(self, route: str, view: SourceView | None) -> bool:
        """Let it be seen how a route's source is; whether that is news."""
        if self.table.sources.get(route) == view:
            return False
        if view is None:
            del self.table.sources[route]
        else:
            self.table.sources[route] = view
        self._changed(route)
        return True

    # --- plans ------------------------------------------------------------------------------------------------------

    def adopt(self, plan: plans.Plan, credentials: plans.Credentials) -> None:
        """Carry out *plan* from now on. Raises PlanRefused; then the last good one stays."""
        self.table.adopt(plan, credentials)

    def refuse(self, route: str, why: str) -> None:
        """A newer plan of *route* is not in force."""
        self.table.refuse(route, why)

    def retire(self, route: str) -> None:
        """*route* was deleted."""
        self.table.retire(route)

    def routes(self) -> typing.Mapping[str, str]:
        """The routes in force: by key, the uid in their plans."""
        return {key: route.whole.uid for key, route in self.table.by_key.items()}

    def synced(self) -> None:
        """The plan source's first complete load is in."""
        self.plans_known = True

    # --- its life ---------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin to look after things regularly; deliveries that were found start as soon as their plans are in."""
        self._every(SWEEP, self._sweep)
        self._every(MARK, self.durable.mark)
        self._every(HOUSEKEEPING, self._keep_house)
        self._every(TIDY, self._tidy)

    def readiness(self) -> str | None:
        """None when events can be accepted and committed; else why not."""
        if self.acceptance.closed is not None:
            return self.acceptance.closed
        if self.durable.committer.trouble is not None:
            return f"the journal cannot commit: {self.durable.committer.trouble}"
        return None if self.plans_known else "plans are not loaded yet"

    def longest_attempt(self) -> float:
        """Seconds that what is in flight may still take: the longest attempt timeout of any target."""
        return max((lane.rules.attempt for lane in self.table.lanes.values()), default=0.0)

    def close_door(self) -> None:
        """Take no more events: they are answered 503, and readiness says so."""
        self.acceptance.closed = "this dispatcher is shutting down"

    async def drain(self, patience: float) -> None:
        """Accept nothing more, start nothing more, let what is in flight land, and commit it all."""
        self.close_door()
        self.works.callers.drain()
        self.table.drain()
        give_up = self.clock.loop.time() + patience
        while self._in_flight() and self.clock.loop.time() < give_up:  # noqa: ASYNC110 (landing must not pay for this)
            await asyncio.sleep(POLL)
        for timer in self.timers:
            timer.cancel()
        for tidy in self.tidies:
            tidy.stop()
        for book in (self.durable, self.memory):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(book.committer.flushed(), max(FLUSH, give_up - self.clock.loop.time()))
            book.committer.mending.close()
        self.works.callers.close()
        self.table.close()
        self.works.wheel.close()
        self.works.hedges.close()

    def watch(self, changed: typing.Callable[[str], None]) -> typing.Callable[[], None]:
        """Call *changed* with a route's key whenever what it shows may differ; returns how to stop."""
        self.watchers.append(changed)
        return lambda: self.watchers.remove(changed)

    def _book(self, opened: Opened, worker: str, *, linger: float) -> Book:
        return Book(
            opened.disk,
            opened.recovered,
            worker=worker,
            clock=self.clock,
            max_bytes=opened.max_bytes,
            troubled=functools.partial(self._troubled, worker),
            linger=linger,
        )

    def _recover(self, recovered: Recovered) -> None:
        """Go on with the plans of last time; targets with credentials are held until their source brings those."""
        for key, text in recovered.plans.items():
            try:
                self.table.recover(plans.decode(text))
            except (ValueError, PlanRefused) as error:
                self.table.refuse(key, str(error))

    def _in_flight(self) -> int:
        return sum(lane.tally.meter.in_flight for lane in self.table.lanes.values())

    def _changed(self, route: str) -> None:
        for watcher in self.watchers:
            watcher(route)

    def _troubled(self, book: str, fault: Exception | None) -> None:
        now = self.clock.now()
        if fault is None:
            self.seam.tell(JournalRecovered(after=now - self.troubled_at.pop(book, now)))
        elif book not in self.troubled_at:
            self.troubled_at[book] = now
            self.seam.tell(JournalDegraded(why=str(fault)))

    def _every(self, seconds: float, call: typing.Callable[[], None]) -> None:
        slot = len(self.timers)

        def turn() -> None:
            self.timers[slot] = self.clock.loop.call_later(seconds, turn)  # first: a fault in *call* must not end it
            call()

        self.timers.append(self.clock.loop.call_later(seconds, turn))

    def _sweep(self) -> None:
        now = self.clock.now()
        self.table.sweep(now)
        for lane in self.unpruned[:PRUNED]:
            lane.dead.prune(lane.target.policy.dead_letter, now)
        del self.unpruned[:PRUNED]
        for once in self.once.values():
            once.sweep()

    def _keep_house(self) -> None:
        now = self.clock.now()
        self.unpruned = [lane for lane in self.table.lanes.values() if lane.tally.meter.dead_letters]
        self.works.cache.expire(now)
        for book in (self.durable, self.memory):
            book.prune(now - KEPT_ANYWAY)
            self.once[book].keep_house(now)

    def _tidy(self) -> None:
        for tidy in self.tidies:
            tidy.begin(self.clock.now() - HISTORY_KEPT)
