"""What lanes pull out of the index: a page of due rows, then the events that it takes.

Both statements answer with one wide row, in which everything is joined end to end and cut up here: 128 rows would be
128 occasions to wait for the interpreter's lock. The lanes of one route drain side by side and want the same events,
so the last few are remembered, those that several lanes share.
"""

import typing
from collections.abc import Collection, Iterable, Mapping

import msgspec

from fanout_dispatcher.journal.protocol import DueRow, Kind, Pulled
from fanout_dispatcher.journal.sqlite import coding
from fanout_dispatcher.journal.sqlite.reading import keeps, kept_of
from fanout_dispatcher.journal.sqlite.statements import Bindings, Statements, numbers
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import Event, Frozen

REMEMBERED = 4 << 20  # bytes of bodies, and of what events take besides
EVENT_BYTES = 1_024  # what one takes besides its body

# at, seq, size of the body, then the lengths of delivery and states (-1: no row)
Row = tuple[float, int, int, int, int]

_rows: typing.Final = msgspec.json.Decoder(list[Row])
_events: typing.Final = msgspec.json.Decoder(list[tuple[int, int, int, int]])  # seq, frozen, lengths of head and body


class Page(msgspec.Struct, frozen=True):
    """Rows of the index with what else there is of them in `due` and `progress`, end to end."""

    rows: list[Row]
    deliveries: bytes
    states: bytes


class Pulling:
    """Pulls on one connection, at most *pull_bytes* of bodies and answers at a time. *frozen* is the journal's own."""

    def __init__(self, sql: Statements, *, frozen: Mapping[int, Frozen], pull_bytes: int) -> None:
        self._sql = sql
        self._frozen = frozen
        self._pull_bytes = pull_bytes
        self._known: dict[int, Event] = {}
        self._known_bytes = 0

    def pull(self, kind: Kind, until: float, limit: int, skip: Collection[int]) -> tuple[list[Pulled], float | None]:
        """The first rows of a kind by time, and when the next one is due."""
        lane, tried = kind
        page = self._page("due_page", {"lane": lane, "tried": tried, "limit": limit + 1, "skip": numbers(skip)})
        ready = sum(row[0] <= until for row in page.rows[:limit])
        pulled = self._pulled(lane, page, self._fitting(page.rows[:ready], {}))
        left = page.rows[len(pulled)][0] if len(pulled) < len(page.rows) else None
        return pulled, left

    def oldest(self, lane: int, limit: int, skip: Collection[int]) -> list[Pulled]:
        """The first rows of a lane by age of their event."""
        page = self._page("oldest_page", {"lane": lane, "limit": limit, "skip": numbers(skip)})
        return self._pulled(lane, page, self._fitting(page.rows, {}))

    def _page(self, query: str, bindings: Bindings) -> Page:
        rows, deliveries, states = self._sql.rows(query, bindings)[0]
        return Page(_rows.decode(rows), deliveries or b"", states or b"")

    def _fitting(self, rows: list[Row], kept: Mapping[int, int]) -> int:
        """How many of *rows* come at once, by the bytes of their bodies and of what is *kept* of each; one at least."""
        weight = 0
        for count, row in enumerate(rows):
            if count and weight >= self._pull_bytes:
                return count
            weight += row[2] + kept.get(row[1], 0)
        return len(rows)

    def _pulled(self, lane: int, page: Page, count: int) -> list[Pulled]:
        events = self._wanted([row[1] for row in page.rows[:count]])
        kept: Mapping[int, Mapping[int, Kept]] = {}
        if keeping := [seq for seq, event in events.items() if keeps(event.frozen)]:
            count = self._fitting(page.rows[:count], dict(self._sql.rows("kept_bytes", (numbers(keeping),))))
            kept = kept_of(self._sql, {row[1] for row in page.rows[:count]}.intersection(keeping))
        pulled: list[Pulled] = []
        d = s = 0
        for at, seq, _, of_delivery, of_states in page.rows[:count]:
            event = events[seq]
            due = (
                coding.due_of(lane, seq, at, page.deliveries[d : d + of_delivery])
                if of_delivery
                else DueRow(lane, seq, at)
            )
            states = bytes(len(event.frozen.lanes)) if of_states < 0 else page.states[s : s + of_states]
            pulled.append(Pulled(due, event, states, kept.get(seq, {})))
            d, s = d + of_delivery, s + max(0, of_states)
        return pulled

    def _wanted(self, seqs: list[int]) -> Mapping[int, Event]:
        """The events *seqs*, read as far as they are not remembered."""
        known = self._known
        found = {seq: known[seq] for seq in seqs if seq in known}
        if len(found) < len(seqs):
            read = self._read(seq for seq in seqs if seq not in found)
            found.update(read)
            self._remember(read)
        return found

    def _read(self, seqs: Iterable[int]) -> dict[int, Event]:
        lengths, heads, bodies = self._sql.rows("events_of", (numbers(seqs),))[0]
        read: dict[int, Event] = {}
        h = b = 0
        for seq, number, of_head, of_body in _events.decode(lengths):
            frozen = self._frozen[number]
            read[seq] = coding.event_of(seq, frozen, heads[h : h + of_head], bodies[b : b + of_body])
            h, b = h + of_head, b + of_body
        return read

    def _remember(self, events: Mapping[int, Event]) -> None:
        known = self._known
        for seq, event in events.items():
            if len(event.frozen.lanes) > 1:
                known[seq] = event
                self._known_bytes += len(event.body) + EVENT_BYTES
        while self._known_bytes > REMEMBERED:
            forgotten = known.pop(next(iter(known)))
            self._known_bytes -= len(forgotten.body) + EVENT_BYTES
