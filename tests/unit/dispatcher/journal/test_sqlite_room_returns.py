"""Room that comes back on a full disk, whole or in pieces, is used: by the file first, or nothing could ever go on."""

import collections
import contextlib
import errno
import itertools
import os
import pathlib
import random
from collections.abc import Iterator

import apsw
import pytest

from fanout_dispatcher.journal.faults import JournalFull
from fanout_dispatcher.journal.protocol import Batch, Finished
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.journal.sqlite.ballast import Ballast
from fanout_dispatcher.journal.sqlite.room import SHARE, SPARE
from fanout_dispatcher.journal.sqlite.session import Session
from fanout_dispatcher.values.event import Event
from tests.support.journals import INVOICE, a_journal, an_event, kill, setting
from tests.support.sick_disk import NAME, SickDisk
from tests.support.small_disk import hog, mounted
from tests.unit.dispatcher.journal.test_sqlite_full_disk import opened, reopened, settle_one_by_one

DISK = 16  # MiB


@pytest.fixture
def small_disk(tmp_path: pathlib.Path) -> Iterator[pathlib.Path]:
    with mounted(tmp_path / "small", DISK) as folder:
        yield folder


@pytest.fixture
def quota() -> Iterator[SickDisk]:
    """What a quota does: no write finds room, whatever the disk tells."""
    disk = SickDisk()
    yield disk
    disk.unregister()


@pytest.mark.parametrize("seed", [0, 3, 5])  # these were stuck for good when a checkpoint was tried again too late
def test_room_that_comes_back_is_used_however_often_a_stranger_comes(small_disk: pathlib.Path, seed: int) -> None:
    chance, seqs = random.Random(seed), itertools.count(1)
    journal, stranger = opened(small_disk), small_disk / "stranger"
    pending: list[int] = []

    def take() -> bool:
        new = list(itertools.islice(seqs, 8))
        try:
            journal.commit(Batch(events=[large(seq) for seq in new]))
        except JournalFull:
            return False
        pending.extend(new)
        return True

    def settle(most: int) -> None:
        journal.commit(Batch(at=1.0, finished=[done(seq) for seq in pending[:most]]))
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

    def take() -> int:
        seq = next(seqs)
        journal.commit(Batch(events=[large(seq)]))
        pending.append(seq)
        return seq

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
    assert reopened(journal) == []
    last = take()
    assert reopened(journal) == [last]


def test_a_log_that_lacks_a_page_of_the_file_gets_it_from_the_ballast(small_disk: pathlib.Path) -> None:
    """With nothing left to settle nothing else would ever take it from there."""
    journal, taken = cramped_for_a_page(small_disk)
    ballast = (small_disk / "journal.db-ballast").stat().st_size
    journal.commit(Batch(at=1.0, finished=[done(seq) for seq in range(1, taken + 1)]))
    session, before = session_of(journal), 0
    while session.log_pages >= before and not session._cramped:  # until the log is to be copied
        before = session.log_pages
        journal.commit(Batch(plans=[("shop/a", before.to_bytes(2, "big"))]))

    journal.commit(Batch(events=[large(taken + 1)]))

    assert reopened(journal) == [taken + 1]
    assert ballast > 0
    assert not (small_disk / "journal.db-ballast").exists()


def test_while_the_file_has_no_room_for_its_log_no_event_takes_what_the_log_has_left(small_disk: pathlib.Path) -> None:
    journal, taken = cramped_for_a_page(small_disk, ballast=0)
    journal.commit(Batch(at=1.0, finished=[done(seq) for seq in range(1, taken + 1)]))
    with contextlib.suppress(JournalFull):
        for number in range(100):
            journal.commit(Batch(plans=[("shop/a", number.to_bytes(8, "big"))]))
    before = session_of(journal).log_pages

    with pytest.raises(JournalFull, match="but for what is kept for settling"):
        journal.commit(Batch(events=[an_event(taken + 1, frozen=INVOICE, body=b"")]))

    assert session_of(journal).log_pages == before
    assert "but for what is kept for settling" in str(journal.full())
    assert not (small_disk / "journal.db-ballast").exists()


def test_a_disk_that_has_less_than_it_says_has_the_ballast_too(small_disk: pathlib.Path, quota: SickDisk) -> None:
    journal = opened(small_disk, vfs=NAME)
    journal.commit(Batch(events=[large(seq) for seq in range(1, 31)]))
    ballast = small_disk / "journal.db-ballast"
    for file in ("journal.db", "-wal"):
        quota.fail("write", file, apsw.FullError)
    for seq in range(1, 31):
        try:
            settle_one_by_one(journal, [seq])
        except JournalFull:
            if not ballast.exists():
                quota.heal()

    settle_one_by_one(journal, list(range(1, 31)))

    assert quota.fired
    assert not ballast.exists()
    assert reopened(journal) == []


def test_on_such_a_disk_a_log_that_was_not_copied_is_copied_as_soon_as_there_is_room(
    small_disk: pathlib.Path, quota: SickDisk
) -> None:
    journal = opened(small_disk, vfs=NAME)
    quota.fail("write", "journal.db", apsw.FullError)
    seqs = itertools.count(1)
    while not quota.fired:
        journal.commit(Batch(events=[large(next(seqs))]))
    quota.heal()
    before = session_of(journal).log_pages

    journal.commit(Batch(plans=[("shop/a", b"")]))

    assert session_of(journal).log_pages < before


@pytest.mark.parametrize("backwards", [False, True])
def test_journals_on_one_disk_leave_each_other_the_room_for_settling(
    small_disk: pathlib.Path,
    backwards: bool,
) -> None:
    journals = [a_journal(small_disk / f"journal-{n}.db", ballast=SPARE, journals=4) for n in range(4)]
    for one in journals:
        one.open()
        one.commit(setting())
    ballasts = sum(file.stat().st_size for file in small_disk.glob("*-ballast"))
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

    assert ballasts == DISK * 2**20 // SHARE, "all together"
    assert all(taken.values())
    assert [reopened(one) for one in journals] == [[]] * 4


def test_the_ballast_of_a_life_with_fewer_journals_is_cut_to_its_share(small_disk: pathlib.Path) -> None:
    journal = opened(small_disk)
    journal.close()
    alone = (small_disk / "journal.db-ballast").stat().st_size

    opened(small_disk, journals=4)

    assert (small_disk / "journal.db-ballast").stat().st_size == alone // 4


def test_of_room_that_is_gathered_in_part_only_that_part_is_counted(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ext4 does when somebody else takes the rest meanwhile."""
    ballast, whole = Ballast(tmp_path / "journal.db", SPARE), os.posix_fallocate

    def half(file: int, offset: int, length: int) -> None:
        whole(file, offset, length // 2)
        raise OSError(errno.ENOSPC, "no space")

    ballast.add(8_192)
    monkeypatch.setattr(os, "posix_fallocate", half)
    ballast.add(16_384)

    assert ballast.held == ballast.path.stat().st_size == 16_384


def cramped_for_a_page(folder: pathlib.Path, **options: object) -> tuple[SqliteJournal, int]:
    """A journal whose file has grown by more than the disk has left, and how many events that took."""
    journal = opened(folder, **options)
    taken = 0
    while taken < 100 or missing(journal) < 250_000:
        taken += 1
        journal.commit(Batch(events=[large(taken)]))
    with (folder / "stranger").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, free(folder) - missing(journal) + 8_192)
    return journal, taken


def large(seq: int) -> Event:
    """An event with a body of 20 KB."""
    return an_event(seq, frozen=INVOICE, body=b"x" * 20_000)


def done(seq: int) -> Finished:
    return Finished(seq, INVOICE.number, 0.0, b"\x01")


def free(disk: pathlib.Path) -> int:
    """What is free on a disk, in bytes."""
    found = os.statvfs(disk)
    return found.f_bavail * found.f_frsize


def session_of(journal: SqliteJournal) -> Session:
    assert journal._session is not None
    return journal._session


def missing(journal: SqliteJournal) -> int:
    """How many bytes the file of *journal* grows by when its log is copied into it."""
    session = session_of(journal)
    return session._room.missing(session.sql)
