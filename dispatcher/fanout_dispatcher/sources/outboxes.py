"""Which routes have an outbox to fetch from: a plan sink in front of the engine that starts, changes and ends them.

A route's outbox is one task. Where its plan or its credentials change, the one before finishes its round before the
next begins: both have the same name in the table, so two at a time would take a row twice. For the same reason only the
first of several workers fetches; the dispatchers of an installation share the rows.
"""

import asyncio
import hashlib
import random
import typing

import msgspec

from fanout_crds.plan import Credentials, Plan, PostgresOutbox
from fanout_dispatcher.engine.engine import Engine
from fanout_dispatcher.sources.connect import Dialer
from fanout_dispatcher.sources.outbox import LONGEST_PAUSE, Outbox, Progress
from fanout_dispatcher.sources.trouble import Cause
from fanout_dispatcher.telemetry.seam import Seam, SourceFailed, SourceFetches
from fanout_dispatcher.transport.guard import Guard
from fanout_dispatcher.transport.names import Resolve
from fanout_dispatcher.values.views import SourceView

OUTBOX: typing.Final = "postgresOutbox"
MISSING: typing.Final = "CredentialsMissing"


class Wanted(msgspec.Struct, frozen=True):
    """What an outbox is made from: the same again, the same outbox."""

    outbox: PostgresOutbox
    credentials: dict[str, bytes]

    def __repr__(self) -> str:
        return f"Wanted({self.outbox.table})"  # never a credential


class Outboxes:
    """A PlanSink for *engine*; *key* is the secret of its journal, of which only a digest leaves here."""

    def __init__(
        self, engine: Engine, *, key: bytes, guard: Guard, resolve: Resolve, seam: Seam, seed: int = 0
    ) -> None:
        self.engine = engine
        self.guard = guard
        self.resolve = resolve
        self.seam = seam
        self.seed = seed
        self.journal = hashlib.blake2b(b"outbox", key=key, digest_size=6).hexdigest()
        self._followers: dict[str, Follower] = {}

    def adopt(self, plan: Plan, credentials: Credentials) -> None:
        """Carry out *plan*, and fetch what it says. Raises PlanRefused."""
        self.engine.adopt(plan, credentials)
        outbox = plan.postgres_outbox
        if outbox is None:
            return self._end(plan.key)
        if outbox.held is not None:
            self._end(plan.key)
            return self.show(plan.key, SourceView(name=OUTBOX, held=outbox.held, last_error=outbox.held_message))
        handles = [handle for handle in (outbox.url, outbox.ca) if handle is not None]
        if any(handle not in credentials for handle in handles):
            self._end(plan.key)
            return self.show(plan.key, SourceView(name=OUTBOX, held=MISSING, last_error="its Secret is not at hand"))
        used = {handle: credentials[handle] for handle in handles}
        follower = self._followers.get(plan.key)
        if follower is None:
            follower = self._followers[plan.key] = Follower(self, plan.key)
        return follower.follow(Wanted(outbox, used))

    def refuse(self, route: str, why: str) -> None:
        """A newer plan of *route* is not in force."""
        self.engine.refuse(route, why)

    def retire(self, route: str) -> None:
        """*route* was deleted."""
        self._end(route)
        self.engine.retire(route)

    def routes(self) -> typing.Mapping[str, str]:
        """The routes in force: by key, the uid in their plans."""
        return self.engine.routes()

    def synced(self) -> None:
        """The plan source's first complete load is in."""
        self.engine.synced()

    async def end(self, patience: float) -> None:
        """Finish every round that is under way: then no row is reserved for us that is not taken."""
        tasks = [task for follower in self._followers.values() if (task := follower.end()) is not None]
        if tasks:
            await asyncio.wait(tasks, timeout=patience)
        for task in tasks:
            task.cancel()

    def parted(self, route: str) -> None:
        """The task of a route that has no outbox any more is over."""
        self._followers.pop(route, None)

    def _end(self, route: str) -> None:
        if route in self._followers:
            self._followers[route].end()
        self.show(route, None)

    def show(self, route: str, view: SourceView | None) -> None:
        """Let it be seen how a route's source is."""
        if self.engine.show_source(route, view) and view is not None:
            self.seam.tell(
                SourceFetches(route=route)
                if view.held is None
                else SourceFailed(route=route, reason=view.held, why=view.last_error or "")
            )


class Follower:
    """The one task of a route's outbox, and what it knows of how that goes (Notices)."""

    def __init__(self, outboxes: Outboxes, route: str) -> None:
        self._all = outboxes
        self._route = route
        self._wanted: Wanted | None = None
        self._running: Outbox | None = None
        self._loop = asyncio.get_running_loop()
        self._rng = random.Random(f"{outboxes.seed}/{route}/{OUTBOX}")
        self._emptied = self._loop.time()  # when there was last nothing left to fetch
        self._task: asyncio.Task[None] | None = None

    def follow(self, wanted: Wanted) -> None:
        """Fetch by *wanted* from now on."""
        if wanted != self._wanted:
            self._change(wanted)
        self._begin()

    def end(self) -> asyncio.Task[None] | None:
        """Fetch no more; the task that finishes what is under way, if there is one."""
        self._change(None)
        return self._task

    def _begin(self) -> None:
        if self._wanted is not None and (self._task is None or self._task.done()):
            self._task = self._loop.create_task(self._run(), name=f"outbox of {self._route}")
            self._task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (fault := task.exception()) is not None:  # one of ours: said, and tried again
            self._loop.call_exception_handler({"message": f"fetching for {self._route}", "exception": fault})
            self._loop.call_later(LONGEST_PAUSE, self._begin)
        elif self._wanted is None:
            self._all.parted(self._route)

    def _change(self, wanted: Wanted | None) -> None:
        self._wanted = wanted
        if self._running is not None:
            self._running.end()

    async def _run(self) -> None:
        while (wanted := self._wanted) is not None:
            dialer = Dialer(
                outbox=wanted.outbox, credentials=wanted.credentials, guard=self._all.guard, resolve=self._all.resolve
            )
            self._running = Outbox(
                dialer,
                engine=self._all.engine,
                route=self._route,
                name=f"{self._all.journal}/{self._route}",
                notices=self,
                rng=self._rng,
            )
            await self._running.run()

    def progressed(self, progress: Progress) -> None:
        """Count a round."""
        if progress.emptied and progress.turned is None:
            self._emptied = self._loop.time()
        self._count(fetched=progress.fetched, refused=progress.refused)
        turned = progress.turned
        if turned is None:
            self._show(SourceView(name=OUTBOX))
        else:
            self._show(SourceView(name=OUTBOX, held=turned.reason, last_error=turned.detail))

    def troubled(self, cause: Cause) -> None:
        """Count a failure."""
        self._count(failed=1)
        self._show(SourceView(name=OUTBOX, held=cause.reason, last_error=cause.says))

    def _count(self, *, fetched: int = 0, refused: int = 0, failed: int = 0) -> None:
        meter = self._all.engine.door_meter(self._route)
        if meter is not None:
            meter.sources = 1
            meter.fetched += fetched
            meter.rows_refused += refused
            meter.source_failures += failed
            meter.behind = self._loop.time() - self._emptied

    def _show(self, view: SourceView) -> None:
        if self._wanted is not None:  # else the route has none any more
            self._all.show(self._route, view)
