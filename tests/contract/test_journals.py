"""What every journal promises, asked of the embedded one and of its twin in memory alike."""

import math
import pathlib
import typing
from collections.abc import Callable, Iterator

import msgspec
import pytest

from fanout_dispatcher.journal.faults import JournalFault, JournalFull
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import (
    BLOCKED,
    FOREVER,
    LETTER,
    START,
    STRETCH,
    WHOLE,
    AnswerRow,
    Backlog,
    Batch,
    DueRow,
    Fetched,
    Finished,
    Journal,
    KeptRow,
    Place,
    Rank,
    Recovered,
    Replayed,
)
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import Frozen, Replay, State
from fanout_dispatcher.values.graph import Role, Step
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.support.journals import (
    HISTORY,
    INVOICE,
    KEY,
    ORDER,
    Machine,
    a_dead,
    a_due,
    a_finish,
    a_journal,
    a_key,
    an_event,
    setting,
)

ALL = DeadLetterFilter()


class Bench:
    """A journal and how to start it again."""

    def __init__(self, make: Callable[[], Journal]) -> None:
        self.machine = Machine()
        self._make = make
        self.journal = make()

    def reopen(self) -> Recovered:
        """Close it properly and open it again."""
        self.journal.close()
        self.journal = self._make()
        return self.journal.open()


@pytest.fixture(params=["memory", "sqlite"])
def bench(request: pytest.FixtureRequest, tmp_path: pathlib.Path) -> Iterator[Bench]:
    machine = Machine()
    memory = MemoryJournal(key=KEY, clock=machine, max_bytes=1 << 21, pull_bytes=1000)

    def make() -> Journal:
        if request.param == "memory":
            return memory
        return a_journal(tmp_path / "journal.db", clock=machine, max_bytes=1 << 21, pull_bytes=1000)

    bench = Bench(make)
    bench.machine = machine
    bench.journal.open()
    bench.journal.commit(setting())
    yield bench
    bench.journal.close()


def seqs(pulled: list[typing.Any]) -> list[int]:
    return [row.event.seq for row in pulled]


def fill(journal: Journal, seq: int, *, at_once: int = 1) -> int:
    """Append from *seq* on, *at_once* a commit, until the journal's bound is reached; the seq that was refused."""
    while True:
        try:
            journal.commit(Batch(events=[an_event(one, body=b"x" * 1000) for one in range(seq, seq + at_once)]))
        except JournalFull:
            return seq
        seq += at_once


def looked_through(journal: Journal, limit: int) -> Iterator[frozenset[int]]:
    """What each look at events and dead letters finds."""
    place: Place | None = START
    while place is not None:
        found, place = journal.referred(place, limit)
        yield found


class TestPulling:
    def test_rows_come_back_whole(self, bench: Bench) -> None:
        event, row = an_event(7), a_due(7, 3.000000000000004, lane=2)
        bench.journal.commit(Batch(events=[event], due=[row], progress=[(7, b"\x01\x00")]))

        [pulled], _ = bench.journal.pull((2, True), 10.0, 5, ())

        assert pulled.event == event
        assert pulled.due == row
        assert pulled.states == b"\x01\x00"

    def test_an_event_without_progress_is_pending_everywhere(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], due=[a_due(1)]))

        [pulled], _ = bench.journal.pull((1, True), 0.0, 5, ())

        assert pulled.states == b"\x00\x00"

    def test_the_first_due_come_first_and_ties_by_seq(self, bench: Bench) -> None:
        events = [an_event(seq) for seq in (1, 2, 3, 4)]
        bench.journal.commit(Batch(events=events, due=[a_due(1, 9.0), a_due(4, 2.0), a_due(3, 2.0), a_due(2, 5.0)]))

        pulled, left = bench.journal.pull((1, True), 5.0, 10, ())

        assert seqs(pulled) == [3, 4, 2]
        assert left == 9.0

    def test_what_the_limit_leaves_behind_is_named(self, bench: Bench) -> None:
        bench.journal.commit(
            Batch(events=[an_event(s) for s in (1, 2, 3)], due=[a_due(s, float(s)) for s in (1, 2, 3)])
        )

        pulled, left = bench.journal.pull((1, True), 10.0, 2, ())

        assert seqs(pulled) == [1, 2]
        assert left == 3.0

    def test_what_is_in_the_window_is_neither_pulled_nor_named(self, bench: Bench) -> None:
        bench.journal.commit(
            Batch(events=[an_event(s) for s in (1, 2, 3)], due=[a_due(s, float(s)) for s in (1, 2, 3)])
        )

        assert bench.journal.pull((1, True), 1.5, 10, {1, 2}) == ([], 3.0)
        assert bench.journal.pull((1, True), 10.0, 10, {1, 2, 3}) == ([], None)

    def test_an_empty_lane_has_nothing_and_no_next_time(self, bench: Bench) -> None:
        assert bench.journal.pull((1, True), math.inf, 10, ()) == ([], None)
        assert bench.journal.oldest(1, 10, ()) == []

    def test_one_lane_never_sees_the_rows_of_another(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], due=[a_due(1, lane=1), a_due(1, 4.0, lane=2)]))

        assert bench.journal.pull((2, True), 1.0, 10, ()) == ([], 4.0)

    def test_fresh_rows_and_tried_ones_are_pulled_apart(self, bench: Bench) -> None:
        due = [a_due(1, 1.0), DueRow(1, 2, 2.0), DueRow(1, 3, 8.0), a_due(4, 9.0)]
        bench.journal.commit(Batch(events=[an_event(s) for s in (1, 2, 3, 4)], due=due))

        fresh, next_fresh = bench.journal.pull((1, False), 5.0, 10, ())
        tried, next_tried = bench.journal.pull((1, True), 5.0, 10, ())

        assert ([row.due for row in fresh], next_fresh) == ([DueRow(1, 2, 2.0)], 8.0)
        assert ([row.due for row in tried], next_tried) == ([a_due(1, 1.0)], 9.0)
        assert seqs(bench.journal.oldest(1, 10, {4})) == [1, 2, 3]

    def test_a_fresh_row_that_is_tried_changes_its_kind(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], due=[DueRow(1, 1, 1.0)]))
        bench.journal.commit(Batch(due=[DueRow(1, 1, 3.0, 1, HISTORY[:1])]))

        assert bench.journal.pull((1, False), 9.0, 10, ()) == ([], None)
        assert bench.journal.pull((1, True), 9.0, 10, ())[0][0].due == DueRow(1, 1, 3.0, 1, HISTORY[:1])

    def test_an_attempt_that_was_not_spent_leaves_a_row_fresh_with_its_history(self, bench: Bench) -> None:
        probe = DueRow(1, 1, 3.000000000000004, 0, HISTORY)
        bench.journal.commit(Batch(events=[an_event(1)], due=[probe]))

        assert [row.due for row in bench.journal.pull((1, False), 9.0, 10, ())[0]] == [probe]

    def test_a_pull_is_cut_where_bodies_grow_large(self, bench: Bench) -> None:
        events = [an_event(seq, body=b"x" * 400) for seq in range(1, 7)]
        bench.journal.commit(Batch(events=events, due=[a_due(seq, 1.0) for seq in range(1, 7)]))

        pulled, left = bench.journal.pull((1, True), 2.0, 10, ())

        assert seqs(pulled) == [1, 2, 3]
        assert left == 1.0
        assert seqs(bench.journal.oldest(1, 10, {1})) == [2, 3, 4]

    def test_a_body_larger_than_a_pull_comes_alone(self, bench: Bench) -> None:
        events = [an_event(1, body=b"x" * 5000), an_event(2, body=b"")]
        bench.journal.commit(Batch(events=events, due=[a_due(1), a_due(2)]))

        pulled, left = bench.journal.pull((1, True), 2.0, 10, ())

        assert [row.event.body for row in pulled] == [b"x" * 5000]
        assert left == 0.0

    def test_putting_back_moves_the_row(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], due=[a_due(1, 1.0)]))
        bench.journal.commit(Batch(due=[DueRow(1, 1, 8.0, 3, HISTORY[:1])]))

        assert bench.journal.pull((1, True), 2.0, 10, ()) == ([], 8.0)
        assert bench.journal.pull((1, True), 8.0, 10, ())[0][0].due == DueRow(1, 1, 8.0, 3, HISTORY[:1])

    def test_a_settled_row_is_gone(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1), an_event(2)], due=[a_due(1), a_due(2), a_due(1, lane=2)]))
        bench.journal.commit(Batch(undue=[(1, 1), (1, 99)], progress=[(1, b"\x01\x00")]))

        assert seqs(bench.journal.pull((1, True), 1.0, 10, ())[0]) == [2]
        assert seqs(bench.journal.pull((2, True), 1.0, 10, ())[0]) == [1]

    def test_the_oldest_are_by_seq_whatever_their_time(self, bench: Bench) -> None:
        due = [a_due(1, 90.0), a_due(2, 5.0), a_due(3, 70.0)]
        bench.journal.commit(Batch(events=[an_event(s) for s in (1, 2, 3)], due=due))

        assert seqs(bench.journal.oldest(1, 2, ())) == [1, 2]
        assert seqs(bench.journal.oldest(1, 2, {1})) == [2, 3]

    def test_a_group_of_any_size_is_one_commit(self, bench: Bench) -> None:
        events = [an_event(seq, body=b"") for seq in range(1, 1501)]
        bench.journal.commit(Batch(events=events, due=[a_due(seq, float(seq)) for seq in range(1, 1501)]))

        assert seqs(bench.journal.pull((1, True), 1e9, 2000, set(range(1, 1001)))[0]) == list(range(1001, 1501))


class TestEvents:
    def test_an_unfinished_event_is_known_with_all_there_is(self, bench: Bench) -> None:
        event = an_event(1)
        bench.journal.commit(
            Batch(events=[event], due=[a_due(1, 4.0)], dead=[a_dead(1, lane=2)], progress=[(1, b"\0\2")])
        )

        stored = bench.journal.event(1)

        assert stored is not None
        assert stored.event == event
        assert (stored.frozen, stored.accepted, stored.states) == (ORDER, 1.1, b"\0\2")
        assert stored.due == (a_due(1, 4.0),)
        assert stored.dead == (a_dead(1, lane=2),)
        assert stored.replays == {}

    def test_a_finished_event_leaves_its_history(self, bench: Bench) -> None:
        event = an_event(1)
        bench.journal.commit(Batch(at=1.0, events=[event]))
        bench.journal.commit(Batch(at=2.0, finished=[a_finish(event)]))

        stored = bench.journal.event(1)

        assert stored is not None
        assert stored.event is None
        assert (stored.frozen, stored.accepted, stored.states) == (ORDER, 1.1, b"\x01\x01")

    def test_a_settle_committed_twice_says_the_same(self, bench: Bench) -> None:
        event = an_event(1)
        bench.journal.commit(Batch(at=1.0, events=[event], due=[a_due(1)]))
        settle = Batch(at=2.0, undue=[(1, 1)], dead=[a_dead(1)], finished=[a_finish(event, b"\x02\x01")])
        bench.journal.commit(settle)
        bench.journal.commit(settle)

        stored = bench.journal.event(1)

        assert stored is not None
        assert stored.dead == (a_dead(1),)
        assert [seq for seq, _ in bench.journal.events(None, None, 10)] == [1]
        assert bench.reopen().backlog == {1: Backlog(dead=1, dead_bytes=10)}

    def test_an_unknown_event_is_none(self, bench: Bench) -> None:
        assert bench.journal.event(404) is None

    def test_events_are_listed_newest_first_in_pages_and_by_route(self, bench: Bench) -> None:
        events = [an_event(seq, frozen=INVOICE if seq % 3 == 0 else ORDER) for seq in (1, 2, 3, 4, 5000, 9001, 9002)]
        bench.journal.commit(Batch(events=events))
        bench.journal.commit(
            Batch(at=4000.0, finished=[a_finish(event) for event in events if event.seq in {2, 5000, 9001}])
        )

        assert [seq for seq, _ in bench.journal.events(None, None, 4)] == [9002, 9001, 5000, 4]
        assert [seq for seq, _ in bench.journal.events(None, 4, 4)] == [3, 2, 1]
        assert [seq for seq, _ in bench.journal.events("shop/invoice", None, 9)] == [3]
        assert bench.journal.events("shop/none", None, 9) == []

    def test_events_are_searched_stretch_by_stretch_and_none_is_missed(self, bench: Bench) -> None:
        events = [an_event(seq, frozen=INVOICE if seq % 3 == 0 else ORDER) for seq in (1, 2, 3, 4, 5000, 9001, 20001)]
        bench.journal.commit(Batch(events=events))
        bench.journal.commit(Batch(finished=[a_finish(event) for event in events if event.seq in {2, 5000, 9001}]))
        found = []
        before: int | None = None
        while (since := bench.journal.stretch_of_events(before)) is not None:
            some = [seq for seq, _ in bench.journal.events(None, before, 9, since)]
            assert some != []
            found += some
            before = since

        assert found == [20001, 9001, 5000, 4, 3, 2, 1]
        assert [seq for seq, _ in bench.journal.events(None, 9001, 9, 3)] == [5000, 4, 3]
        assert [seq for seq, _ in bench.journal.events("shop/invoice", 9001, 9, 3)] == [3]
        assert [seq for seq, _ in bench.journal.events(None, None, 1, 3)] == [20001]

    def test_a_list_has_no_bodies(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], due=[a_due(1)]))

        [(_, stored)] = bench.journal.events(None, None, 1)

        assert stored.event is not None
        assert stored.event.body == b""
        assert stored.event.head == an_event(1).head
        assert stored.due == (a_due(1),)

    def test_old_history_is_forgotten_and_young_is_kept(self, bench: Bench) -> None:
        old, young = an_event(1), an_event(2)
        bench.journal.commit(Batch(events=[old, young]))
        bench.journal.commit(Batch(at=100.0, finished=[a_finish(old)]))
        bench.journal.commit(Batch(at=10_000.0, finished=[a_finish(young)]))

        assert bench.journal.forget(9_900.0, 100) == 1
        assert bench.journal.forget(9_900.0, 100) == 0
        assert bench.journal.event(1) is None
        assert bench.journal.event(2) is not None

    def test_a_seq_is_never_given_out_again(self, bench: Bench) -> None:
        event = an_event(12)
        bench.journal.commit(Batch(at=1.0, events=[event]))
        bench.journal.commit(Batch(at=2.0, finished=[a_finish(event)]))

        assert bench.reopen().last_seq == 12
        bench.journal.forget(10_000.0, 100)
        assert bench.reopen().last_seq == 12

    def test_a_seq_is_remembered_when_its_history_is_not(self, bench: Bench) -> None:
        event = an_event(12)
        bench.journal.commit(Batch(at=1.0, events=[event], finished=[a_finish(event)]))
        bench.journal.forget(10_000.0, 100)

        assert bench.reopen().last_seq == 12


class TestDeadLetters:
    def test_one_keeps_the_original_bytes_of_a_finished_event(self, bench: Bench) -> None:
        event = an_event(1)
        bench.journal.commit(Batch(events=[event]))
        bench.journal.commit(Batch(dead=[a_dead(1)], finished=[a_finish(event, b"\x02\x01")]))

        [listed] = bench.journal.dead_letters(ALL)
        letter = bench.journal.dead_letter(listed.number)

        assert listed.event.body == b""
        assert letter is not None
        assert letter.row == a_dead(1)
        assert letter.event == event

    def test_an_event_may_be_dead_as_it_is_accepted(self, bench: Bench) -> None:
        event = an_event(1, frozen=INVOICE)
        bench.journal.commit(Batch(events=[event], dead=[a_dead(1, lane=3)], finished=[a_finish(event, b"\x02")]))

        [letter] = bench.journal.dead_letters(ALL)

        assert letter.row == a_dead(1, lane=3)
        assert bench.reopen().pending == 0

    def test_filters_and_the_cursor_narrow_the_list(self, bench: Bench) -> None:
        events = [an_event(1), an_event(2), an_event(3, frozen=INVOICE)]
        dead = [a_dead(1), a_dead(2, reason="Expired"), a_dead(2, lane=2), a_dead(3, lane=3)]
        bench.journal.commit(Batch(events=events, dead=dead))
        by_number = {letter.number: (letter.row.seq, letter.row.lane) for letter in bench.journal.dead_letters(ALL)}

        def found(wanted: DeadLetterFilter) -> list[tuple[int, int]]:
            return [by_number[letter.number] for letter in bench.journal.dead_letters(wanted)]

        first, second, *_ = by_number
        assert found(ALL) == [(1, 1), (2, 1), (2, 2), (3, 3)]
        assert found(DeadLetterFilter(target="email")) == [(1, 1), (2, 1), (3, 3)]
        assert found(DeadLetterFilter(route="shop/order", target="email")) == [(1, 1), (2, 1)]
        assert found(DeadLetterFilter(route="shop/none")) == []
        assert found(DeadLetterFilter(reason="Expired")) == [(2, 1)]
        assert found(DeadLetterFilter(ids=(str(second), "999"))) == [(2, 1)]
        assert found(DeadLetterFilter(after=str(first), limit=2)) == [(2, 1), (2, 2)]

    def test_what_a_filter_means_is_in_the_stretch_to_search_or_after_it(self, bench: Bench) -> None:
        dead = [a_dead(1), a_dead(2), a_dead(3, reason="Expired"), a_dead(4, lane=2), a_dead(5)]
        bench.journal.commit(Batch(events=[an_event(row.seq) for row in dead], dead=dead))
        one, two, three, four, five = (letter.number for letter in bench.journal.dead_letters(ALL))
        bench.journal.commit(Batch(events=[an_event(6)], replayed=[Replayed(one, 6)], removed=[four]))

        assert bench.journal.stretch_of_dead(ALL) == WHOLE
        assert bench.journal.stretch_of_dead(DeadLetterFilter(ids=(str(two),))) == WHOLE
        assert bench.journal.stretch_of_dead(DeadLetterFilter(route="shop/order", after=str(three))) == WHOLE
        assert bench.journal.stretch_of_dead(DeadLetterFilter(route="shop/invoice")) is None
        assert bench.journal.stretch_of_dead(DeadLetterFilter(target="crm", reason="Expired")) is None
        assert bench.journal.stretch_of_dead(DeadLetterFilter(reason="None")) == (two, two + STRETCH - 1)
        assert bench.journal.stretch_of_dead(DeadLetterFilter(reason="Expired", after=str(three))) == (
            five,
            five + STRETCH - 1,
        )
        assert bench.journal.stretch_of_dead(DeadLetterFilter(reason="Expired", after=str(five))) is None

    @pytest.mark.parametrize(
        ("wanted", "expected"),
        [
            (ALL, [3, 4]),
            (DeadLetterFilter(limit=1), [3]),
            (DeadLetterFilter(after="3"), [4]),
            (DeadLetterFilter(target="email"), [3]),
            (DeadLetterFilter(target="email", reason="Expired"), [3]),
            (DeadLetterFilter(reason="TargetRejected"), [4]),
            (DeadLetterFilter(ids=("1", "3", "5", "3")), [3]),
            (DeadLetterFilter(ids=("4", "3"), target="crm"), [4]),
            (DeadLetterFilter(ids=("4", "3"), reason="Expired"), [3]),
            (DeadLetterFilter(ids=("4", "3"), limit=1), [3]),
        ],
        ids=repr,
    )
    def test_a_search_keeps_to_its_stretch(self, wanted: DeadLetterFilter, expected: list[int], bench: Bench) -> None:
        dead = [a_dead(1), a_dead(2), a_dead(3, reason="Expired"), a_dead(4, lane=2), a_dead(5)]
        bench.journal.commit(Batch(events=[an_event(row.seq) for row in dead], dead=dead))
        bench.journal.commit(Batch(removed=[2]))

        assert [letter.number for letter in bench.journal.dead_letters(wanted, (2, 4))] == expected

    def test_a_cursor_that_is_no_number_is_refused(self, bench: Bench) -> None:
        with pytest.raises(ValueError, match="abc"):
            bench.journal.dead_letters(DeadLetterFilter(after="abc"))

    def test_a_removed_one_is_gone_and_its_number_is_not_used_again(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1), an_event(2)], dead=[a_dead(1)]))
        [first] = bench.journal.dead_letters(ALL)
        bench.journal.commit(Batch(removed=[first.number, 999]))
        bench.journal.commit(Batch(dead=[a_dead(2)]))

        [second] = bench.journal.dead_letters(ALL)

        assert bench.journal.dead_letter(first.number) is None
        assert second.number > first.number

    def test_a_replay_takes_its_place_and_is_remembered(self, bench: Bench) -> None:
        event, replay = an_event(1), an_event(2, frozen=INVOICE)
        bench.journal.commit(Batch(events=[event], dead=[a_dead(1)], finished=[a_finish(event, b"\x02\x01")]))
        [letter] = bench.journal.dead_letters(ALL)
        bench.journal.commit(Batch(events=[replay], replayed=[Replayed(letter.number, 2)]))

        stored = bench.journal.event(1)

        assert stored is not None
        assert stored.replays == {1: 2}
        assert stored.dead == ()
        assert bench.journal.dead_letters(ALL) == []
        assert bench.journal.dead_letter(letter.number) is None
        assert bench.reopen().backlog == {3: Backlog(pending=1, pending_bytes=len(replay.body))}

    def test_the_link_to_a_replay_goes_with_the_history(self, bench: Bench) -> None:
        event = an_event(1)
        bench.journal.commit(Batch(at=5.0, events=[event], dead=[a_dead(1)], finished=[a_finish(event, b"\x02\x01")]))
        [letter] = bench.journal.dead_letters(ALL)
        bench.journal.commit(Batch(events=[an_event(2)], replayed=[Replayed(letter.number, 2)]))

        assert bench.journal.forget(90_000.0, 10) == 1
        assert bench.journal.event(1) is None

    def test_old_ones_are_pruned_oldest_first(self, bench: Bench) -> None:
        bench.journal.commit(
            Batch(events=[an_event(s) for s in (1, 2, 3)], dead=[a_dead(s, float(s)) for s in (1, 2, 3)])
        )

        assert bench.journal.prune(1, 2.5, None, 1) == (1, 10, 0)
        assert bench.journal.prune(1, 2.5, None, 10) == (1, 10, 0)
        assert bench.journal.prune(1, 2.5, None, 10) == (0, 0, 0)
        assert [letter.row.seq for letter in bench.journal.dead_letters(ALL)] == [3]

    def test_beyond_the_bound_the_oldest_go(self, bench: Bench) -> None:
        dead = [a_dead(s, size=40) for s in (1, 2, 3)] + [a_dead(1, lane=2, size=500)]
        bench.journal.commit(Batch(events=[an_event(s) for s in (1, 2, 3)], dead=dead))

        assert bench.journal.prune(1, -math.inf, 80 + 2 * LETTER, 10) == (1, 40, 0)
        assert bench.journal.prune(1, -math.inf, 80 + 2 * LETTER, 10) == (0, 0, 0)
        assert bench.journal.prune(9, -math.inf, 0, 10) == (0, 0, 0)
        assert [(one.row.seq, one.row.lane) for one in bench.journal.dead_letters(ALL)] == [(2, 1), (3, 1), (1, 2)]


class TestTidying:
    def test_what_events_and_dead_letters_refer_to_is_told_some_rows_at_a_time(self, bench: Bench) -> None:
        died, kept = an_event(1, frozen=INVOICE), an_event(2)
        bench.journal.commit(Batch(events=[died, kept, an_event(3)]))
        bench.journal.commit(Batch(dead=[a_dead(1, lane=3)], finished=[a_finish(died, b"\x02")]))

        looks = list(looked_through(bench.journal, limit=1))

        assert [found for found in looks if found] == [{1}, {1}, {2}]
        assert looks[-1] == frozenset()

    def test_history_alone_refers_to_nothing(self, bench: Bench) -> None:
        event = an_event(1)
        bench.journal.commit(Batch(events=[event], finished=[a_finish(event)]))

        assert set().union(*looked_through(bench.journal, limit=10)) == set()

    def test_a_replayed_dead_letter_still_refers(self, bench: Bench) -> None:
        event = an_event(1, frozen=INVOICE)
        bench.journal.commit(Batch(events=[event], dead=[a_dead(1, lane=3)], finished=[a_finish(event, b"\x02")]))
        [letter] = bench.journal.dead_letters(ALL)
        bench.journal.commit(Batch(events=[an_event(2)], replayed=[Replayed(letter.number, 2)]))

        assert set().union(*looked_through(bench.journal, limit=10)) == {1, 2}

    def test_since_when_a_value_rests_is_told_by_the_next_start(self, bench: Bench) -> None:
        bench.journal.rest({1: 40.000000000000004, 2: 50.0, 99: 60.0})
        bench.journal.rest({2: None})

        recovered = bench.reopen()

        assert recovered.resting == {1: 40.000000000000004}
        assert recovered.frozen == {1: ORDER, 2: INVOICE}

    def test_a_value_that_is_committed_again_rests_no_longer(self, bench: Bench) -> None:
        bench.journal.rest({1: 40.0, 2: 40.0})
        bench.journal.commit(Batch(frozen=[ORDER]))

        assert bench.reopen().resting == {2: 40.0}

    def test_what_is_dropped_is_gone_and_its_lanes_with_it(self, bench: Bench) -> None:
        assert bench.journal.drop([2, 99], [3, 99]) == [3]

        recovered = bench.reopen()

        assert recovered.frozen == {1: ORDER}
        assert recovered.lanes.keys() == {1, 2}

    def test_a_lane_that_still_has_anything_stays_whatever_is_said(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], due=[a_due(1, lane=1)], dead=[a_dead(1, lane=2)]))

        assert bench.journal.drop([], [1, 2, 3]) == [3]
        assert bench.reopen().backlog.keys() == {1, 2}

    def test_what_was_dropped_and_is_committed_again_is_there_again(self, bench: Bench) -> None:
        bench.journal.drop([2], [3])
        event = an_event(1, frozen=INVOICE)
        bench.journal.commit(Batch(lanes=[(3, "shop/invoice", "email")], frozen=[INVOICE], events=[event]))

        recovered = bench.reopen()

        assert (recovered.frozen, recovered.pending) == ({1: ORDER, 2: INVOICE}, 1)
        assert seqs(bench.journal.pull((3, False), 1e9, 10, ())[0]) == [1]

    def test_a_number_of_a_lane_that_was_dropped_may_stand_for_another(self, bench: Bench) -> None:
        bench.journal.drop([2], [3])
        bench.journal.commit(Batch(lanes=[(3, "shop/refund", "bank")]))

        assert bench.reopen().lanes[3] == ("shop/refund", "bank")


class TestStartingAgain:
    def test_lanes_frozen_values_plans_and_the_key_survive(self, bench: Bench) -> None:
        bench.journal.commit(Batch(plans=[("shop/order", b"one"), ("shop/gone", b"x")]))
        bench.journal.commit(Batch(plans=[("shop/order", b"two"), ("shop/gone", None)]))

        recovered = bench.reopen()

        assert recovered.key == KEY
        assert recovered.lanes == {1: ("shop/order", "email"), 2: ("shop/order", "crm"), 3: ("shop/invoice", "email")}
        assert recovered.frozen == {1: ORDER, 2: INVOICE}
        assert recovered.plans == {"shop/order": b"two"}

    def test_lanes_and_frozen_values_may_be_committed_again(self, bench: Bench) -> None:
        bench.journal.commit(setting())

        assert bench.reopen().frozen == {1: ORDER, 2: INVOICE}

    def test_what_was_in_a_window_is_due_now(self, bench: Bench) -> None:
        bench.journal.commit(Batch(at=50.0, events=[an_event(1), an_event(2)], due=[a_due(2, 70.0)]))
        bench.journal.commit(Batch(at=50.0, progress=[(1, b"\x00\x01")]))

        recovered = bench.reopen()

        assert recovered.now == 50.0
        assert recovered.pending == 3
        first, second = an_event(1), an_event(2)
        assert recovered.backlog == {
            1: Backlog(pending=2, pending_bytes=len(first.body) + len(second.body)),
            2: Backlog(pending=1, pending_bytes=len(second.body)),
        }
        pulled, left = bench.journal.pull((1, False), 50.0, 10, ())
        assert [row.due for row in pulled] == [DueRow(1, 1, 50.0)]
        assert left is None
        assert bench.journal.pull((1, True), 50.0, 10, ()) == ([], 70.0)

    def test_a_pulled_row_keeps_its_attempts_through_a_restart(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1, frozen=INVOICE)], due=[a_due(1, 1.0, lane=3)]))
        bench.journal.pull((3, True), 5.0, 10, ())

        bench.reopen()

        assert bench.journal.pull((3, True), 5.0, 10, ())[0][0].due == a_due(1, 1.0, lane=3)

    def test_events_of_every_life_are_recovered(self, bench: Bench) -> None:
        for life in range(1, 5):
            bench.journal.commit(Batch(events=[an_event(life, frozen=INVOICE)]))
            assert bench.reopen().backlog[3].pending == life

    def test_what_is_marked_is_not_looked_at_again(self, bench: Bench) -> None:
        """The engine says so only when it is so; here it is not, to see where `open` looks."""
        bench.journal.commit(Batch(events=[an_event(seq, frozen=INVOICE) for seq in (1, 2, 3)]))
        bench.journal.mark(3)
        bench.journal.mark(1)

        assert bench.reopen().pending == 1
        assert seqs(bench.journal.pull((3, False), 1e9, 10, ())[0]) == [3]

    def test_engine_time_goes_on_by_how_long_nobody_was_there(self, bench: Bench) -> None:
        bench.journal.commit(Batch(at=50.0))
        bench.machine.set(boottime=160.0, wall=0.0)

        assert bench.reopen().now == 110.0

    def test_across_boots_the_wall_clock_counts_but_never_backwards(self, bench: Bench) -> None:
        bench.journal.commit(Batch(at=50.0))
        bench.machine.set(boot="boot-2", boottime=1.0, wall=1_000_007.0)
        assert bench.reopen().now == 57.0
        bench.machine.set(boot="boot-3", wall=5.0)

        assert bench.reopen().now == 57.0


class TestRefusing:
    def test_at_the_bound_appends_are_refused_and_settles_go_on(self, bench: Bench) -> None:
        first = an_event(1, body=b"x" * 1000)
        bench.journal.commit(Batch(events=[first], due=[a_due(1)]))
        refused = fill(bench.journal, 2)
        bench.journal.commit(Batch(undue=[(1, 1)], finished=[a_finish(first)]))

        assert 1000 < refused < 2100
        assert bench.journal.event(refused) is None
        assert bench.reopen().pending == 2 * (refused - 2)

    def test_room_comes_back_with_what_is_settled(self, bench: Bench) -> None:
        events = [an_event(seq, body=b"x" * 1000) for seq in range(1, 1001)]
        bench.journal.commit(Batch(events=events))
        more = [an_event(seq, body=b"x" * 1000) for seq in range(1001, 2001)]
        with pytest.raises(JournalFull):
            bench.journal.commit(Batch(events=more))
        bench.journal.commit(Batch(finished=[a_finish(event) for event in events]))
        bench.journal.commit(Batch(events=more))

        assert bench.reopen().pending == 2000

    def test_whoever_was_refused_may_ask_whether_there_is_room_again(self, bench: Bench) -> None:
        """There has to be room for more than the next event, or everybody would be refused again at once."""
        before = bench.journal.full()
        refused = fill(bench.journal, 1, at_once=10)
        during = bench.journal.full()
        events = [an_event(seq, body=b"x" * 1000) for seq in range(1, refused)]
        bench.journal.commit(Batch(finished=[a_finish(events[0])]))
        still = bench.journal.full()
        bench.journal.commit(Batch(events=[events[0]]))
        bench.journal.commit(Batch(finished=[a_finish(event) for event in events]))

        assert (before, bench.journal.full()) == (None, None)
        for why in (during, still):
            assert why is not None
            assert "has reached its bound of" in why

    def test_a_closed_journal_says_so(self, bench: Bench) -> None:
        bench.journal.close()

        with pytest.raises(JournalFault, match="not open"):
            bench.journal.commit(Batch())
        with pytest.raises(JournalFault, match="not open"):
            bench.journal.event(1)
        bench.journal.open()

    def test_an_open_one_is_not_opened_twice(self, bench: Bench) -> None:
        with pytest.raises(JournalFault, match="open already"):
            bench.journal.open()


class TestFetching:
    def test_what_was_fetched_is_remembered_across_lives_by_source(self, bench: Bench) -> None:
        fetched = [Fetched("shop/order", "a", 1), Fetched("shop/order", "b", 2), Fetched("shop/invoice", "a", 3)]
        bench.journal.commit(Batch(events=[an_event(1), an_event(2), an_event(3, frozen=INVOICE)], fetched=fetched))

        assert bench.reopen().fetched == {"shop/order": {"a", "b"}, "shop/invoice": {"a"}}

    def test_what_is_forgotten_is_remembered_no_longer(self, bench: Bench) -> None:
        fetched = [Fetched("shop/order", key, seq) for seq, key in enumerate("abc", 1)]
        bench.journal.commit(Batch(events=[an_event(1), an_event(2), an_event(3)], fetched=fetched))
        bench.journal.commit(Batch(forgotten=[("shop/order", "a"), ("shop/order", "c"), ("shop/invoice", "b")]))

        assert bench.reopen().fetched == {"shop/order": {"b"}}

    def test_the_end_of_an_event_changes_nothing(self, bench: Bench) -> None:
        """Only the source knows when it will not fetch it again."""
        event = an_event(1)
        bench.journal.commit(Batch(events=[event], fetched=[Fetched("shop/order", "a", 1)]))
        bench.journal.commit(Batch(finished=[a_finish(event)]))

        assert bench.reopen().fetched == {"shop/order": {"a"}}


class TestKeys:
    def test_a_key_is_found_with_what_was_kept_of_it(self, bench: Bench) -> None:
        rows = [a_key(1, b"a"), a_key(2, b"b")]
        bench.journal.commit(Batch(events=[an_event(1), an_event(2)], keys=rows))

        assert bench.journal.keys([b"b", b"other"]) == [rows[1]]
        assert bench.journal.keys([]) == []

    def test_keys_outlive_their_events_and_a_restart_and_are_counted_by_door(self, bench: Bench) -> None:
        event = an_event(1)
        bench.journal.commit(Batch(events=[event], keys=[a_key(1, b"a")], finished=[a_finish(event)]))
        bench.journal.commit(Batch(events=[an_event(2), an_event(3)], keys=[a_key(2, b"b"), a_key(3, b"c", door=-7)]))

        found = bench.reopen()

        assert found.keys == {4: 2, -7: 1}
        assert bench.journal.keys([b"a"]) == [a_key(1, b"a")]

    def test_a_key_that_comes_again_takes_the_place_of_the_old_one(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], keys=[a_key(1, b"a")]))
        bench.journal.commit(Batch(events=[an_event(2)], keys=[a_key(2, b"a")]))

        assert bench.journal.keys([b"a"]) == [a_key(2, b"a")]
        assert bench.reopen().keys == {4: 1}

    def test_the_oldest_of_a_door_are_forgotten_as_far_as_they_are_old(self, bench: Bench) -> None:
        rows = [a_key(seq, b"%d" % seq, door=seq % 2) for seq in range(1, 9)]
        bench.journal.commit(Batch(events=[an_event(seq) for seq in range(1, 9)], keys=rows))

        gone = [bench.journal.forget_keys(1, 5.0, 9), bench.journal.forget_keys(0, math.inf, 3)]

        assert gone == [2, 3]
        left = bench.journal.keys([row.key for row in rows])
        assert sorted(row.seq for row in left) == [5, 7, 8], "a row at the very time is not before it"
        assert bench.journal.forget_keys(99, math.inf, 9) == 0

    def test_what_is_taken_back_leaves_no_key(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1), an_event(2)], keys=[a_key(1, b"a"), a_key(2, b"b")]))

        bench.journal.repair([2])

        assert bench.journal.keys([b"a", b"b"]) == [a_key(1, b"a")]

    def test_an_answer_is_kept_with_its_key_and_goes_with_it(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1), an_event(2)], keys=[a_key(1, b"a"), a_key(2, b"b")]))
        bench.journal.commit(Batch(answers=[AnswerRow(1, b"\x00told"), AnswerRow(99, b"of no key")]))
        bench.reopen()

        told = bench.journal.keys([b"a", b"b"])
        bench.journal.commit(Batch(events=[an_event(3)], keys=[a_key(3, b"a")]))

        assert sorted((row.key, row.answer) for row in told) == [(b"a", b"\x00told"), (b"b", None)]
        assert bench.journal.keys([b"a"]) == [a_key(3, b"a")], "a key that comes again begins anew"
        assert bench.journal.forget_answers(0, 9) == 0

    def test_the_oldest_answers_are_forgotten_and_their_keys_stay(self, bench: Bench) -> None:
        rows = [a_key(seq, b"%d" % seq) for seq in range(1, 7)]
        bench.journal.commit(Batch(events=[an_event(seq) for seq in range(1, 7)], keys=rows))
        bench.journal.commit(Batch(answers=[AnswerRow(seq, b"x" * 100) for seq in (6, 2, 4, 1)]))

        gone = [bench.journal.forget_answers(most, limit) for most, limit in ((400, 9), (350, 9), (0, 1), (100, 9))]

        assert gone == [0, 1, 1, 1]
        left = {row.seq: row.answer for row in bench.journal.keys([row.key for row in rows])}
        assert {seq for seq, answer in left.items() if answer is not None} == {6}
        assert len(left) == 6

    def test_answers_are_left_out_where_there_is_no_room_and_all_else_is_written(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], keys=[a_key(1, b"a")]))

        bench.journal.commit(Batch(answers=[AnswerRow(1, bytes(1 << 21))], due=[DueRow(1, 1, 9.0, 1)]))

        assert bench.journal.keys([b"a"]) == [a_key(1, b"a")]
        stored = bench.journal.event(1)
        assert stored is not None
        assert [row.at for row in stored.due] == [9.0]


class TestRepairing:
    def test_an_event_that_is_taken_back_was_not_fetched(self, bench: Bench) -> None:
        fetched = [Fetched("shop/order", "a", 1), Fetched("shop/order", "b", 2)]
        bench.journal.commit(Batch(events=[an_event(1), an_event(2)], fetched=fetched))

        bench.journal.repair([2])

        assert bench.reopen().fetched == {"shop/order": {"a"}}

    def test_whatever_was_written_of_the_events_is_taken_back(self, bench: Bench) -> None:
        kept, gone, ended = an_event(1), an_event(2), an_event(3, frozen=INVOICE)
        bench.journal.commit(
            Batch(
                events=[kept, gone, ended],
                due=[a_due(1), a_due(2), a_due(2, lane=2)],
                dead=[a_dead(3, lane=3), a_dead(2)],
                finished=[a_finish(ended, b"\x02"), Finished(1000, 1, 1.0, b"\x01\x01")],
            )
        )

        bench.journal.repair([2, 3, 77])

        assert bench.journal.event(1) is not None
        assert bench.journal.event(1000) is not None
        assert bench.journal.event(2) is None
        assert bench.journal.event(3) is None
        assert bench.journal.dead_letters(ALL) == []
        pulled, left = bench.journal.pull((1, True), 9.0, 9, ())
        assert (seqs(pulled), left) == ([1], None)
        assert bench.journal.pull((2, True), 9.0, 9, ()) == ([], None)
        assert bench.reopen().backlog.keys() == {1, 2}

    def test_a_replay_taken_back_gives_its_dead_letter_back(self, bench: Bench) -> None:
        event = an_event(1, frozen=INVOICE)
        bench.journal.commit(Batch(events=[event], dead=[a_dead(1, lane=3)], finished=[a_finish(event, b"\x02")]))
        [letter] = bench.journal.dead_letters(ALL)
        replay = an_event(2, frozen=INVOICE, body=event.body)
        replay = type(replay)(seq=2, frozen=INVOICE, accepted=9.0, head=event.head, body=event.body)
        bench.journal.commit(Batch(events=[replay], replayed=[Replayed(letter.number, 2)]))

        bench.journal.repair([2])

        again = bench.journal.dead_letter(letter.number)
        assert again is not None
        assert again.row == a_dead(1, lane=3)
        assert (again.event.head, again.event.body) == (event.head, event.body)
        assert bench.reopen().backlog == {3: Backlog(dead=1, dead_bytes=10)}

    def test_the_group_can_be_committed_again(self, bench: Bench) -> None:
        batch = Batch(at=1.0, events=[an_event(1)], due=[a_due(1)], dead=[a_dead(1, lane=2)])
        bench.journal.commit(batch)
        bench.journal.repair([1])
        bench.journal.commit(batch)

        stored = bench.journal.event(1)

        assert stored is not None
        assert stored.dead == (a_dead(1, lane=2),)


class TestOrder:
    """Lane 3 keeps order: of what has a key, only the first of each is due."""

    def accept(self, bench: Bench, seq: int, key: bytes = b"k", ready: float = 0.0) -> None:
        event = an_event(seq, frozen=INVOICE)
        bench.journal.commit(Batch(events=[event], due=[DueRow(3, seq, ready)], ranks=[Rank(3, seq, key, ready)]))

    def due(self, bench: Bench, until: float = 100.0) -> list[int]:
        return seqs(bench.journal.pull((3, False), until, 100, ())[0])

    def die(self, bench: Bench, seq: int, *, holds: bool) -> int:
        """Dead, holding up what is behind it or not; the dead letter's number."""
        end = a_finish(an_event(seq, frozen=INVOICE), b"\x02")
        passed = [] if holds else [(3, seq)]
        bench.journal.commit(Batch(undue=[(3, seq)], passed=passed, dead=[a_dead(seq, lane=3)], finished=[end]))
        return bench.journal.dead_letters(ALL)[-1].number

    def replay(self, bench: Bench, number: int, seq: int, *, key: bytes = b"k") -> None:
        batch = Batch(
            events=[an_event(seq, frozen=INVOICE)], due=[DueRow(3, seq, 50.0)], replayed=[Replayed(number, seq)]
        )
        batch.ranks = [Rank(3, seq, key, 50.0)]
        bench.journal.commit(batch)

    def test_only_the_first_of_a_key_is_due(self, bench: Bench) -> None:
        for seq, key in ((1, b"a"), (2, b"a"), (3, b"b"), (4, b"a"), (5, b"b")):
            self.accept(bench, seq, key)

        pulled, left = bench.journal.pull((3, False), 100.0, 100, ())

        assert (seqs(pulled), left) == ([1, 3], BLOCKED)

    def test_the_next_one_is_due_when_the_first_has_gone_at_its_own_time(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2, ready=7.5)

        bench.journal.commit(Batch(undue=[(3, 1)], passed=[(3, 1)]))

        [pulled], left = bench.journal.pull((3, False), 100.0, 100, ())
        assert (pulled.due, left) == (DueRow(3, 2, 7.5), None)

    def test_a_retry_holds_up_its_key(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2)

        bench.journal.commit(Batch(due=[DueRow(3, 1, 9.0, 1)]))

        assert self.due(bench) == []
        assert seqs(bench.journal.pull((3, True), 10.0, 100, ())[0]) == [1]

    def test_one_that_ends_while_it_waits_lets_nobody_past(self, bench: Bench) -> None:
        for seq in (1, 2, 3):
            self.accept(bench, seq)

        bench.journal.commit(Batch(undue=[(3, 2)], passed=[(3, 2)]))
        assert self.due(bench) == [1]
        bench.journal.commit(Batch(undue=[(3, 1)], passed=[(3, 1)]))

        assert self.due(bench) == [3]

    def test_a_dead_letter_holds_its_place_until_it_is_removed(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2)
        number = self.die(bench, 1, holds=True)
        assert self.due(bench) == []
        assert bench.journal.dead_letters(ALL)[0].holds

        bench.journal.commit(Batch(removed=[number]))

        assert self.due(bench) == [2]

    def test_a_dead_letter_that_is_pruned_lets_go_and_is_counted(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2)
        self.die(bench, 1, holds=True)

        assert bench.journal.prune(3, 100.0, None, 10) == (1, 10, 1)

        assert self.due(bench) == [2]

    def test_one_that_is_passed_over_holds_nothing(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2)

        self.die(bench, 1, holds=False)

        assert self.due(bench) == [2]
        assert not bench.journal.dead_letters(ALL)[0].holds

    def test_a_replay_takes_the_place_of_its_dead_letter(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2)
        number = self.die(bench, 1, holds=True)

        self.replay(bench, number, 9)

        assert self.due(bench) == [9]
        bench.journal.commit(Batch(undue=[(3, 9)], passed=[(3, 9)]))
        assert self.due(bench) == [2]

    def test_a_replay_waits_for_a_dead_letter_before_it(self, bench: Bench) -> None:
        for seq in (1, 2, 3):
            self.accept(bench, seq)
        first, second = self.die(bench, 1, holds=True), self.die(bench, 2, holds=True)

        self.replay(bench, second, 8)
        assert self.due(bench) == []
        self.replay(bench, first, 9)

        assert self.due(bench) == [9]
        bench.journal.commit(Batch(undue=[(3, 9)], passed=[(3, 9)]))
        assert self.due(bench) == [8]

    def test_a_replay_of_one_that_was_passed_over_goes_to_the_end(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2)
        number = self.die(bench, 1, holds=False)

        self.replay(bench, number, 9)

        assert self.due(bench) == [2]
        bench.journal.commit(Batch(undue=[(3, 2)], passed=[(3, 2)]))
        assert self.due(bench) == [9]

    def test_a_replay_that_is_taken_back_gives_the_place_back(self, bench: Bench) -> None:
        self.accept(bench, 1)
        self.accept(bench, 2)
        number = self.die(bench, 1, holds=True)
        self.replay(bench, number, 9)

        bench.journal.repair([9])

        assert self.due(bench) == []
        assert bench.journal.dead_letters(ALL)[0].holds
        bench.journal.commit(Batch(removed=[number]))
        assert self.due(bench) == [2]

    def test_an_event_that_is_taken_back_leaves_no_place(self, bench: Bench) -> None:
        self.accept(bench, 1)
        bench.journal.repair([1])

        self.accept(bench, 2)

        assert self.due(bench) == [2]

    def test_one_dead_at_birth_can_hold_a_place(self, bench: Bench) -> None:
        event = an_event(1, frozen=INVOICE)
        end = a_finish(event, b"\x02")
        dead = a_dead(1, lane=3)
        bench.journal.commit(Batch(events=[event], ranks=[Rank(3, 1, b"k", 0.0)], dead=[dead], finished=[end]))

        self.accept(bench, 2)

        assert self.due(bench) == []

    def test_what_waits_for_its_key_is_among_the_oldest(self, bench: Bench) -> None:
        """It expires like any other."""
        self.accept(bench, 1)
        self.accept(bench, 2)

        assert seqs(bench.journal.oldest(3, 10, ())) == [1, 2]

    def test_a_restart_finds_the_order_as_it_was(self, bench: Bench) -> None:
        for seq, key in ((1, b"a"), (2, b"a"), (3, b"b")):
            self.accept(bench, seq, key)

        found = bench.reopen()

        assert found.backlog[3].ranked
        assert self.due(bench) == [1, 3]


GRAPH = Frozen(
    number=3,
    route="shop/order",
    generation=2,
    targets=("email", "crm", "email.compensate"),
    lanes=(1, 2, 3),
    graph=(Step(), Step(after=(0,)), Step(role=Role.COMPENSATION, after=(0,))),
)


class TestGraphs:
    @pytest.mark.parametrize("state", [State.PENDING, State.STARTED, State.UNKNOWN, State.STARTED | State.UNKNOWN])
    def test_a_delivery_whose_turn_has_come_gets_its_row_and_one_that_is_blocked_gets_none(
        self, bench: Bench, state: int
    ) -> None:
        states = bytes([state, State.BLOCKED, State.BLOCKED])
        bench.journal.commit(Batch(frozen=[GRAPH], events=[an_event(1, frozen=GRAPH)], progress=[(1, states)]))

        recovered = bench.reopen()

        assert recovered.backlog.keys() == {1}
        [pulled], _ = bench.journal.pull((1, False), math.inf, 9, ())
        assert (pulled.states, pulled.event.frozen) == (states, GRAPH)

    def test_what_was_settled_or_skipped_gets_none_either_and_what_was_freed_does(self, bench: Bench) -> None:
        states = bytes([State.settled(State.DELIVERED, 1), State.PENDING, State.NOT_NEEDED])
        bench.journal.commit(Batch(frozen=[GRAPH], events=[an_event(1, frozen=GRAPH)], progress=[(1, states)]))

        assert bench.reopen().backlog.keys() == {2}

    def test_one_that_waits_for_people_keeps_its_row_and_is_counted(self, bench: Bench) -> None:
        states = bytes([State.settled(State.DELIVERED, 1), State.DEAD, State.STUCK])
        event = an_event(1, frozen=GRAPH)
        row = a_due(1, FOREVER, lane=3)
        bench.journal.commit(Batch(frozen=[GRAPH], events=[event], due=[row], progress=[(1, states)]))

        recovered = bench.reopen()

        assert recovered.backlog == {3: Backlog(pending=1, pending_bytes=len(event.body), stuck=1)}
        assert bench.journal.pull((3, True), 1e9, 9, ()) == ([], FOREVER)


class TestStuck:
    def test_events_are_found_by_lane_oldest_first_and_without_bodies(self, bench: Bench) -> None:
        due = [a_due(3, FOREVER), a_due(1, FOREVER), a_due(2, 5.0), a_due(4, FOREVER, lane=2), a_due(4, FOREVER)]
        fresh = DueRow(1, 5, FOREVER)
        bench.journal.commit(Batch(events=[an_event(seq) for seq in range(1, 6)], due=[*due, fresh]))

        found = bench.journal.stuck([1, 2], 0, 9)

        assert [seq for seq, _ in found] == [1, 3, 4, 5]
        assert [stored.event.body for _, stored in found if stored.event] == [b""] * 4
        assert [stored.due for seq, stored in found if seq == 4] == [(a_due(4, FOREVER), a_due(4, FOREVER, lane=2))]
        assert [seq for seq, _ in bench.journal.stuck([2], 0, 9)] == [4]
        assert bench.journal.stuck([], 0, 9) == []

    def test_a_page_begins_behind_a_seq_and_ends_at_its_limit(self, bench: Bench) -> None:
        due = [a_due(seq, FOREVER, lane=lane) for seq in (1, 2, 3) for lane in (1, 2)]
        bench.journal.commit(Batch(events=[an_event(seq) for seq in (1, 2, 3)], due=due))

        assert [seq for seq, _ in bench.journal.stuck([1, 2], 1, 1)] == [2]

    def test_why_one_was_given_up_is_kept_with_it(self, bench: Bench) -> None:
        row = DueRow(1, 1, FOREVER, 0, (), "ExpressionFailed", "request: ü")
        bench.journal.commit(Batch(events=[an_event(1)], due=[row]))
        bench.reopen()

        [(_, stored)] = bench.journal.stuck([1], 0, 9)
        assert stored.due[0] == row

    def test_one_that_is_due_again_is_not_found_any_more(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)], due=[a_due(1, FOREVER)]))
        bench.journal.commit(Batch(due=[DueRow(1, 1, 7.0, 0, HISTORY)]))

        assert bench.journal.stuck([1], 0, 9) == []
        [pulled], _ = bench.journal.pull((1, False), 7.0, 9, ())
        assert pulled.due == DueRow(1, 1, 7.0, 0, HISTORY)


READ = msgspec.structs.replace(GRAPH, number=4, graph=(Step(keep=9), Step(after=(0,), keep=9), GRAPH.graph[2]))
SAID = Kept(Captured(201, (("location", "/b/7"), ("etag", "\xe4")), b"\x00\xff{", truncated=True))
GAVE_UP = Kept(reason="AttemptsExhausted")
LARGE = Kept(Captured(200, (), b"x" * 65_536))


class TestKept:
    """What later positions of an event read of earlier ones."""

    def owed(self, bench: Bench, *seqs: int) -> None:
        """Events whose second position is next, each with what its first one answered."""
        events = [an_event(seq, frozen=READ) for seq in seqs]
        states = bytes([State.settled(State.DELIVERED, 1), State.PENDING, State.BLOCKED])
        bench.journal.commit(Batch(frozen=[READ], events=events))
        bench.journal.commit(
            Batch(progress=[(seq, states) for seq in seqs], kept=[KeptRow(seq, 0, SAID) for seq in seqs])
        )

    def test_it_comes_with_the_event_also_after_a_restart(self, bench: Bench) -> None:
        self.owed(bench, 1, 2)
        bench.journal.commit(Batch(kept=[KeptRow(2, 1, GAVE_UP)]))

        bench.reopen()
        pulled, _ = bench.journal.pull((2, False), math.inf, 9, ())

        assert [dict(one.kept) for one in pulled] == [{0: SAID}, {0: SAID, 1: GAVE_UP}]
        assert [dict(one.kept) for one in bench.journal.oldest(2, 9, ())] == [{0: SAID}, {0: SAID, 1: GAVE_UP}]
        stored = bench.journal.event(2)
        assert stored is not None
        assert dict(stored.kept) == {0: SAID, 1: GAVE_UP}

    def test_it_goes_with_the_event_and_no_other(self, bench: Bench) -> None:
        self.owed(bench, 1, 2)
        states = bytes([State.DELIVERED, State.DEAD, State.NOT_NEEDED])
        finished = [Finished(1, READ.number, 1.1, states)]

        bench.journal.commit(Batch(kept=[KeptRow(1, 1, GAVE_UP)], read=[1], finished=finished))
        bench.journal.commit(Batch(frozen=[READ], events=[an_event(3, frozen=READ)]))

        bench.reopen()
        pulled, _ = bench.journal.pull((2, False), math.inf, 9, ())
        assert [(one.event.seq, dict(one.kept)) for one in pulled] == [(2, {0: SAID}), (3, {})]

    def test_a_settling_that_is_committed_again_says_it_again_and_of_an_event_that_is_gone_nothing(
        self, bench: Bench
    ) -> None:
        self.owed(bench, 1)

        bench.journal.commit(Batch(kept=[KeptRow(1, 0, SAID), KeptRow(77, 0, SAID)], read=[77]))

        stored = bench.journal.event(1)
        assert stored is not None
        assert dict(stored.kept) == {0: SAID}

    def test_of_an_event_that_is_taken_back_nothing_stays(self, bench: Bench) -> None:
        self.owed(bench, 1)

        bench.journal.repair([1])

        bench.journal.commit(Batch(events=[an_event(1, frozen=READ)]))
        stored = bench.journal.event(1)
        assert stored is not None
        assert dict(stored.kept) == {}

    def test_it_counts_towards_the_bound_and_its_room_comes_back(self, bench: Bench) -> None:
        self.owed(bench, 1)
        many = [KeptRow(1, place, LARGE) for place in range(32)]  # 2 MiB of them: settling goes on
        bench.journal.commit(Batch(kept=many))
        bench.journal.commit(Batch(kept=many))
        with pytest.raises(JournalFull):
            bench.journal.commit(Batch(events=[an_event(2)]))

        bench.journal.commit(Batch(read=[1]))
        assert fill(bench.journal, 2) > 1000

        bench.reopen()
        with pytest.raises(JournalFull):
            bench.journal.commit(Batch(events=[an_event(9_000, body=b"x" * 2_000)]))

    def test_what_goes_with_dead_letters_and_replays_counts_too(self, bench: Bench) -> None:
        known = b"k" * 700_000
        died, again = an_event(1, frozen=INVOICE), an_event(2, frozen=INVOICE)
        head = msgspec.structs.replace(again.head, replay=Replay(first=1, earlier=known))
        again = msgspec.structs.replace(again, head=head)
        letter = msgspec.structs.replace(a_dead(1, lane=3, size=10 + len(known)), earlier=known)
        bench.journal.commit(Batch(events=[died, again]))
        bench.journal.commit(Batch(dead=[letter], finished=[a_finish(died)]))
        few = fill(bench.journal, 3) - 3

        bench.journal.commit(Batch(finished=[a_finish(again)]))
        more = fill(bench.journal, 3 + few) - 3 - few
        [found] = bench.journal.dead_letters(ALL)
        bench.journal.commit(Batch(removed=[found.number]))
        yet_more = fill(bench.journal, 3 + few + more) - 3 - few - more

        assert few < 1_000
        assert min(more, yet_more) > 300

    def test_a_pull_brings_no_more_of_it_than_of_bodies(self, bench: Bench) -> None:
        """The bench pulls 1000 bytes at a time: one at least, and the next one is due at once."""
        self.owed(bench, 1, 2, 3)
        bench.journal.commit(Batch(kept=[KeptRow(seq, 1, Kept(Captured(200, (), b"x" * 1_200))) for seq in (1, 2, 3)]))
        bench.reopen()

        pulled, due = bench.journal.pull((2, False), math.inf, 9, ())

        assert seqs(pulled) == [1]
        assert due == pulled[0].due.at, "the next one is due as well"
        assert seqs(bench.journal.oldest(2, 9, ())) == [1]
        assert seqs(bench.journal.oldest(2, 9, (1, 2))) == [3]

    def test_a_dead_letter_has_what_its_target_could_read_and_a_replay_has_it_in_its_head(self, bench: Bench) -> None:
        bench.journal.commit(Batch(events=[an_event(1)]))
        bench.journal.commit(Batch(dead=[msgspec.structs.replace(a_dead(1), earlier=b"known")]))
        again = an_event(2)
        head = msgspec.structs.replace(again.head, replay=Replay(first=1, undone=True, earlier=b"known"))
        again = msgspec.structs.replace(again, head=head)
        bench.journal.commit(Batch(events=[again]))

        bench.reopen()

        [letter] = bench.journal.dead_letters(ALL)
        assert letter.row.earlier == b"known"
        stored = bench.journal.event(2)
        assert stored is not None
        assert stored.event == again
