"""Kubernetes Events: what `kubectl describe` and `kubectl get events` tell of a route, once for each change.

Two halves. `notices` is pure: it compares the status that was with the one that was written, and says what a person
should hear of. It is asked only where a status was really written, so what writes nothing tells nothing: no resync, no
restart. The `Recorder` posts, in the background and at its own pace. Events are a courtesy: nobody waits for one, and
what does not fit into its queue or is refused by the API server is counted and gone.

They are of the core kind, which kubectl of every version shows with source, age and count; a notice that is repeated
within REPEAT seconds raises the count of the Event that is there, as client-go's recorder does.
"""

import asyncio
import typing
from collections.abc import Callable, Iterable, Mapping

import msgspec
import structlog

from fanout_operator.bucket import Bucket
from fanout_operator.kube import EVENTS, FAILURES, FIELD_MANAGER, Document, Kube, Reading, TooMany
from fanout_operator.named import named
from fanout_operator.reasons import LONGEST, REASONS

WAITING: typing.Final = 1000  # notices that may wait to be posted
RECENT: typing.Final = 1000  # notices remembered, to count repetitions
REPEAT: typing.Final = 600.0  # seconds

EventType = typing.Literal["Normal", "Warning"]

# Reasons that are an Event's alone; the others are those of the conditions (reasons.REASONS).
SENTENCES: typing.Final[Mapping[str, str]] = {
    "CircuitOpened": "target {target}: its circuit opened, deliveries are held{why}",
    "CircuitClosed": "target {target}: its circuit closed, it is asked again",
    "SagaStuck": "{target}: compensations were given up, and what is left to undo waits for somebody: {count}{why}",
    "DeadLetters": "target {target}: dead letters wait to be replayed or removed: {count}{why}",
    "ClassContested": REASONS["ClassContested"],
    "PlansHeld": "{why}: their plans stay in force, first of all {routes}",
}
WRONG: typing.Final = frozenset({"Cautioned", "NoReadyEndpoints", "PlanRefused"})  # a warning, whatever the status
OPEN: typing.Final = frozenset({"Open", "HalfOpen"})  # a probe that fails is no news

log = structlog.get_logger()


class Notice(msgspec.Struct, frozen=True):
    """What one Event says."""

    type: EventType
    reason: str
    message: str


def notice(type_: EventType, reason: str, **facts: object) -> Notice:
    """Fill in a sentence."""
    return Notice(type_, reason, SENTENCES[reason].format(**facts)[:LONGEST])


# --- what to tell -----------------------------------------------------------------------------------------------------


def notices(before: Reading, after: Reading, dry_run: frozenset[str] = frozenset()) -> tuple[Notice, ...]:
    """What is news between two statuses of a route. The circuits of targets in `dry_run` hold nothing, and are none."""
    return (*_of_conditions(before, after), *_of_targets(before, after, dry_run))


def _of_conditions(before: Reading, after: Reading) -> Iterable[Notice]:
    known = named(before.get("conditions"), "type")
    for kind, now in named(after.get("conditions"), "type").items():
        was = known.get(kind, {})
        if kind in {"Accepted", "ResolvedRefs", "Programmed"} and not _same(was, now):
            if _wrong(now):
                yield Notice("Warning", now["reason"], now["message"])
            elif _wrong(was) and now["status"] == "True":
                yield Notice("Normal", now["reason"], now["message"])


def _same(was: Reading, now: Reading) -> bool:
    """Another spec that is refused in the same words is refused once more."""
    once_more = ["observedGeneration"] if now["type"] == "Accepted" and _wrong(now) else []
    fields = ["status", "reason", "message", *once_more]
    return all(was.get(field) == now.get(field) for field in fields)


def _wrong(condition: Reading) -> bool:
    """Not Programmed is usual for a moment, and only a refusal is news; the other two are False for a reason."""
    if condition.get("reason") in WRONG:
        return True
    return condition.get("status") == "False" and condition.get("type") != "Programmed"


def _of_targets(before: Reading, after: Reading, dry_run: frozenset[str]) -> Iterable[Notice]:
    known = named(before.get("targets"), "name")
    for name, now in named(after.get("targets"), "name").items():
        was = known.get(name, {})
        why = f"; last error: {now['lastError']}" if now.get("lastError") else ""
        was_open, is_open = was.get("circuit") in OPEN, now.get("circuit") in OPEN
        if is_open and not was_open and name not in dry_run:
            yield notice("Warning", "CircuitOpened", target=name, why=why)
        if was_open and now.get("circuit") in {"Closed", "Disabled"}:
            yield notice("Normal", "CircuitClosed", target=name)
        if now.get("stuck") and not was.get("stuck"):
            yield notice("Warning", "SagaStuck", target=name, count=now["stuck"], why=why)
        if now.get("deadLetters") and not was.get("deadLetters"):
            yield notice("Warning", "DeadLetters", target=name, count=now["deadLetters"], why=why)


# --- telling it -------------------------------------------------------------------------------------------------------


class _Posted(msgspec.Struct, frozen=True):
    """An Event that is there, to be counted on."""

    name: str
    first: str
    count: int
    at: float


class Recorder:
    """Posts Events, at most as fast as the bucket allows."""

    def __init__(self, kube: Kube, *, bucket: Bucket, wall: Callable[[], str], new_id: Callable[[], str]) -> None:
        self._kube = kube
        self._bucket = bucket
        self._wall = wall
        self._new_id = new_id
        self._queue: asyncio.Queue[tuple[Document, Notice]] = asyncio.Queue(WAITING)
        self._recent: dict[tuple[str, Notice], _Posted] = {}
        self.posted = 0
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Recorder waiting={len(self)} posted={self.posted} dropped={self.dropped}>"

    def __len__(self) -> int:
        return self._queue.qsize()

    def status_written(self, before: Document, after: Document, dry_run: frozenset[str]) -> None:
        """A route's status was written: tell what is news in it."""
        for one in notices(before.get("status") or {}, after.get("status") or {}, dry_run):
            self.post(after, one)

    def post(self, about: Reading, one: Notice) -> None:
        """Have a notice about an object posted; never waits."""
        try:
            self._queue.put_nowait((_reference(about), one))
        except asyncio.QueueFull:
            self.dropped += 1

    async def run(self) -> None:
        """Post until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            about, one = await self._queue.get()
            while (wait := self._bucket.take(loop.time())) > 0:  # noqa: ASYNC110 - the bucket says how long
                await asyncio.sleep(wait)
            try:
                await self._post(about, one, loop.time())
            except FAILURES as fault:
                self.dropped += 1
                log.warning("event.dropped", reason=one.reason, fault=f"{type(fault).__name__}: {fault}")
                if isinstance(fault, TooMany):
                    await asyncio.sleep(fault.retry_after)
            else:
                self.posted += 1

    async def _post(self, about: Document, one: Notice, now: float) -> None:
        key, wall = (str(about.get("uid", about["name"])), one), self._wall()
        known = self._recent.pop(key, None)
        if known is None or now - known.at > REPEAT:
            known = _Posted(f"{about['name'][:200]}.{self._new_id()}", wall, 0, now)
        known = msgspec.structs.replace(known, count=known.count + 1, at=now)
        await self._kube.apply(EVENTS, _event(about, one, known, wall))
        self._recent[key] = known
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]


def _reference(about: Reading) -> Document:
    metadata = about["metadata"]
    reference = {"apiVersion": about["apiVersion"], "kind": about["kind"]}
    return reference | {field: metadata[field] for field in ("namespace", "name", "uid") if field in metadata}


def _event(about: Document, one: Notice, posted: _Posted, now: str) -> Document:
    return {
        "apiVersion": EVENTS.api_version,
        "kind": EVENTS.name,
        "metadata": {"namespace": about["namespace"], "name": posted.name},
        "involvedObject": about,
        "type": one.type,
        "reason": one.reason,
        "message": one.message,
        "source": {"component": FIELD_MANAGER},
        "reportingComponent": FIELD_MANAGER,
        "firstTimestamp": posted.first,
        "lastTimestamp": now,
        "count": posted.count,
    }
