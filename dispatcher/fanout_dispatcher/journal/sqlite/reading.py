"""From rows to values: what people look at. Lists are cut by their limits, and searches by their stretches.

No read changes anything. What lanes read is in pulling.py.
"""

import typing
from collections.abc import Collection, Mapping

import msgspec

from fanout_dispatcher.journal.protocol import FOREVER, LETTER, DeadLetter, DeadRow, StoredEvent, Stretch
from fanout_dispatcher.journal.sqlite import coding, searching
from fanout_dispatcher.journal.sqlite.statements import Statements, numbers
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import Frozen
from fanout_dispatcher.values.views import DeadLetterFilter

Frozens = Mapping[int, Frozen]

_numbers: typing.Final = msgspec.json.Decoder(list[tuple[int, int, int]])


class Reading:
    """Reads on one connection. *frozen* is the journal's own, kept up to date by its commits."""

    def __init__(self, sql: Statements, *, frozen: Frozens) -> None:
        self._sql = sql
        self._frozen = frozen

    def event(self, seq: int) -> StoredEvent | None:
        """What is known of one event."""
        return self._unfinished("event", seq) or self._finished(seq)

    def _unfinished(self, query: str, seq: int) -> StoredEvent | None:
        row = self._sql.row(query, (seq,))
        if row is None:
            return None
        number, head, body, states = row
        event = coding.event_of(seq, self._frozen[number], head, body)
        due = self._sql.rows("due_of_event", {"seq": seq, "frozen": number})
        dead, replays = self._dead_of(seq)
        return StoredEvent(
            frozen=event.frozen,
            accepted=event.accepted,
            states=bytes(len(event.frozen.lanes)) if states is None else states,
            event=event,
            due=tuple(coding.due_of(lane, seq, at, delivery) for lane, at, delivery in due),
            dead=dead,
            replays=replays,
            kept=kept_of(self._sql, [seq]).get(seq, {}) if keeps(event.frozen) else {},
        )

    def _finished(self, seq: int) -> StoredEvent | None:
        first = seq >> coding.BUCKET_BITS << coding.BUCKET_BITS
        rows = self._sql.rows("done_between", {"first": first, "last": seq, "reach": seq})
        found = (past for _, events in rows for past in coding.pasts_of(events) if past.seq == seq)
        past = next(found, None)
        return None if past is None else self._history(past)

    def _history(self, past: coding.Past) -> StoredEvent:
        dead, replays = self._dead_of(past.seq)
        return StoredEvent(
            frozen=self._frozen[past.frozen],
            accepted=past.accepted,
            states=past.states,
            event=None,
            dead=dead,
            replays=replays,
        )

    def _dead_of(self, seq: int) -> tuple[tuple[DeadRow, ...], dict[int, int]]:
        kept: list[DeadRow] = []
        replays: dict[int, int] = {}
        for lane, at, reason, cause, size, replayed in self._sql.rows("dead_of_event", (seq,)):
            if replayed is None:
                kept.append(coding.dead_of((lane, seq), at, reason, cause, size))
            else:
                replays[lane] = replayed
        return tuple(kept), replays

    def pasts(self, bucket: int) -> dict[int, coding.Past]:
        """Finished events of a bucket by seq."""
        return {past.seq: past for _, events in done_rows(self._sql, bucket) for past in coding.pasts_of(events)}

    def stretch_of_events(self, before: int | None) -> int | None:
        """The start of the bucket in which the newest one below *before* is."""
        latest = self._latest_below(coding.SEQ_MASK if before is None else before)
        return None if latest is None else latest >> coding.BUCKET_BITS << coding.BUCKET_BITS

    def events(self, route: str | None, before: int | None, limit: int, since: int) -> list[tuple[int, StoredEvent]]:
        """Newest first, bucket by bucket, without bodies."""
        found: list[tuple[int, StoredEvent]] = []
        below = coding.SEQ_MASK if before is None else before
        while len(found) < limit and below > since and (latest := self._latest_below(below)) is not None:
            bucket = latest >> coding.BUCKET_BITS
            found += self._of_bucket(bucket, (since, below), route, limit - len(found))
            below = bucket << coding.BUCKET_BITS
        return found

    def _latest_below(self, seq: int) -> int | None:
        known = self._sql.rows("latest_below", {"seq": seq})[0]
        return max((latest for latest in known if latest is not None), default=None)

    def _of_bucket(
        self, bucket: int, bounds: tuple[int, int], route: str | None, limit: int
    ) -> list[tuple[int, StoredEvent]]:
        since, below = bounds
        first = bucket << coding.BUCKET_BITS
        pasts = self.pasts(bucket)
        numbered = {seq: past.frozen for seq, past in pasts.items() if since <= seq < below}
        last = min(below, first + (1 << coding.BUCKET_BITS)) - 1
        numbered.update(self._sql.rows("unfinished_between", (max(first, since), last)))
        wanted = [seq for seq, number in numbered.items() if route in {None, self._frozen[number].route}]
        newest = sorted(wanted, reverse=True)[:limit]
        return [(seq, stored) for seq in newest if (stored := self._listed(seq, pasts)) is not None]

    def _listed(self, seq: int, pasts: Mapping[int, coding.Past]) -> StoredEvent | None:
        past = pasts.get(seq)
        return self._unfinished("event_head", seq) if past is None else self._history(past)

    def stuck(self, lanes: Collection[int], after: int, limit: int) -> list[tuple[int, StoredEvent]]:
        """Oldest first, without bodies."""
        asked = {"lanes": numbers(lanes), "forever": FOREVER, "after": after, "limit": limit}
        found = ((seq, self._unfinished("event_head", seq)) for (seq,) in self._sql.rows("stuck", asked))
        return [(seq, stored) for seq, stored in found if stored is not None]

    def stretch_of_dead(self, wanted: DeadLetterFilter) -> Stretch | None:
        """The numbers to search for *wanted* at once."""
        return searching.stretch_of(self._sql, wanted)

    def dead_letters(self, wanted: DeadLetterFilter, stretch: Stretch) -> list[DeadLetter]:
        """By number, without bodies."""
        found = searching.found(self._sql, wanted, stretch)
        letters = (self._dead_letter("dead_head", number) for number in found)
        return [letter for letter in letters if letter is not None]

    def dead_letter(self, number: int) -> DeadLetter | None:
        """One, with its body."""
        return self._dead_letter("dead_letter", number)

    def _dead_letter(self, query: str, number: int) -> DeadLetter | None:
        row = self._sql.row(query, (number,))
        if row is None:
            return None
        _, lane, seq, at, reason, cause, size, frozen, head, body, holds = row
        return DeadLetter(
            number=number,
            row=coding.dead_of((lane, seq), at, reason, cause, size),
            event=coding.event_of(seq, self._frozen[frozen], head, body),
            holds=bool(holds),
        )

    def too_many(self, lane: int, before: float, max_bytes: int | None, limit: int) -> tuple[list[int], int]:
        """Dead letters to drop, oldest first: those from before *before*, then until *max_bytes* holds; their bytes."""
        weight = self._sql.value("dead_weight", {"lane": lane, "letter": LETTER}) or 0
        oldest = self._sql.value("oldest_dead", {"lane": lane, "before": before, "limit": limit})
        dropped: list[int] = []
        freed = 0
        for number, old, size in _numbers.decode(oldest):
            if not old and (max_bytes is None or weight <= max_bytes):
                break
            dropped.append(number)
            freed += size
            weight -= size + LETTER
        return dropped, freed


def keeps(frozen: Frozen) -> bool:
    """Whether anything is kept of what becomes of such an event's positions."""
    return any(step.keep for step in frozen.graph)


def kept_of(sql: Statements, seqs: Collection[int]) -> dict[int, dict[int, Kept]]:
    """What was kept of the positions of some events, by seq and position."""
    found: dict[int, dict[int, Kept]] = {}
    for seq, place, value in sql.rows("kept_of", (numbers(seqs),)):
        found.setdefault(seq, {})[place] = coding.kept_of(value)
    return found


def done_rows(sql: Statements, bucket: int) -> list[tuple[int, bytes]]:
    """Rows of history of a bucket: key and events."""
    first = bucket << coding.BUCKET_BITS
    last = first | ((1 << coding.BUCKET_BITS) - 1)
    return sql.rows("done_between", {"first": first, "last": last, "reach": first})
