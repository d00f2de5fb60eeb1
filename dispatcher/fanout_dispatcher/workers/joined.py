"""The desk of a dispatcher with workers: everything that people and machines look at, as if it were one process.

Routes and counters are at hand, since workers tell what changes. What lies in a journal is asked for: one event or dead
letter of the worker in its name, a list of all of them. A list's cursor names how far each worker's part was seen, so
that a page never begins anew or leaves anything out, whatever was added meanwhile.
"""

import asyncio
import collections.abc
import heapq
import typing

import msgspec

from fanout_dispatcher.engine.receipts import worker_of
from fanout_dispatcher.values.desk import BadCursor, JournalMeter, LaneMeter, RouteMeter
from fanout_dispatcher.values.views import DeadLetterFilter, DeadLetterView, EventView, RouteView, SagaFilter, SagaView
from fanout_dispatcher.workers import sums
from fanout_dispatcher.workers.board import Board
from fanout_dispatcher.workers.messages import (
    EVENT,
    LETTER,
    Abandon,
    Backup,
    EventOf,
    Events,
    LetterOf,
    Letters,
    Question,
    Remove,
    Replay,
    Resume,
    Sagas,
    Told,
)
from fanout_dispatcher.workers.picture import Changed, Picture
from fanout_dispatcher.workers.totals import Totals

T = typing.TypeVar("T")
Row = typing.TypeVar("Row")
SETTLE: typing.Final = 0.05  # seconds that workers get to tell of the same change before it is passed on


class Slot(typing.Protocol):
    """A worker's place (see `slot`), as the desk sees it."""

    @property
    def number(self) -> int:
        """The worker's number, which its receipts carry."""

    @property
    def picture(self) -> Picture:
        """What is known of the worker."""

    async def ask(self, question: Question, answer: type[T]) -> T:
        """Ask the worker. Raises BadCursor and JournalFault."""


class JoinedDesk:
    """The Desk (values.desk) of all workers. *wall* gives the time, in seconds since the epoch."""

    def __init__(
        self, slots: collections.abc.Sequence[Slot], board: Board, *, wall: collections.abc.Callable[[], float]
    ) -> None:
        self._slots = {slot.number: slot for slot in slots}
        self._board = board
        self._wall = wall
        self._totals = Totals([slot.picture for slot in slots])
        self._news: set[str] = set()
        self._watchers: list[collections.abc.Callable[[str], None]] = []
        board.watchers.append(self._changed)
        self.port = self._totals.port
        self.stopping = False

    # --- what workers tell --------------------------------------------------------------------------------------------

    def told(self, slot: Slot, told: Told) -> None:
        """A worker tells what changed."""
        changed = slot.picture.take(told)
        self._totals.count(changed)
        for route in changed.routes:
            self._changed(route)

    def died(self, slot: Slot, why: str) -> None:
        """A worker is gone; *why* is what readiness says of it until it is back."""
        self._totals.count(Changed(routes=frozenset(), doors=frozenset(), lanes=slot.picture.died(why)))

    # --- routes and counters ------------------------------------------------------------------------------------------

    def routes(self) -> list[RouteView]:
        """Every route in force, and every one whose only plan was refused, by key."""
        keys = {key for slot in self._slots.values() for key in slot.picture.routes} | set(self._board.refused)
        return [view for view in map(self.route, sorted(keys)) if view is not None]

    def route(self, key: str) -> RouteView | None:
        """One route, None when no worker runs it."""
        views = [slot.picture.routes.get(key) for slot in self._slots.values()]
        return sums.route(key, views, self._board.refused.get(key))

    def refused(self) -> int:
        """How many routes there are whose newest plan is not in force: workers refuse nothing that the board takes."""
        return len(self._board.refused)

    def readiness(self) -> str | None:
        """None when every worker can take events; else what the first says that cannot."""
        if self.stopping:
            return "this dispatcher is shutting down"
        for number, slot in self._slots.items():
            if slot.picture.readiness is not None:
                return f"worker {number}: {slot.picture.readiness}"
        return None

    def lane_meters(self) -> typing.Iterable[LaneMeter]:
        """One per target in force."""
        return self._totals.lanes.values()

    def route_meters(self) -> typing.Iterable[RouteMeter]:
        """One per route in force."""
        return self._totals.doors.values()

    def journal_meters(self) -> dict[str, JournalMeter]:
        """By the durability whose events each keeps."""
        return self._totals.journals()

    def watch(self, changed: collections.abc.Callable[[str], None]) -> collections.abc.Callable[[], None]:
        """Call *changed* with a route's key whenever its view may differ."""
        self._watchers.append(changed)
        return lambda: self._watchers.remove(changed)

    def _changed(self, route: str) -> None:
        """Tell who watches, a moment later: the other workers are about to say the same."""
        if not self._news:
            asyncio.get_running_loop().call_later(SETTLE, self._pass_on)
        self._news.add(route)

    def _pass_on(self) -> None:
        news, self._news = self._news, set()
        for route in news:
            for watcher in self._watchers:
                watcher(route)

    # --- events -------------------------------------------------------------------------------------------------------

    async def event(self, receipt: str) -> EventView | None:
        """What became of an event; None for a receipt that is not ours."""
        slot = self._owner(receipt)
        return None if slot is None else await slot.ask(EventOf(receipt), EVENT)

    async def events(self, route: str | None, after: str | None, limit: int) -> list[EventView]:
        """Events, newest first."""
        seen = self._positions(after)
        found = await self._each(lambda number: Events(route, seen.get(number), limit), list[EventView])
        return list(heapq.merge(*found, key=lambda view: -view.accepted))[:limit]

    # --- dead letters -------------------------------------------------------------------------------------------------

    async def dead_letters(self, wanted: DeadLetterFilter) -> list[DeadLetterView]:
        """Dead letters, oldest first, without bodies."""
        seen = self._positions(wanted.after)
        asked = {number: msgspec.structs.replace(wanted, after=seen.get(number)) for number in self._slots}
        found = await self._each(lambda number: Letters(asked[number]), list[DeadLetterView])
        return list(heapq.merge(*found, key=lambda view: view.at))[: wanted.limit]

    async def dead_letter(self, ident: str) -> DeadLetterView | None:
        """One dead letter with its original bytes."""
        slot = self._owner(ident)
        return None if slot is None else await slot.ask(LetterOf(ident), LETTER)

    async def replay(self, wanted: DeadLetterFilter) -> tuple[str, ...]:
        """Send them again, the oldest first whichever worker has them; the receipts of the replays.

        Those that no route in force can take are passed over, and those that die again meanwhile are not meant.
        """
        begun = self._wall()
        receipts: list[str] = []
        page = await self.dead_letters(wanted)
        after = wanted.after
        while page := [one for one in page if one.at <= begun]:
            for number, ids in self._by_owner(one.id for one in page).items():
                receipts += await self._slots[number].ask(Replay(_only(ids)), tuple[str, ...])
            after = self.cursor(after, [one.id for one in page])
            left = wanted.limit - len(receipts)
            if left <= 0:
                break
            page = await self.dead_letters(msgspec.structs.replace(wanted, after=after, limit=left))
        return tuple(receipts)

    async def remove(self, wanted: DeadLetterFilter) -> int:
        """Drop them for good; how many went."""
        owned = self._by_owner(one.id for one in await self.dead_letters(wanted))
        return sum([await self._slots[number].ask(Remove(_only(ids)), int) for number, ids in owned.items()])

    # --- sagas --------------------------------------------------------------------------------------------------------

    async def sagas(self, wanted: SagaFilter) -> list[SagaView]:
        """Stuck sagas, oldest first."""
        seen = self._positions(wanted.after)
        asked = {number: msgspec.structs.replace(wanted, after=seen.get(number)) for number in self._slots}
        found = await self._each(lambda number: Sagas(asked[number]), list[SagaView])
        return list(heapq.merge(*found, key=lambda view: view.accepted))[: wanted.limit]

    async def resume(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Try again what is stuck; the receipts of the sagas."""
        return await self._on_sagas(wanted, Resume)

    async def abandon(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Make dead letters of what is stuck; the receipts of the sagas."""
        return await self._on_sagas(wanted, Abandon)

    async def _on_sagas(self, wanted: SagaFilter, deed: type[Resume | Abandon]) -> tuple[str, ...]:
        """Have each worker do it to its own."""
        owned = self._by_owner(one.receipt for one in await self.sagas(wanted))
        asked = [
            (self._slots[number], SagaFilter(receipts=tuple(some), limit=len(some))) for number, some in owned.items()
        ]
        done = [await slot.ask(deed(which), tuple[str, ...]) for slot, which in asked]
        return tuple(receipt for some in done for receipt in some)

    # --- journals -----------------------------------------------------------------------------------------------------

    async def backup(self) -> tuple[str, ...]:
        """Copy every worker's journal, each while it is used."""
        asked = (slot.ask(Backup(), tuple[str, ...]) for slot in self._slots.values())
        made = await asyncio.gather(*asked, return_exceptions=True)  # all of them, before anybody asks again
        for copies in made:
            if isinstance(copies, BaseException):
                raise copies  # the copies of others stay until the next backup
        return tuple(path for copies in made if not isinstance(copies, BaseException) for path in copies)

    # --- cursors ------------------------------------------------------------------------------------------------------

    def cursor(self, after: str | None, page: collections.abc.Sequence[str]) -> str:
        """Where the page behind *page* begins: the last name seen of each worker, by commas."""
        seen = self._positions(after)
        for name in page:
            owner = self._owner(name)
            if owner is not None:
                seen[owner.number] = name
        return ",".join(seen.values())

    def _positions(self, after: str | None) -> dict[int, str]:
        seen: dict[int, str] = {}
        for name in after.split(",") if after is not None else ():
            owner = self._owner(name)
            if owner is None:
                raise BadCursor(f"{name[:80]} is not a place in a list of this dispatcher")
            seen[owner.number] = name
        return seen

    def _owner(self, name: str) -> Slot | None:
        """The worker that a receipt or an id names; None when there is no such worker."""
        worker = worker_of(name)
        return None if worker is None else self._slots.get(worker)

    def _by_owner(self, names: typing.Iterable[str]) -> dict[int, list[str]]:
        owned: dict[int, list[str]] = {}
        for name in names:
            owner = self._owner(name)
            if owner is not None:
                owned.setdefault(owner.number, []).append(name)
        return owned

    async def _each(
        self, question: collections.abc.Callable[[int], Question], answer: type[list[Row]]
    ) -> list[list[Row]]:
        """Ask every worker. Raises JournalFault when one cannot be asked: a list without its part would be wrong."""
        return await asyncio.gather(*(slot.ask(question(number), answer) for number, slot in self._slots.items()))


def _only(ids: list[str]) -> DeadLetterFilter:
    return DeadLetterFilter(ids=tuple(ids), limit=len(ids))
