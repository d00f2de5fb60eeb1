"""Writing status: so many patches a second at most, what matters most first, nothing when nothing changed.

A route whose picture may have changed is looked at again; what its status should be is compared with what it is, and
only a difference is written. Waiting for the bucket comes before the last look, so that a picture which changed back
meanwhile costs no patch. A status is one installation's (rivals.py). Whoever tells people what changed (events.py)
hears of each status that was written, and of nothing else.

Three queues, so that nothing waits behind what matters less:

- `edits`: routes that somebody has just applied, until they are told how that ended;
- `urgent`: conditions of all others;
- `counters`: counters alone, a route's every COUNTERS seconds at most, and only when no condition waits.

While a start catches up, only `edits` are served: plans first, they are what dispatchers run. Then all are looked at.

Two buckets. An answer, the first word about a generation, is a write for a write: what people do bounds it, and it may
be quick. All else comes from dispatchers, which may all change their minds at once, and has the slow one.
"""

import asyncio
import random
import typing
from collections.abc import Callable, Mapping

import msgspec
import structlog

from fanout_operator.bucket import Bucket
from fanout_operator.conditions import Finding, dry_run
from fanout_operator.fleet import Fleet
from fanout_operator.kube import ROUTES, Conflict, Document, Kube, NotFound, Reading
from fanout_operator.rivals import OVER, STANDS, Rivals, Turn
from fanout_operator.routes import Known, Routes
from fanout_operator.status import COUNTER_FIELDS, farewell, status
from fanout_operator.workqueue import WorkQueue

ANSWERS: typing.Final = 100.0  # patches a second: thousands of routes are answered in a minute
ANSWERS_BURST: typing.Final = 100.0
OTHERS: typing.Final = 10.0
OTHERS_BURST: typing.Final = 20.0
REPORT: typing.Final = 0.5  # seconds that dispatchers get to run a new plan, so that one patch tells both
ENDPOINTS: typing.Final = 5.0  # seconds a Service may be without a ready endpoint before it is looked at: pods restart
CONFLICT: typing.Final = 1.0  # seconds until a write that met a newer version is thought over, if nothing comes before
COUNTERS: typing.Final = 10.0  # seconds between two patches of one route that change counters only
UNDER_WAY: typing.Final = frozenset({"Pending", "Waiting"})  # reasons that the next report will change
UNHURRIED: typing.Final = COUNTER_FIELDS | {"installation"}  # whose a status is that nobody has claimed

log = structlog.get_logger()

StatusWritten = Callable[[Document, Document, frozenset[str]], None]  # the route before and after; targets in DryRun


class Change(msgspec.Struct, frozen=True):
    """What has to be written: a merge patch of the status; `urgent` unless it is counters only, or a first name.

    `answers`: nobody has been told of this generation yet. `ends`: afterwards nobody waits for more. `claims`: it has
    nothing but our name, in the place of another installation's.
    """

    patch: Document
    urgent: bool
    answers: bool = False
    ends: bool = True
    claims: bool = False


class Buckets(typing.NamedTuple):
    """How often may be written: answers to what people did, and all else."""

    answers: Bucket
    others: Bucket


class Ours(typing.NamedTuple):
    """This installation: its name beside those of others, and where producers find it."""

    rivals: Rivals
    public_url: str | None


class StatusWriter:
    """The only writer of status."""

    def __init__(
        self,
        kube: Kube,
        routes: Routes,
        findings: Mapping[str, Finding],
        fleet: Fleet,
        *,
        ours: Ours,
        buckets: Buckets,
        rng: random.Random,
        wall: Callable[[], str],
    ) -> None:
        self._kube = kube
        self._routes = routes
        self._findings = findings
        self._fleet = fleet
        self._rivals, self._public_url = ours
        self._buckets = buckets
        self._wall = wall
        self.has_endpoints: Callable[[str], bool] = lambda _service: True
        self.written: StatusWritten = lambda *_: None  # whoever wants to hear of it
        self._left: set[str] = set()
        self._awaited: set[str] = set()
        self._caught_up = False
        self.edits = WorkQueue("edits", self._look, workers=4, rng=rng)
        self.urgent = WorkQueue("status", self._look, workers=4, rng=rng)
        self.counters = WorkQueue("counters", self._count, workers=1, rng=rng)

    def __repr__(self) -> str:
        return f"<StatusWriter {self.edits!r} {self.urgent!r} {self.counters!r} {self._buckets!r}>"

    async def run(self) -> None:
        """Write until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.edits.run())
            group.create_task(self.urgent.run())
            group.create_task(self.counters.run())

    def edited(self, key: str) -> None:
        """Somebody has just applied this route, and waits for what comes of it."""
        self._awaited.add(key)

    def caught_up(self) -> None:
        """All that was there at the start has its plan: from now on every status is told."""
        self._caught_up = True
        for key in self._findings:
            self.wake(key)

    def wake(self, key: str) -> None:
        """A route's status may be another now."""
        if self._caught_up or key in self._awaited:
            self._queue(key).put(key)

    def lost_endpoints(self, key: str) -> None:
        """No endpoint of a Service of this route is ready any more; mostly there is one again soon."""
        self.urgent.put_later(key, ENDPOINTS)

    def judged(self, key: str) -> None:
        """A route was reconciled. A new plan is told when dispatchers have had a moment to take it."""
        finding = self._findings.get(key)
        if not self._caught_up and key not in self._awaited:
            return
        if finding and finding.fresh and not self._fleet.view(key).empty:
            self._queue(key).put_later(key, REPORT)
        else:
            self.wake(key)

    def removed(self, installation: str) -> None:
        """An installation, if that was one, is being removed: what it told of our routes is ours to tell, soon."""
        keys = self._rivals.removed(installation, asyncio.get_running_loop().time())
        for key in keys:
            self.wake(key)
        if keys:
            log.info("class.settled", rival=installation, routes=len(keys))

    def left(self, key: str) -> None:
        """A route went to another installation, which may not be there: what was said of it here holds no longer."""
        self._left.add(key)
        self._rivals.forget(key)
        self.wake(key)

    def _queue(self, key: str) -> WorkQueue:
        return self.edits if key in self._awaited else self.urgent

    async def _look(self, key: str) -> None:
        change = self._change(key)
        if change is None:
            return
        if not change.urgent:
            self.counters.put_later(key, COUNTERS)
            return
        await _token(self._buckets.answers if change.answers or key in self._awaited else self._buckets.others)
        await self._write(key)

    async def _count(self, key: str) -> None:
        if self._change(key) is None:
            return
        await self.edits.drained()
        await self.urgent.drained()
        await _token(self._buckets.others)
        await self._write(key)

    async def _write(self, key: str) -> None:
        known, change = self._routes.get(key), self._change(key)
        if change is None or known is None:
            return
        namespace, name = key.split("/")
        before, dry = known.document(), dry_run(self._fleet.view(key))
        patch = {"metadata": {"resourceVersion": before["metadata"]["resourceVersion"]}, "status": change.patch}
        try:
            after = await self._kube.patch_status(ROUTES, namespace, name, patch)
        except NotFound:  # its event says so
            return
        except Conflict:  # newer than what we know: its event is on the way, or the API server is having a bad hour
            self.urgent.put_later(key, CONFLICT)
            return
        self._routes.note(after)
        self._wrote(key, before, change)
        if change.ends:
            self._awaited.discard(key)
        self.written(before, after, dry)
        log.debug("status.written", route=key, fields=sorted(change.patch))

    def _wrote(self, key: str, before: Document, change: Change) -> None:
        if "installation" in change.patch and key in self._findings:
            over = _named(before.get("status") or {})
            self._rivals.wrote(key, over, asyncio.get_running_loop().time(), whole=not change.claims)
        if change.claims:
            self.urgent.put_later(key, STANDS)

    def _change(self, key: str) -> Change | None:
        known, finding = self._routes.get(key), self._findings.get(key)
        if known is None:
            self._awaited.discard(key)
            self._left.discard(key)
            self._rivals.forget(key)
        if known is None or (finding and known.uid != finding.uid):
            return None
        before: Reading = known.document().get("status") or {}
        if finding is None:
            parting = farewell(before, known.generation) if key in self._left else None
            return None if parting is None else Change(parting, urgent=True)
        self._left.discard(key)
        match self._turn(key, known, finding, before):
            case Turn.WRITE:
                return self._difference(key, finding, before)
            case Turn.CLAIM:
                return Change({"installation": self._rivals.us}, urgent=True, claims=True)
            case Turn.LEAVE:
                return None

    def _turn(self, key: str, known: Known, finding: Finding, before: Reading) -> Turn:
        """Whether the status is ours to write. Another's over a newer spec is: its reconcile says whose route it is."""
        named, now = _named(before), asyncio.get_running_loop().time()
        if self._rivals.another(named) and known.generation != finding.generation:
            return Turn.LEAVE
        answered = before.get("observedGeneration") == finding.generation
        turn, wait = self._rivals.turn(key, named, answered=answered, now=now)
        if turn is Turn.LEAVE:
            self._awaited.discard(key)
            self.urgent.put_later(key, wait)
        return turn

    def _rival(self, key: str) -> str:
        """Who else serves this route; when nobody does any more, that is told too."""
        now = asyncio.get_running_loop().time()
        rival = self._rivals.of(key, now)
        if rival is None:
            return ""
        self.urgent.put_later(key, rival.seen + OVER - now)
        return rival.name

    def _difference(self, key: str, finding: Finding, before: Reading) -> Change | None:
        missing = tuple(one for one in finding.services if not self.has_endpoints(one[1]))
        finding = msgspec.structs.replace(finding, without_endpoints=missing, rival=self._rival(key))
        wanted: Document = {"installation": self._rivals.us}
        wanted |= status(finding, self._fleet.view(key), before, now=self._wall(), public_url=self._public_url)
        patch = {field: value for field, value in wanted.items() if before.get(field) != value}
        patch |= {field: None for field in before if field not in wanted}
        if not patch:
            return None
        return Change(
            patch,
            urgent=not patch.keys() <= UNHURRIED,
            answers=before.get("observedGeneration") != finding.generation,
            ends=all(one["reason"] not in UNDER_WAY for one in wanted["conditions"]),
        )


def _named(before: Reading) -> str:
    """Which installation a status is of; empty: of none yet, or of one that does not say."""
    return str(before.get("installation") or "")


async def _token(bucket: Bucket) -> None:
    loop = asyncio.get_running_loop()
    while (wait := bucket.take(loop.time())) > 0:  # noqa: ASYNC110 - the bucket says how long
        await asyncio.sleep(wait)
