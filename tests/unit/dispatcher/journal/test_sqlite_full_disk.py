"""A disk that is really full: events are refused, settling goes on, and a restart opens."""

import collections
import contextlib
import itertools
import os
import pathlib
import random
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


@pytest.mark.parametrize("seed", range(6))
def test_room_that_comes_back_is_used_however_often_a_stranger_comes(small_disk: pathlib.Path, seed: int) -> None:
    """The log leaves the file the room that a checkpoint needs: without that, neither would ever go on."""
    chance, seqs = random.Random(seed), itertools.count(1)
    journal, stranger = opened(small_disk), small_disk / "stranger"
    pending: list[int] = []

    def take() -> bool:
        new = list(itertools.islice(seqs, 8))
        try:
            journal.commit(Batch(events=[an_event(seq, frozen=INVOICE, body=b"x" * 20_000) for seq in new]))
        except JournalFull:
            return False
        pending.extend(new)
        return True

    def settle(most: int) -> None:
        done = [Finished(seq, INVOICE.number, 0.0, b"\x01") for seq in pending[:most]]
        journal.commit(Batch(at=1.0, finished=done))
        del pending[:most]

    refused = 0
    for _ in range(12):
        for _ in range(chance.randrange(150)):
            take()
        hog(stranger)
        with contextlib.suppress(JournalFull):  # what was kept for settling is his too, from the second time on
            for _ in range(chance.randrange(300)):
                settle(chance.randrange(12))
                refused += not take()
        stranger.unlink()
        if chance.random() < 0.5:
            kill(journal)
            journal.open()
        while pending:
            settle(8)
        assert take()

    assert refused


@pytest.mark.parametrize("piece", [8_192, 65_536])
def test_room_that_comes_back_in_pieces_is_kept_until_it_is_enough(small_disk: pathlib.Path, piece: int) -> None:
    journal, stranger = opened(small_disk), small_disk / "stranger"
    seqs, pending = itertools.count(1), collections.deque[int]()

    def take() -> None:
        seq = next(seqs)
        journal.commit(Batch(events=[large(seq)]))
        pending.append(seq)

    def settle() -> None:
        settle_one_by_one(journal, [pending[0]])
        pending.popleft()

    while len(pending) < 320 or missing(journal) < 250_000:
        take()
    hog(stranger)
    while (small_disk / "journal.db-ballast").exists():  # as it should, for the first settles
        settle()
    hog(small_disk / "too")
    (small_disk / "too").unlink()
    os.truncate(stranger, stranger.stat().st_size - 4_000_000 + free(small_disk))  # too little for the ballast
    while missing(journal) < 250_000:
        take()
    hog(small_disk / "too")
    for file in (small_disk / "too", stranger):
        while left := file.stat().st_size:
            os.truncate(file, max(0, left - piece))
            with contextlib.suppress(JournalFull):
                if pending:
                    settle()
        file.unlink()

    while pending:
        settle()
    take()


def test_a_log_that_lacks_a_page_of_the_file_gets_it_from_the_ballast(small_disk: pathlib.Path) -> None:
    """With nothing left to settle nothing else would ever take it from there."""
    journal = opened(small_disk)
    taken = 0
    while taken < 100 or missing(journal) < 250_000:
        taken += 1
        journal.commit(Batch(events=[large(taken)]))
    with (small_disk / "stranger").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(small_disk) - missing(journal) + 8_192)
    journal.commit(Batch(at=1.0, finished=[Finished(seq, INVOICE.number, 0.0, b"\x01") for seq in range(1, taken + 1)]))
    for number in range(100):
        journal.commit(Batch(plans=[("shop/a", number.to_bytes(8, "big"))]))
        if number % 10 == 0:
            journal.commit(Batch(events=[large(taken + 1 + number)]))


@pytest.mark.parametrize("backwards", [False, True])
def test_journals_on_one_disk_leave_each_other_the_room_for_settling(small_disk: pathlib.Path, backwards: bool) -> None:
    journals = [a_journal(small_disk / f"journal-{n}.db", ballast=SPARE, journals=4) for n in range(4)]
    for one in journals:
        one.open()
        one.commit(setting())
    taken = dict.fromkeys(journals, 0)
    filling = list(journals)
    while filling:
        for one in list(filling):
            try:
                one.commit(Batch(events=[large(taken[one] + 1)]))
                taken[one] += 1
            except JournalFull:
                filling.remove(one)

    for one in reversed(journals) if backwards else journals:
        settle_one_by_one(one, list(range(1, taken[one] + 1)))

    assert all(taken.values())


def test_keys_that_go_on_a_full_disk_are_counted_once(small_disk: pathlib.Path) -> None:
    """It takes more than one try: the log was cut when the journal was closed."""
    journal = opened(small_disk)
    seqs = range(1, 2_001)
    journal.commit(
        Batch(events=[an_event(seq) for seq in seqs], keys=[a_key(seq, seq.to_bytes(16, "big")) for seq in seqs])
    )
    journal.close()
    journal.open()
    hog(small_disk / "stranger")

    assert journal.forget_keys(a_key(1, b"").door, 1e6, 500) == 500


def opened(folder: pathlib.Path, **options: object) -> SqliteJournal:
    """A journal as a dispatcher has it, ballast and all."""
    journal = a_journal(folder / "journal.db", ballast=SPARE, **options)
    journal.open()
    journal.commit(setting())
    return journal


def heavy(seq: int) -> Event:
    """An event without a body whose head is as large as the data port allows."""
    event = an_event(seq, frozen=INVOICE, body=b"")
    attributes = b"ce-big: " + b"x" * LARGEST_HEAD + b"\r\n"
    return msgspec.structs.replace(event, head=msgspec.structs.replace(event.head, attributes=attributes))


def large(seq: int) -> Event:
    """An event with a body of 20 KB."""
    return an_event(seq, frozen=INVOICE, body=b"x" * 20_000)


def free(disk: pathlib.Path) -> int:
    """What is free on a disk, in bytes."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def missing(journal: SqliteJournal) -> int:
    """How many bytes the file of *journal* grows by when its log is copied into it."""
    session = journal._session
    assert session is not None
    pages: int = sum(session.sql.rows("room")[0])
    page_size: int = session.db.execute("PRAGMA page_size").get
    return pages * page_size - journal.path.stat().st_size


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
