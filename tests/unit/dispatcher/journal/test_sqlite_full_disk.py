"""A disk that is really full: events are refused, settling goes on, and a restart opens."""

import os
import pathlib
from collections.abc import Callable, Iterator

import msgspec
import pytest

from fanout_dispatcher.journal.faults import JournalFull
from fanout_dispatcher.journal.protocol import Batch, DueRow, Finished, KeptRow
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.journal.sqlite.room import SPARE
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import Event
from tests.support.journals import INVOICE, a_dead, a_finish, a_journal, a_key, an_event, kill, setting
from tests.support.small_disk import hog, mounted

LARGEST_HEAD = 30_000  # bytes


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    """A file system of 16 MiB, really full when it is full."""
    with mounted(tmp_path / "small", 16) as folder:
        yield folder


def test_a_small_disk_filled_by_events_keeps_room_for_settling(small_disk: pathlib.Path) -> None:
    journal = a_journal(small_disk / "journal.db")
    journal.open()
    journal.commit(setting())
    accepted = fill(journal)

    for seq in accepted:
        journal.commit(Batch(at=1.0, finished=[a_finish(an_event(seq))]))
    journal.commit(Batch(events=[an_event(100_000, body=b"x" * 10_000)]))

    assert len(accepted) > 500
    assert reopened(journal)[0] == 100_000
    journal.close()


def test_a_disk_filled_by_a_stranger_is_survived_without_a_restart(small_disk: pathlib.Path) -> None:
    journal = a_journal(small_disk / "journal.db")
    journal.open()
    journal.commit(setting())
    journal.commit(Batch(events=[an_event(1)]))
    stranger = small_disk / "stranger"
    hog(stranger)
    with pytest.raises(JournalFull):
        journal.commit(Batch(events=[an_event(2)]))
    full = write_until_full(journal)
    stranger.unlink()
    journal.commit(Batch(events=[an_event(3)]))

    assert full
    assert reopened(journal) == [3, 1]
    journal.close()


def test_a_disk_that_is_full_and_freed_says_so(small_disk: pathlib.Path) -> None:
    journal, stranger = opened(small_disk), small_disk / "stranger"
    before = journal.full()
    hog(stranger)
    during = journal.full()
    stranger.unlink()

    assert (before, journal.full()) == (None, None)
    assert during is not None
    assert "is full but for what is kept for settling" in during


def test_a_journal_whose_files_are_gone_has_no_room(tmp_path: pathlib.Path) -> None:
    """It is asked for after a commit, which has worked: what else is wrong the next one says."""
    journal = opened(tmp_path)
    (tmp_path / "journal.db").unlink()

    assert "No such file" in str(journal.full())


def test_large_heads_are_counted_and_leave_room_for_settling_too(small_disk: pathlib.Path) -> None:
    journal = opened(small_disk)
    accepted = fill(journal, heavy)
    free = os.statvfs(small_disk).f_bavail

    settle_one_by_one(journal, accepted)

    assert len(accepted) > 100
    assert free > 0
    assert reopened(journal) == []


@pytest.mark.parametrize("size", [10, 700, 2_100, 4_100, 9_000])
def test_events_of_any_size_leave_room_for_settling(small_disk: pathlib.Path, size: int) -> None:
    journal = opened(small_disk)
    accepted = fill(journal, lambda seq: an_event(seq, frozen=INVOICE, body=b"x" * size), at_once=50)

    settle_one_by_one(journal, accepted[-1_000:])

    assert sorted(reopened(journal)) == accepted[:-1_000]


def test_every_pending_event_may_die_on_a_disk_that_events_have_filled(small_disk: pathlib.Path) -> None:
    journal = opened(small_disk)
    accepted = fill(journal, heavy)

    for seq in accepted:
        event = heavy(seq)
        journal.commit(Batch(at=1.0, dead=[a_dead(seq, lane=3)], finished=[a_finish(event)]))

    assert reopened(journal) == []


def test_what_is_kept_for_expressions_is_seen_before_it_has_used_up_the_room_for_settling(
    small_disk: pathlib.Path,
) -> None:
    """Small events whose steps answer at length: they stop coming in while there is room to settle them."""
    journal = opened(small_disk)
    said = Kept(Captured(200, (), b"x" * 65_536))

    def step(seq: int) -> Event:
        journal.commit(Batch(kept=[KeptRow(seq - 1, 0, said)]))
        return an_event(seq, frozen=INVOICE)

    accepted = fill(journal, step)
    free = os.statvfs(small_disk).f_bavail

    settle_one_by_one(journal, accepted)

    assert len(accepted) > 50
    assert free > 0
    assert reopened(journal) == []


def test_a_disk_that_a_stranger_fills_to_the_brim_keeps_nobody_from_settling(small_disk: pathlib.Path) -> None:
    journal = opened(small_disk)
    journal.commit(Batch(events=[heavy(seq) for seq in range(1, 101)]))
    hog(small_disk / "stranger")

    settle_one_by_one(journal, list(range(1, 101)))
    with pytest.raises(JournalFull):
        journal.commit(Batch(events=[an_event(101, body=b"x" * 10_000_000)]))

    assert reopened(journal) == []


def test_the_space_kept_for_that_is_kept_again_when_there_is_room(small_disk: pathlib.Path) -> None:
    journal = opened(small_disk, log_pages=50)
    journal.commit(Batch(events=[heavy(seq) for seq in range(1, 101)]))
    ballast = small_disk / "journal.db-ballast"
    before = ballast.stat().st_size
    hog(small_disk / "stranger")
    write_until_full(journal)
    during = ballast.stat().st_size if ballast.exists() else 0
    (small_disk / "stranger").unlink()
    for seq in range(200, 300):
        journal.commit(Batch(events=[an_event(seq)]))

    assert during < before == ballast.stat().st_size


def test_a_restart_on_a_full_disk_opens_settles_and_refuses_new_events(small_disk: pathlib.Path) -> None:
    journal = opened(small_disk)
    journal.commit(Batch(events=[heavy(seq) for seq in range(1, 51)]))
    journal.close()
    hog(small_disk / "stranger")

    recovered = journal.open()
    with pytest.raises(JournalFull):
        journal.commit(Batch(events=[an_event(101, body=b"x" * 10_000_000)]))
    settle_one_by_one(journal, list(range(1, 51)))

    assert (recovered.pending, reopened(journal)) == (50, [])


def test_a_journal_that_was_cut_off_on_a_full_disk_opens_there(small_disk: pathlib.Path) -> None:
    journal = opened(small_disk)
    journal.commit(Batch(events=[heavy(seq) for seq in range(1, 51)]))
    hog(small_disk / "stranger")

    assert len(reopened(journal)) == 50


def test_an_event_that_is_refused_has_nothing_copied(tmp_path: pathlib.Path) -> None:
    """It would free nothing: what is in the log is counted as if it were in the file already."""
    journal = opened(tmp_path, max_bytes=4 << 20)
    before = journal.path.stat().st_size

    accepted = fill(journal, at_once=20)

    assert len(accepted) > 200
    assert journal.path.stat().st_size == before, "all of it is in the log"


def test_keys_that_go_on_a_full_disk_are_counted_once(small_disk: pathlib.Path) -> None:
    """It takes more than one try: the log was cut when the journal was closed."""
    journal = opened(small_disk)
    seqs = range(1, 2_001)
    keys = [a_key(seq, seq.to_bytes(16, "big")) for seq in seqs]
    journal.commit(Batch(events=[an_event(seq) for seq in seqs], keys=keys))
    journal.close()
    journal.open()
    hog(small_disk / "stranger")

    assert journal.forget_keys(keys[0].door, 1e6, 500) == 500


def opened(folder: pathlib.Path, **options: object) -> SqliteJournal:
    """A journal as a dispatcher has it, ballast and all."""
    journal = a_journal(folder / "journal.db", **{"ballast": SPARE} | options)
    journal.open()
    journal.commit(setting())
    return journal


def heavy(seq: int) -> Event:
    """An event without a body whose head is as large as the data port allows."""
    event = an_event(seq, frozen=INVOICE, body=b"")
    attributes = b"ce-big: " + b"x" * LARGEST_HEAD + b"\r\n"
    return msgspec.structs.replace(event, head=msgspec.structs.replace(event.head, attributes=attributes))


def settle_one_by_one(journal: SqliteJournal, seqs: list[int]) -> None:
    for seq in seqs:
        journal.commit(Batch(at=1.0, undue=[(3, seq)], finished=[Finished(seq, INVOICE.number, 0.0, b"\x01")]))


def fill(
    journal: SqliteJournal,
    make: Callable[[int], Event] = lambda seq: an_event(seq, body=b"x" * 10_000),
    *,
    at_once: int = 1,
) -> list[int]:
    """Events until no more are taken, *at_once* a commit."""
    accepted: list[int] = []
    while True:
        seqs = range(len(accepted) + 1, len(accepted) + 1 + at_once)
        try:
            journal.commit(Batch(events=[make(seq) for seq in seqs], due=[DueRow(3, seq, 0.0) for seq in seqs]))
        except JournalFull:
            return accepted
        accepted += seqs


def write_until_full(journal: SqliteJournal) -> bool:
    """Plans grow the log until the disk itself says no."""
    for number in range(10_000):
        try:
            journal.commit(Batch(plans=[(f"shop/{number}", b"x" * 50_000)]))
        except JournalFull as full:
            return "no space" in str(full)
    return False


def reopened(journal: SqliteJournal) -> list[int]:
    """The unfinished events that are there after a restart without any goodbye, newest first."""
    kill(journal)
    journal.open()
    return [seq for seq, one in journal.events(None, None, 100_000) if one.event is not None]
