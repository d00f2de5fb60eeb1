"""The embedded journal and its twin do the same, whatever is asked of them: random lives, compared after every step."""

import pathlib
import tempfile
from collections.abc import Callable

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import (
    START,
    AnswerRow,
    Batch,
    DueRow,
    Finished,
    Journal,
    KeyRow,
    Place,
    Rank,
    Recovered,
    Replayed,
    StoredEvent,
)
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.values.event import Event, State
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.support.journals import (
    HISTORY,
    INVOICE,
    KEY,
    LANES,
    ORDER,
    Machine,
    a_dead,
    a_journal,
    an_event,
    kill,
    setting,
)

TIMES = st.floats(min_value=0.0, max_value=5000.0)
PICKS = st.lists(st.integers(0, 30), max_size=6, unique=True)
EVERYTHING = DeadLetterFilter(limit=1000)
FILTERS = (
    EVERYTHING,
    DeadLetterFilter(ids=("1", "4", "2", "99"), limit=2),
    DeadLetterFilter(route="shop/order", after="1"),
    DeadLetterFilter(target="email", limit=3),
    DeadLetterFilter(target="email", reason="TargetRejected", limit=3),
    DeadLetterFilter(reason="Expired"),
)


def next_one(journal: Journal, wanted: DeadLetterFilter) -> list[int]:
    """The first dead letter of the stretch that is to be searched next."""
    stretch = journal.stretch_of_dead(msgspec.structs.replace(wanted, limit=1))
    return [] if stretch is None else [one.number for one in journal.dead_letters(wanted, stretch)][:1]


class Agreement(RuleBasedStateMachine):
    """Both journals side by side, and just enough of an engine to ask only for what an engine would."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.machine = Machine()
        self.memory = MemoryJournal(key=KEY, clock=self.machine, pull_bytes=2_000)
        self.sqlite = self.embedded()
        self.now = 0.0
        self.seq = 4090  # near the end of a bucket of history
        self.states: dict[int, bytearray] = {}
        self.events: dict[int, Event] = {}
        self.last_group: list[int] = []

    def embedded(self) -> SqliteJournal:
        path = pathlib.Path(self.folder.name) / "journal.db"
        return a_journal(path, clock=self.machine, pull_bytes=2_000, log_pages=20)

    def both(self, call: Callable[[Journal], object]) -> None:
        assert call(self.sqlite) == call(self.memory)

    def commit(self, batch: Batch) -> None:
        batch.at = self.now
        self.last_group = [event.seq for event in batch.events]
        self.both(lambda journal: journal.commit(batch))

    def pending(self, picks: list[int]) -> list[tuple[int, int]]:
        """Some (seq, place) of pending deliveries."""
        every = [(s, i) for s, states in self.states.items() for i, one in enumerate(states) if one == State.PENDING]
        return [every[pick] for pick in picks if pick < len(every)]

    def settle(self, batch: Batch, deliveries: list[tuple[int, int]], state: int, *, holds: bool = False) -> None:
        for seq, place in deliveries:
            self.states[seq][place] = state
            batch.undue.append((self.events[seq].frozen.lanes[place], seq))
            if not holds:
                batch.passed.append((self.events[seq].frozen.lanes[place], seq))
        for seq in dict.fromkeys(seq for seq, _ in deliveries):
            states = bytes(self.states[seq])
            if State.PENDING in states:
                batch.progress.append((seq, states))
            else:
                event = self.events[seq]
                batch.finished.append(Finished(seq, event.frozen.number, event.accepted, states))
                del self.states[seq]

    def new_events(self, sizes: list[int]) -> list[Event]:
        made = []
        for size in sizes:
            self.seq += 1
            made.append(an_event(self.seq, frozen=ORDER if size % 2 else INVOICE, body=b"\x00" * size))
        for event in made:
            self.events[event.seq] = event
            self.states[event.seq] = bytearray(len(event.frozen.lanes))
        return made

    def in_order(self, batch: Batch, event: Event, at: float) -> None:
        """Two in three events have a key, for all their targets; there are three keys."""
        if event.seq % 3:
            for lane in event.frozen.lanes:
                batch.due.append(DueRow(lane, event.seq, at))
                batch.ranks.append(Rank(lane, event.seq, b"%d" % (len(event.body) % 3), at))

    @initialize()
    def begin(self) -> None:
        self.both(lambda journal: journal.open())
        self.commit(setting())

    @rule(sizes=st.lists(st.integers(0, 900), max_size=5), picks=PICKS, again=PICKS, at=TIMES, spent=st.integers(0, 1))
    def appends_settles_and_retries_share_a_commit(
        self, sizes: list[int], picks: list[int], again: list[int], at: float, spent: int
    ) -> None:
        batch = Batch()
        retried = self.pending(again)
        done = [delivery for delivery in self.pending(picks) if delivery not in retried]
        self.settle(batch, done, State.DELIVERED)
        batch.due = [DueRow(self.events[s].frozen.lanes[i], s, at, spent, HISTORY[: spent + 1]) for s, i in retried]
        batch.events = self.new_events(sizes)
        batch.keys = [KeyRow(one.seq, one.seq % 2, b"%d" % (one.seq % 9), b"", self.now) for one in batch.events]
        for event in batch.events:
            self.in_order(batch, event, at)
        self.commit(batch)

    @rule(picks=PICKS, at=TIMES, holds=st.booleans())
    def deliveries_die(self, picks: list[int], at: float, holds: bool) -> None:
        batch = Batch()
        deliveries = self.pending(picks)
        batch.dead = [a_dead(s, at, lane=self.events[s].frozen.lanes[i]) for s, i in deliveries]
        self.settle(batch, deliveries, State.DEAD, holds=holds)
        self.commit(batch)

    @rule(picks=PICKS, remove=st.booleans())
    def dead_letters_are_replayed_or_removed(self, picks: list[int], remove: bool) -> None:
        letters = self.memory.dead_letters(EVERYTHING)
        numbers = [letters[pick].number for pick in picks if pick < len(letters)]
        if remove:
            return self.commit(Batch(removed=numbers))
        batch = Batch()
        for number in numbers:
            letter = self.memory.dead_letter(number)
            assert letter is not None
            [replay] = self.new_events([0])
            replay = Event(
                seq=replay.seq, frozen=INVOICE, accepted=self.now, head=letter.event.head, body=letter.event.body
            )
            self.events[replay.seq] = replay
            batch.events.append(replay)
            batch.replayed.append(Replayed(number, replay.seq))
            self.in_order(batch, replay, self.now)
        return self.commit(batch)

    @rule(seconds=st.integers(0, 2000))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.machine.set(boottime=self.machine.clock.boottime + seconds)

    @rule(door=st.integers(0, 1), before=TIMES, limit=st.integers(1, 5))
    def keys_are_forgotten(self, door: int, before: float, limit: int) -> None:
        self.both(lambda journal: journal.forget_keys(door, before, limit))
        self.last_group = []

    @rule(picks=PICKS, size=st.integers(0, 300), most=st.integers(0, 900), limit=st.integers(1, 4))
    def answers_are_kept_and_forgotten(self, picks: list[int], size: int, most: int, limit: int) -> None:
        self.commit(Batch(answers=[AnswerRow(self.seq - pick, b"a" * size) for pick in picks]))
        self.both(lambda journal: journal.forget_answers(most, limit))

    @invariant()
    def keys_agree(self) -> None:
        every = [b"%d" % number for number in range(9)]
        self.both(lambda journal: sorted((row.key, row.answer or b"none") for row in journal.keys(every)))

    @rule(before=st.floats(min_value=0.0, max_value=5000.0))
    def history_is_forgotten(self, before: float) -> None:
        self.both(lambda journal: bool(journal.forget(before, 1000)))
        self.last_group = []

    @rule(numbers=st.sets(st.sampled_from([1, 2, 7]), max_size=3), since=st.one_of(st.none(), TIMES))
    def frozen_values_come_to_rest(self, numbers: set[int], since: float | None) -> None:
        self.both(lambda journal: journal.rest(dict.fromkeys(numbers, since)))
        self.last_group = []

    @rule()
    def what_nothing_refers_to_is_dropped_and_comes_back(self) -> None:
        """As an engine does it that finds the route in force again. History must not refer to it either."""
        self.both(lambda journal: journal.forget(1e8, 1000))
        used = self.referred(self.memory)
        assert used == self.referred(self.sqlite)
        gone = {1, 2} - used - {1, 2}.intersection(past.frozen.number for past in self.pasts())
        lanes = [lane for one in (ORDER, INVOICE) if one.number in gone for lane in one.lanes]
        self.both(lambda journal: journal.drop(gone, lanes))
        self.commit(setting())

    def referred(self, journal: Journal) -> set[int]:
        used: set[int] = set()
        place: Place | None = START
        while place is not None:
            found, place = journal.referred(place, 3)
            used |= found
        return used

    def pasts(self) -> list[StoredEvent]:
        return [stored for _, stored in self.memory.events(None, None, 1000) if stored.event is None]

    @rule(lane=st.sampled_from([1, 2, 3]), before=TIMES, bound=st.one_of(st.none(), st.integers(0, 2000)))
    def dead_letters_are_pruned(self, lane: int, before: float, bound: int | None) -> None:
        self.both(lambda journal: journal.prune(lane, before, bound, 3))

    @precondition(lambda self: self.last_group)
    @rule()
    def the_last_group_is_taken_back(self) -> None:
        group = self.last_group
        self.both(lambda journal: journal.repair(group))
        for seq in group:
            self.states.pop(seq, None)
        self.last_group = []

    @rule(clean=st.booleans())
    def the_process_starts_again(self, clean: bool) -> None:
        if clean:
            self.both(lambda journal: journal.close())
        else:
            self.memory.crash()
            kill(self.sqlite)
        self.sqlite = self.embedded()
        found: list[Recovered] = [self.sqlite.open(), self.memory.open()]
        assert found[0].backlog == found[1].backlog
        assert found[0].pending == sum(states.count(State.PENDING) for states in self.states.values())
        assert (found[0].lanes, found[0].frozen) == (found[1].lanes, found[1].frozen)
        assert found[0].resting == found[1].resting
        assert found[0].last_seq >= max(self.states, default=0)

    @invariant()
    def whoever_looks_sees_the_same(self) -> None:
        for lane, _, _ in LANES:
            skip = {seq for seq in self.states if seq % 3 == 0}
            self.both(lambda journal: journal.pull((lane, False), 2500.0, 4, skip))  # noqa: B023  called at once
            self.both(lambda journal: journal.pull((lane, True), 2500.0, 4, skip))  # noqa: B023
            self.both(lambda journal: journal.oldest(lane, 4, skip))  # noqa: B023
        for wanted in FILTERS:
            self.both(lambda journal: next_one(journal, wanted))  # noqa: B023
            self.both(lambda journal: journal.dead_letters(wanted))  # noqa: B023
            self.both(lambda journal: journal.dead_letters(wanted, (2, 5)))  # noqa: B023
        self.both(lambda journal: journal.events(None, None, 1000))
        self.both(lambda journal: journal.events("shop/order", self.seq - 3, 2))
        self.both(lambda journal: journal.events("shop/order", self.seq, 9, self.seq - 5))
        for seq in list(self.events)[-6:]:
            self.both(lambda journal: journal.event(seq))  # noqa: B023

    def teardown(self) -> None:
        self.sqlite.close()
        self.folder.cleanup()


TestAgreement = Agreement.TestCase
TestAgreement.settings = settings(max_examples=40, stateful_step_count=25)
