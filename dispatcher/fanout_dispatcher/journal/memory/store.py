"""What a journal in memory holds, and how a batch changes it.

The same states as schema.sql has, in dicts: events with their progress, due rows by lane, dead letters, what is
finished. `MemoryJournal` is the one caller: it refuses (full, closed, torn) before it applies, so that nothing here has
a way to say no, and it dresses what is found as rows of the protocol.
"""

import itertools
from collections.abc import Collection, Iterator

import msgspec

from fanout_dispatcher.journal.memory.index import LaneIndex
from fanout_dispatcher.journal.memory.keys import KEY_BYTES, Keys
from fanout_dispatcher.journal.memory.letters import Letter, Letters
from fanout_dispatcher.journal.memory.ranks import Ranks
from fanout_dispatcher.journal.protocol import (
    BLOCKED,
    FOREVER,
    STRETCH,
    Backlog,
    Batch,
    DeadRow,
    DueRow,
    Finished,
    StoredEvent,
)
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import Event, Frozen, State
from fanout_dispatcher.values.views import DeadLetterFilter

EVENT_BYTES = 512  # what an event takes besides its body, generously


class Store:
    """Committed state: it survives a crash of the simulated process."""

    def __init__(self) -> None:
        self.lanes: dict[int, tuple[str, str]] = {}
        self.frozen: dict[int, Frozen] = {}
        self.resting: dict[int, float] = {}  # frozen values that only history can refer to -> since
        self.plans: dict[str, bytes] = {}
        self.events: dict[int, Event] = {}
        self.progress: dict[int, bytes] = {}
        self.kept: dict[int, dict[int, Kept]] = {}  # seq -> position -> what later ones may read of it
        self.letters = Letters()
        self.ranks = Ranks()
        self.done: dict[int, tuple[float, Finished]] = {}  # seq -> when it finished; in that order
        self.fetched: dict[tuple[str, str], int] = {}  # source and its key -> seq
        self.keys = Keys()
        self.last_seq = 0
        self.indexed_to = 0  # every pending delivery of an event up to here has its row
        self._used = 0  # bytes of events and dead letters, and of what is kept with them
        self._due: dict[int, LaneIndex] = {}

    @property
    def used(self) -> int:
        """Bytes, keys and all that is kept of answers included."""
        return self._used + KEY_BYTES * len(self.keys) + self.keys.answer_bytes

    def index(self, lane: int) -> LaneIndex:
        """The due rows of a lane."""
        index = self._due.get(lane)
        if index is None:
            index = self._due[lane] = LaneIndex()
        return index

    def states(self, event: Event) -> bytes:
        """Where its deliveries are."""
        return self.progress.get(event.seq) or bytes(len(event.frozen.lanes))

    def apply(self, batch: Batch) -> None:
        """All of *batch*, in the order that the protocol gives."""
        self._settings(batch)
        for forgotten in batch.forgotten:
            self.fetched.pop(forgotten, None)
        for event in batch.events:
            self.events[event.seq] = event
            self.last_seq = max(self.last_seq, event.seq)
            self._used += weight(event)
        for key in batch.keys:
            self.keys.put(key)
        for told in batch.answers:
            self.keys.answer(told)
        self.fetched.update({(one.source, one.key): one.seq for one in batch.fetched})
        for row in batch.due:
            self.index(row.lane).put(row)
        self._moves(batch)
        self._progress(batch)
        for dead in batch.dead:
            self._bury(dead)
        for past in batch.finished:
            self._drop_event(past.seq)
            self.done[past.seq] = (batch.at, past)
        for replay in batch.replayed:
            self._replay(replay.dead, replay.seq)
        for number in batch.removed:
            self.remove_letter(number)

    def _moves(self, batch: Batch) -> None:
        """What leaves the index, and who comes and goes in the order of a key."""
        for lane, seq in batch.undue:
            self.index(lane).drop(seq)
        for rank in batch.ranks:
            self.ranks.add(rank)
            self._set_due(rank.lane, rank.seq)
        for lane, seq in batch.passed:
            self._pass(lane, seq)

    def _progress(self, batch: Batch) -> None:
        """How far unfinished events have come, and what later positions of them may read of earlier ones."""
        self.progress.update(batch.progress)
        for one in batch.kept:
            if one.seq in self.events:
                positions = self.kept.setdefault(one.seq, {})
                self._used += one.kept.size - (positions[one.place].size if one.place in positions else 0)
                positions[one.place] = one.kept
        for seq in batch.read:
            self._forget_kept(seq)

    def recover(self, now: float) -> None:
        """Give every pending delivery that was in a window a row, due *now*."""
        later = (event for seq, event in self.events.items() if seq > self.indexed_to)
        for event in later:
            for lane, state in zip(event.frozen.lanes, self.states(event), strict=True):
                if state in State.WAITING and self.index(lane).get(event.seq) is None:
                    self.index(lane).put(DueRow(lane, event.seq, now))
        self.indexed_to = self.last_seq

    def take_back(self, seqs: set[int]) -> None:
        """Nothing of the events *seqs* stays; a dead letter that one of them replaced comes back, with the bytes."""
        for letter in self.letters.all_replayed():
            event = self.events.get(letter.replayed or 0) if letter.replayed in seqs else None
            if event is not None:
                letter.event = msgspec.structs.replace(letter.event, head=event.head, body=event.body)
                self._take_back_place(letter.row, event.seq)
                letter.replayed = None
                self._used += _weight_of(letter)
        self.fetched = {one: seq for one, seq in self.fetched.items() if seq not in seqs}
        for seq in seqs:
            for letter in self.letters.of(seq):
                self.remove_letter(letter.number)
            event = self.events.get(seq)
            for lane in event.frozen.lanes if event is not None else ():
                self.index(lane).drop(seq)
                self._pass(lane, seq)
            self._drop_event(seq)
            self.done.pop(seq, None)
        if len(self.keys):
            self.keys.take_back(seqs)

    def remove_letter(self, number: int) -> None:
        """A kept dead letter goes."""
        letter = self.letters.kept(number)
        if letter is not None:
            self._used -= _weight_of(letter)
            self.letters.remove(letter)
            self._pass(letter.row.lane, letter.row.seq)

    def drop(self, frozen: Collection[int], lanes: Collection[int]) -> list[int]:
        """Frozen values go, and lanes that have nothing left; which lanes went."""
        for number in frozen:
            self.frozen.pop(number, None)
            self.resting.pop(number, None)
        letters = {letter.row.lane for letter in self.letters.all_kept()}
        gone = [lane for lane in sorted(self.lanes.keys() & lanes) if lane not in letters and not len(self.index(lane))]
        for lane in gone:
            del self.lanes[lane]
            self._due.pop(lane, None)
        return gone

    def remembered(self) -> dict[str, frozenset[str]]:
        """What sources have fetched and may fetch again."""
        sources = {source for source, _ in self.fetched}
        return {source: frozenset(key for of, key in self.fetched if of == source) for source in sources}

    def backlog(self) -> dict[int, Backlog]:
        """What waits, by lane."""
        kept = [letter.row for letter in self.letters.all_kept()]
        ranked = self.ranks.lanes()
        lanes = {lane for lane, index in self._due.items() if len(index)} | {row.lane for row in kept}
        return {
            lane: Backlog(
                pending=len(self.index(lane)),
                pending_bytes=sum(len(self.events[row.seq].body) for row in self.index(lane)),
                stuck=sum(row.at >= FOREVER for row in self.index(lane)),
                dead=sum(row.lane == lane for row in kept),
                dead_bytes=sum(row.size for row in kept if row.lane == lane),
                ranked=lane in ranked,
            )
            for lane in sorted(lanes)
        }

    def stored(self, seq: int) -> StoredEvent | None:
        """What is known of one event."""
        letters = self.letters.of(seq)
        dead = tuple(letter.row for letter in letters if letter.replayed is None)
        replays = {letter.row.lane: letter.replayed for letter in letters if letter.replayed is not None}
        event = self.events.get(seq)
        if event is not None:
            rows = (self.index(lane).get(seq) for lane in sorted(set(event.frozen.lanes)))
            return StoredEvent(
                frozen=event.frozen,
                accepted=event.accepted,
                states=self.states(event),
                event=event,
                due=tuple(row for row in rows if row is not None),
                dead=dead,
                replays=replays,
                kept=dict(self.kept.get(seq, {})),
            )
        if seq not in self.done:
            return None
        _, past = self.done[seq]
        return StoredEvent(
            frozen=self.frozen[past.frozen],
            accepted=past.accepted,
            states=past.states,
            event=None,
            dead=dead,
            replays=replays,
        )

    def meant(self, wanted: DeadLetterFilter) -> set[int]:
        """The lanes whose dead letters may be meant."""
        return {lane for lane, names in self.lanes.items() if wanted.means(*names)}

    def newest(self, below: int) -> int | None:
        """The newest event below a seq, finished or not."""
        near = next(self._known(max(below - STRETCH, 1), below - 1), None)
        return next(self._known(1, below - 1), None) if near is None else near

    def routes(self, first: int, last: int) -> Iterator[tuple[int, str]]:
        """Every event that is known of those seqs, newest first, and its route."""
        return ((seq, self._frozen_with(seq).route) for seq in self._known(first, last))

    def _known(self, first: int, last: int) -> Iterator[int]:
        """Events of those seqs, newest first, whichever way there is less to look at."""
        if last - first < len(self.events) + len(self.done):
            return (seq for seq in range(last, first - 1, -1) if seq in self.events or seq in self.done)
        every = itertools.chain(self.events, self.done)
        return iter(sorted((seq for seq in every if first <= seq <= last), reverse=True))

    def _frozen_with(self, seq: int) -> Frozen:
        event = self.events.get(seq)
        return self.frozen[self.done[seq][1].frozen] if event is None else event.frozen

    def _settings(self, batch: Batch) -> None:
        for number, route, target in batch.lanes:
            self.lanes.setdefault(number, (route, target))
        for one in batch.frozen:
            self.frozen[one.number] = one
            self.resting.pop(one.number, None)
        for route, plan in batch.plans:
            if plan is None:
                self.plans.pop(route, None)
            else:
                self.plans[route] = plan

    def _bury(self, dead: DeadRow) -> None:
        event = self.events.get(dead.seq)
        if event is not None and self.letters.bury(dead, event):
            self._used += weight(event) + len(dead.earlier)

    def _replay(self, number: int, seq: int) -> None:
        letter = self.letters.kept(number)
        if letter is not None:
            self._used -= _weight_of(letter)
            letter.event = msgspec.structs.replace(letter.event, body=b"")
            letter.replayed = seq
            self.ranks.move(letter.row.lane, letter.row.seq, seq)
            self._set_due(letter.row.lane, seq)

    def _set_due(self, lane: int, seq: int) -> None:
        """A delivery that has a rank is due when it is first of its key."""
        held, row = self.ranks.of(lane, seq), self.index(lane).get(seq)
        if held is not None and row is not None:
            at = held.ready if self.ranks.is_first(lane, held) else BLOCKED
            self.index(lane).put(msgspec.structs.replace(row, at=at))

    def _pass(self, lane: int, seq: int) -> None:
        """A place is given up: the next one of the key is first."""
        first = self.ranks.drop(lane, seq)
        row = None if first is None else self.index(lane).get(first.seq)
        if row is not None and row.at >= BLOCKED:
            self._set_due(lane, row.seq)

    def _take_back_place(self, dead: DeadRow, seq: int) -> None:
        """The replay is event *seq*; a place that it had of its own stays with it."""
        held = self.ranks.of(dead.lane, seq)
        if held is not None and held.place != seq:
            self.ranks.move(dead.lane, seq, dead.seq)

    def _drop_event(self, seq: int) -> None:
        self.progress.pop(seq, None)
        self._forget_kept(seq)
        event = self.events.pop(seq, None)
        if event is not None:
            self._used -= weight(event)

    def _forget_kept(self, seq: int) -> None:
        self._used -= sum(one.size for one in self.kept.pop(seq, {}).values())


def weight(event: Event) -> int:
    """Bytes that an event counts for."""
    replay = event.head.replay
    return len(event.body) + EVENT_BYTES + (0 if replay is None else len(replay.earlier))


def _weight_of(letter: Letter) -> int:
    return weight(letter.event) + len(letter.row.earlier)
