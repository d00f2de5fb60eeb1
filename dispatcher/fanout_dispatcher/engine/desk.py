"""The desk: where the engine is looked at, and where people act on dead letters and stuck sagas.

Reads run on the journal's own thread, between two commits: a look never holds the loop, but a long one holds up the
next 202. So every list has a limit, and what has to be searched for is searched for stretch by stretch.
"""

import typing

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.engine import Engine
from fanout_dispatcher.engine.letters import Letters
from fanout_dispatcher.engine.sagas import Sagas
from fanout_dispatcher.engine.views import Views
from fanout_dispatcher.journal.protocol import Journal, StoredEvent
from fanout_dispatcher.values.desk import BadCursor, JournalMeter, LaneMeter, RouteMeter
from fanout_dispatcher.values.views import DeadLetterFilter, DeadLetterView, EventView, RouteView, SagaFilter, SagaView

Rows = list[tuple[int, StoredEvent]]
BACKUP_PAGES: typing.Final = 128  # copied at once, 1 MiB: so long a commit may have to wait


class EngineDesk:
    """The Desk (values.desk) of one engine."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.views = Views(engine.clock, engine.table)
        self.letters = Letters(engine.acceptance, engine.table)
        self.stuck = Sagas(engine.table)

    # --- routes and counters ----------------------------------------------------------------------------------------

    def routes(self) -> list[RouteView]:
        """Every route in force, and every one whose only plan was refused, by key."""
        table = self.engine.table
        found = (self.route(key) for key in sorted(table.by_key.keys() | table.refused.keys()))
        return [view for view in found if view is not None]

    def route(self, key: str) -> RouteView | None:
        """One route; None when nothing is known of it."""
        route = self.engine.table.by_key.get(key)
        if route is not None:
            return self.views.route(route)
        refused = self.engine.table.refused.get(key)
        return None if refused is None else RouteView(route=key, refused=refused)

    def refused(self) -> int:
        """How many routes there are whose newest plan is not in force."""
        return len(self.engine.table.refused)

    def readiness(self) -> str | None:
        """None when events can be accepted and committed."""
        return self.engine.readiness()

    def lane_meters(self) -> typing.Iterable[LaneMeter]:
        """One per target; of one that owes under both durabilities, the counters of that which takes new events."""
        table = self.engine.table
        lanes = {(key, target): lane for (_, key, target), lane in table.lanes.items()}
        for route in table.by_key.values():
            lanes |= {(lane.route, lane.target.name): lane for lane in route.everybody}
        return [table.meter(lane) for lane in lanes.values()]

    def route_meters(self) -> typing.Iterable[RouteMeter]:
        """One per route in force."""
        return [route.meter for route in self.engine.table.by_key.values()]

    def journal_meters(self) -> typing.Mapping[str, JournalMeter]:
        """By the durability whose events each keeps."""
        return {"Journal": self.engine.durable.committer.meter, "Memory": self.engine.memory.committer.meter}

    def watch(self, changed: typing.Callable[[str], None]) -> typing.Callable[[], None]:
        """Call *changed* with a route's key whenever its view may differ."""
        return self.engine.watch(changed)

    # --- events -----------------------------------------------------------------------------------------------------

    async def event(self, receipt: str) -> EventView | None:
        """What became of an event; None for a receipt that is not ours."""
        for book in self.letters.books:
            seq = book.receipts.read(receipt)
            if seq is not None:
                stored = await book.ask(lambda journal: journal.event(seq))  # noqa: B023 (asked at once)
                return None if stored is None else self.views.event(book, seq, stored)
        return None

    async def events(self, route: str | None, after: str | None, limit: int) -> list[EventView]:
        """Events, newest first; those of Memory routes come after the durable ones."""
        if after is not None and all(book.receipts.read(after) is None for book in self.letters.books):
            raise BadCursor(f"{after[:80]} is not a receipt of this dispatcher")
        found: list[EventView] = []
        for book in self.letters.books:
            before = book.receipts.read(after) if after is not None else None
            if after is not None and before is None:
                continue  # the cursor is in the other book
            after = None
            rows = await _events(book, route, before, limit - len(found))
            found += [self.views.event(book, seq, stored) for seq, stored in rows]
            if len(found) >= limit:
                break
        return found

    def cursor(self, after: str | None, page: typing.Sequence[str]) -> str:
        """The last one seen is where the next page begins."""
        return page[-1]

    # --- dead letters -----------------------------------------------------------------------------------------------

    async def dead_letters(self, wanted: DeadLetterFilter) -> list[DeadLetterView]:
        """Dead letters, oldest first, without bodies."""
        return [self.views.letter(book, letter) for book, letter in await self.letters.find(wanted)]

    async def dead_letter(self, ident: str) -> DeadLetterView | None:
        """One dead letter with its original bytes."""
        found = await self.letters.show(ident)
        return None if found is None else self.views.letter(*found, body=found[1].event.body)

    async def replay(self, wanted: DeadLetterFilter) -> tuple[str, ...]:
        """Send them again, each to the target that failed; the receipts of the replays."""
        return await self.letters.replay(wanted)

    async def remove(self, wanted: DeadLetterFilter) -> int:
        """Drop them for good; how many went."""
        return await self.letters.remove(wanted)

    # --- sagas ------------------------------------------------------------------------------------------------------

    async def sagas(self, wanted: SagaFilter) -> list[SagaView]:
        """Stuck sagas, oldest first."""
        return [self.views.saga(book, seq, stored) for book, seq, stored in await self.stuck.find(wanted)]

    async def resume(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Try again what is stuck; the receipts of the sagas."""
        return await self.stuck.resume(wanted)

    async def abandon(self, wanted: SagaFilter) -> tuple[str, ...]:
        """Make dead letters of what is stuck; the receipts of the sagas."""
        return await self.stuck.abandon(wanted)

    # --- the journal ------------------------------------------------------------------------------------------------

    async def backup(self) -> tuple[str, ...]:
        """Copy the durable journal, a little at a time: commits come in between."""
        while (made := await self.engine.durable.ask(lambda journal: journal.backup(BACKUP_PAGES))) is None:
            pass
        return (made,)


async def _events(book: Book, route: str | None, before: int | None, limit: int) -> Rows:
    """Events of one book, stretch by stretch: where a route has few, commits come in between."""
    found: Rows = []
    while True:
        rows, before = await book.ask(_search(route, before, limit - len(found)))
        found += rows
        if before is None or len(found) >= limit:
            return found


def _search(route: str | None, before: int | None, limit: int) -> typing.Callable[[Journal], tuple[Rows, int | None]]:
    """Search one stretch; also the seq below which to go on, None at the end."""

    def search(journal: Journal) -> tuple[Rows, int | None]:
        since = journal.stretch_of_events(before)
        return ([], None) if since is None else (journal.events(route, before, limit, since), since)

    return search
