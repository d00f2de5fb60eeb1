"""Keeping a small copy of what a collection holds: list, then watch, for ever.

A reflector keeps of every object only what `keep` makes of it, tells `changed` what it was and what it is, and heals
itself: a watch that ends is resumed, one that is too old (410) or fails time and again starts with a new list, and an
object that vanished in between is reported as such. `synced` is set after the first complete list; `age` says since
when nothing was heard, not even an error, by which liveness knows a watch that died: bookmarks come every minute, and
silence is an error after 90 s.

Of a kind whose definition may be absent, or come and go, or come in several versions, the reflector is told the `kinds`
it may be: it asks which one the API has before each list, and looks again every ABSENT seconds while it has none. That
there are no objects then is as good to know as a list of them, and no fault.

What `changed` is told may be late or repeated, never wrong in the end.
"""

import asyncio
import random
import typing
from collections.abc import Callable, Sequence

import msgspec
import structlog

from fanout_operator.backoff import Backoff
from fanout_operator.kube import FAILURES, Denied, Document, Event, Gone, Kind, Kube, NotFound, Scope, TooMany

RETRY: typing.Final = Backoff(base=0.2, cap=2.0)  # ours are a handful, and people wait for what they tell
RESUMES: typing.Final = 3  # failures in a row: what we resume from may be no version of this API server's (a restore)
PAUSE: typing.Final = 0.1  # between a watch that ended well and the next: nobody ends one at once, unless broken

ABSENT: typing.Final = 10.0  # seconds between two looks for a definition that is not there

T = typing.TypeVar("T")

log = structlog.get_logger()


def key_of(document: Document) -> str:
    """``namespace/name`` of an object."""
    metadata = document["metadata"]
    return f"{metadata.get('namespace', '')}/{metadata['name']}"


class Reflector(typing.Generic[T]):
    """A copy of `scope`, reduced by `keep`."""

    def __init__(
        self,
        kube: Kube,
        scope: Scope,
        *,
        keep: Callable[[Document], T],
        changed: Callable[[str, T | None, T | None], None],
        rng: random.Random,
        listed: Callable[[], None] | None = None,  # told after each complete list, even an empty one
        kinds: Sequence[Kind] = (),  # what the scope's kind may be; empty: the kind is always there
    ) -> None:
        self._kube = kube
        self.scope = scope
        self._keep = keep
        self._changed = changed
        self._rng = rng
        self._listed = listed
        self._kinds = kinds
        self._failures = 0
        self._missed = False
        self._heard: float | None = None
        self.items: dict[str, T] = {}
        self.synced = asyncio.Event()

    def __repr__(self) -> str:
        state = "synced" if self.synced.is_set() else "not synced"
        return f"<Reflector {self.scope.kind.plural} {state} items={len(self.items)} failures={self._failures}>"

    def age(self, now: float) -> float:
        """Seconds since anything was heard, good or bad; 0 before the start."""
        return now - self._heard if self._heard is not None else 0.0

    async def run(self) -> None:
        """List and watch until cancelled."""
        loop = asyncio.get_running_loop()
        self._heard = loop.time()
        version = ""
        while True:
            try:
                version = version or await self._list()
                if not version:
                    await asyncio.sleep(ABSENT)
                    continue
                async for event in self._kube.watch(self.scope, version):
                    version = self._take(event)
                await asyncio.sleep(PAUSE)
            except FAILURES as fault:
                await self._rest(fault)
                if isinstance(fault, Gone | NotFound | Denied) or self._failures >= RESUMES:
                    version = ""  # too old, or what was watched is gone or not ours any more: know it anew

    async def _list(self) -> str:
        """List everything anew; answers where to watch from, or nothing while the kind is not there."""
        if self._kinds:
            kind = await self._kube.served(self._kinds)
            if kind is None:
                return self._absent()
            self._missed = False
            self.scope = msgspec.structs.replace(self.scope, kind=kind)
        found, version = dict[str, T](), ""
        async for page in self._kube.pages(self.scope):  # reduced one by one: whole objects take twenty times the room
            found.update({key_of(item): self._keep(item) for item in page.items})
            version = page.version
        self._replace(found)
        return version

    def _absent(self) -> str:
        """Without a definition there are no objects; where there were some, only a second look makes it so."""
        if self._missed or not self.items:
            self._replace({})
        self._missed = True
        self._hear()
        return ""

    def _replace(self, found: dict[str, T]) -> None:
        self._heard = asyncio.get_running_loop().time()  # no reason to forget the failures of its watch
        for key in [key for key in self.items if key not in found]:
            self._set(key, None)
        for key, item in found.items():
            self._set(key, item)
        self.synced.set()
        if self._listed:
            self._listed()

    def _take(self, event: Event) -> str:
        self._hear()
        if event.type != "BOOKMARK":
            self._set(key_of(event.object), None if event.type == "DELETED" else self._keep(event.object))
        return str(event.object["metadata"]["resourceVersion"])

    def _set(self, key: str, new: T | None) -> None:
        old = self.items.get(key)
        if new is None:
            self.items.pop(key, None)
        else:
            self.items[key] = new
        if old != new:
            self._changed(key, old, new)

    def _hear(self) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._failures = 0

    async def _rest(self, fault: Exception) -> None:
        self._heard = asyncio.get_running_loop().time()
        self._failures += 1
        wait = RETRY.wait(self._failures, self._rng)
        if isinstance(fault, TooMany):
            wait = max(wait, fault.retry_after)
        log.warning("watch.failed", kind=self.scope.kind.plural, fault=f"{type(fault).__name__}: {fault}")
        await asyncio.sleep(wait)
