"""The front of the journal in memory: Journal (see protocol.py), and how it fails and crashes on demand.

It keeps the promises of the embedded one, the power cut aside. For simulation, `crash` ends a life: what was committed
is there after the next `open`, all else is gone. A *mishap*, asked before each commit, may let it fail.
"""

import enum
import itertools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import msgspec

from fanout_dispatcher.journal.clock import EPOCH, Clock, away
from fanout_dispatcher.journal.faults import JournalAmbiguous, JournalFault, JournalFull
from fanout_dispatcher.journal.memory.keys import KEY_BYTES
from fanout_dispatcher.journal.memory.store import Store, weight
from fanout_dispatcher.journal.protocol import (
    FOREVER,
    LETTER,
    PULL_BYTES,
    SLOT,
    STRETCH,
    WHOLE,
    Batch,
    DeadLetter,
    DueRow,
    KeyRow,
    Kind,
    Place,
    Pruned,
    Pulled,
    Recovered,
    StoredEvent,
    Stretch,
    headroom,
)
from fanout_dispatcher.values.views import DeadLetterFilter

NO_SECRET = bytes(32)  # for simulations; who hands out receipts hands in a key


class Mishap(enum.Enum):
    """What happens to one commit."""

    FULL = "refused, nothing written"
    LOST = "failed half-way, and was not written"
    WRITTEN = "failed half-way, and was written all the same"


class MemoryJournal:
    """A journal that is gone with its process. *max_bytes* bounds events and dead letters; None: nothing does."""

    def __init__(
        self,
        *,
        key: bytes = NO_SECRET,
        clock: Callable[[], Clock] = lambda: EPOCH,
        max_bytes: int | None = None,
        pull_bytes: int = PULL_BYTES,
        mishap: Callable[[Batch], Mishap | None] = lambda batch: None,
    ) -> None:
        self._key = key
        self._clock = clock
        self._max_bytes = max_bytes
        self._pull_bytes = pull_bytes
        self._mishap = mishap
        self._store = Store()
        self._is_open = False
        self._torn = False
        self._now = 0.0
        self._noted = EPOCH

    def __repr__(self) -> str:
        state = "torn" if self._torn else "open" if self._is_open else "closed"
        store = self._store
        return f"MemoryJournal({state}, events={len(store.events)}, dead={len(store.letters)}, bytes={store.used})"

    def open(self) -> Recovered:
        """Recover what an earlier life committed."""
        if self._is_open:
            raise JournalFault("this journal in memory is open already")
        clock = self._clock()
        self._now += away(self._noted, clock) if self._noted != EPOCH else 0.0
        self._noted = clock
        self._is_open, self._torn = True, False
        store = self._store
        store.recover(self._now)
        return Recovered(
            key=self._key,
            last_seq=store.last_seq,
            now=self._now,
            lanes=dict(store.lanes),
            frozen=dict(store.frozen),
            plans=dict(store.plans),
            backlog=store.backlog(),
            keys=store.keys.counts(),
            resting=dict(store.resting),
            fetched=store.remembered(),
        )

    def crash(self) -> None:
        """As if the process had been killed."""
        self._is_open = self._torn = False

    def close(self) -> None:
        """End this life; the next `open` begins another."""
        self.crash()

    def commit(self, batch: Batch) -> None:
        """Apply *batch* as a whole or, when it does not fit or a mishap says so, not at all."""
        self._ready()
        mishap = self._mishap(batch)
        if mishap is Mishap.FULL:
            raise JournalFull("this journal in memory is full, by a mishap; nothing was written")
        size = sum(weight(event) for event in batch.events) + KEY_BYTES * len(batch.keys)
        told = sum(len(one.answer) for one in batch.answers)
        if told and self._max_bytes is not None and self._store.used + size + told > self._max_bytes:
            batch = msgspec.structs.replace(batch, answers=[])
        if size and self._max_bytes is not None and self._store.used + size > self._max_bytes:
            raise JournalFull(self._bound())
        if mishap is not Mishap.LOST:
            self._store.apply(batch)
            if batch.at > self._now:
                self._now, self._noted = batch.at, self._clock()
        if mishap is not None:
            self._torn = True
            raise JournalAmbiguous("a commit to this journal in memory failed half-way, by a mishap")

    def full(self) -> str | None:
        """Why no events would be taken now, if so."""
        used, most = self._store.used, self._max_bytes
        return self._bound() if most is not None and used + headroom(most) > most else None

    def repair(self, seqs: Sequence[int]) -> None:
        """Take back whatever of the events *seqs* was written."""
        self._store.take_back(set(seqs))
        self._is_open, self._torn = True, False

    def mark(self, below: int) -> None:
        """The next `open` looks for what was in a window from *below* on."""
        store = self._ready()
        store.indexed_to = max(store.indexed_to, below - 1)

    def pull(self, kind: Kind, until: float, limit: int, skip: Collection[int]) -> tuple[list[Pulled], float | None]:
        """The first rows of a kind by time, and when the next one is due."""
        lane, tried = kind
        rows = list(itertools.islice(self._ready().index(lane).by_time(tried, frozenset(skip)), limit + 1))
        pulled = self._bounded(row for row in rows[:limit] if row.at <= until)
        left = rows[len(pulled) :]
        return pulled, left[0].at if left else None

    def oldest(self, lane: int, limit: int, skip: Collection[int]) -> list[Pulled]:
        """The first rows by seq."""
        return self._bounded(self._ready().index(lane).by_seq(frozenset(skip), limit))

    def event(self, seq: int) -> StoredEvent | None:
        """What is known of one event."""
        return self._ready().stored(seq)

    def stretch_of_events(self, before: int | None) -> int | None:
        """From which seq on to search the newest events below *before* at once."""
        store = self._ready()
        newest = store.newest(store.last_seq + 1 if before is None else before)
        return None if newest is None else max(newest - STRETCH + 1, 0)

    def events(
        self, route: str | None, before: int | None, limit: int, since: int = 0
    ) -> list[tuple[int, StoredEvent]]:
        """Newest first, without bodies."""
        store = self._ready()
        last = store.last_seq if before is None else min(before - 1, store.last_seq)
        wanted = (seq for seq, of in store.routes(since, last) if route in {None, of})
        found = ((seq, store.stored(seq)) for seq in itertools.islice(wanted, limit))
        return [(seq, _without_body(stored)) for seq, stored in found if stored is not None]

    def stuck(self, lanes: Collection[int], after: int, limit: int) -> list[tuple[int, StoredEvent]]:
        """Oldest first, without bodies."""
        store = self._ready()
        rows = itertools.chain.from_iterable(store.index(lane) for lane in lanes)
        wanted = sorted({row.seq for row in rows if row.at >= FOREVER and row.seq > after})[:limit]
        found = ((seq, store.stored(seq)) for seq in wanted)
        return [(seq, _without_body(stored)) for seq, stored in found if stored is not None]

    def stretch_of_dead(self, wanted: DeadLetterFilter) -> Stretch | None:
        """The numbers among which to search for *wanted* at once."""
        store = self._ready()
        return store.letters.stretch(wanted, store.meant(wanted))

    def dead_letters(self, wanted: DeadLetterFilter, stretch: Stretch = WHOLE) -> list[DeadLetter]:
        """By number, without bodies."""
        store = self._ready()
        return [self._holding(letter) for letter in store.letters.find(wanted, store.meant(wanted), stretch)]

    def dead_letter(self, number: int) -> DeadLetter | None:
        """One, with its body."""
        letter = self._ready().letters.kept(number)
        return None if letter is None else self._holding(DeadLetter(number=number, row=letter.row, event=letter.event))

    def prune(self, lane: int, before: float, max_bytes: int | None, limit: int) -> Pruned:
        """Drop the oldest dead letters of a lane."""
        store = self._ready()
        kept = [letter for letter in store.letters.all_kept() if letter.row.lane == lane]
        weight = sum(letter.row.size + LETTER for letter in kept)
        dropped = freed = holding = 0
        for letter in kept[:limit]:
            if letter.row.at >= before and (max_bytes is None or weight <= max_bytes):
                break
            holding += store.ranks.of(lane, letter.row.seq) is not None
            store.remove_letter(letter.number)
            dropped += 1
            freed += letter.row.size
            weight -= letter.row.size + LETTER
        return dropped, freed, holding

    def forget(self, before: float, limit: int) -> int:
        """Drop old history, and links to replays of events that have none left."""
        store = self._ready()
        old = [seq for seq, (at, _) in store.done.items() if at // SLOT < before // SLOT][:limit]
        for seq in old:
            del store.done[seq]
        for letter in store.letters.all_replayed():
            if letter.row.at < before and letter.row.seq not in store.events:
                store.letters.remove(letter)
        return len(old)

    def keys(self, wanted: Collection[bytes]) -> list[KeyRow]:
        """Those of the idempotency keys that are kept."""
        return self._ready().keys.find(wanted)

    def forget_keys(self, door: int, before: float, limit: int) -> int:
        """Drop the oldest idempotency keys of a door."""
        return self._ready().keys.forget(door, before, limit)

    def forget_answers(self, most: int, limit: int) -> int:
        """Drop the oldest kept answers."""
        return self._ready().keys.forget_answers(most, limit)

    def referred(self, after: Place, limit: int) -> tuple[frozenset[int], Place | None]:
        """Which frozen values the next events refer to, then dead letters, and where to go on."""
        store = self._ready()
        seq, number = after
        events = list(itertools.islice((one for one in store.events.values() if one.seq > seq), limit))
        if events:
            return frozenset(event.frozen.number for event in events), (events[-1].seq, number)
        letters = list(itertools.islice(store.letters.after(number), limit))
        found = frozenset(letter.event.frozen.number for letter in letters)
        return found, (seq, letters[-1].number) if letters else None

    def rest(self, since: Mapping[int, float | None]) -> None:
        """Keep since when only history can refer to frozen values."""
        store = self._ready()
        for number, at in since.items():
            store.resting.pop(number, None)
            if at is not None and number in store.frozen:
                store.resting[number] = at

    def drop(self, frozen: Collection[int], lanes: Collection[int]) -> list[int]:
        """Drop frozen values and lanes; the lanes that went."""
        return self._ready().drop(frozen, lanes)

    def backup(self, pages: int) -> str | None:
        """There is no file to copy."""
        raise JournalFault("a journal in memory has no backup: what is in it is gone with its process")

    def _bound(self) -> str:
        return f"this journal in memory has reached its bound of {self._max_bytes} bytes"

    def _ready(self) -> Store:
        if self._torn:
            raise JournalAmbiguous("this journal in memory must be repaired first")
        if not self._is_open:
            raise JournalFault("this journal in memory is not open")
        return self._store

    def _holding(self, letter: DeadLetter) -> DeadLetter:
        """*letter*, which says whether it holds up others."""
        held = self._store.ranks.of(letter.row.lane, letter.row.seq)
        return letter if held is None else msgspec.structs.replace(letter, holds=True)

    def _bounded(self, rows: Iterable[DueRow]) -> list[Pulled]:
        """*rows* as far as the bytes of one pull go, one at least."""
        pulled: list[Pulled] = []
        size = 0
        for row in rows:
            if pulled and size >= self._pull_bytes:
                break
            pulled.append(self._pulled(row))
            size += len(pulled[-1].event.body) + sum(one.size for one in pulled[-1].kept.values())
        return pulled

    def _pulled(self, row: DueRow) -> Pulled:
        event = self._store.events[row.seq]
        return Pulled(row, event, self._store.states(event), dict(self._store.kept.get(row.seq, {})))


def _without_body(stored: StoredEvent) -> StoredEvent:
    if stored.event is None:
        return stored
    return msgspec.structs.replace(stored, event=msgspec.structs.replace(stored.event, body=b""))
