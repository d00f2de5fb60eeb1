"""A backup made beside commits is a journal by itself, and has all that was committed before it was whole."""

import os
import pathlib
from collections.abc import Iterator

import apsw
import pytest

from fanout_dispatcher.journal.faults import JournalFault, JournalFull
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.journal.sqlite import SqliteJournal, opening, room
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.support.journals import KEY, a_dead, a_due, a_journal, an_event, setting


@pytest.fixture
def journal(tmp_path: pathlib.Path) -> Iterator[SqliteJournal]:
    made = a_journal(tmp_path / "data" / "journal.db")
    made.open()
    made.commit(setting())
    for seq in range(1, 40):
        made.commit(Batch(events=[an_event(seq, body=b"x" * 9000)]))
    yield made
    made.close()


def restored(copy: str, folder: pathlib.Path) -> SqliteJournal:
    """A journal over a copy, as whoever restores it puts it."""
    folder.mkdir()
    pathlib.Path(copy).rename(folder / "journal.db")
    return a_journal(folder / "journal.db")


def whole(journal: SqliteJournal) -> str:
    """Go on until the copy is whole."""
    while (made := journal.backup(8)) is None:
        pass
    return made


def test_what_is_committed_while_it_is_made_is_in_it_too(journal: SqliteJournal, tmp_path: pathlib.Path) -> None:
    steps, seq, made = 0, 100, None
    while made is None:
        made, steps, seq = journal.backup(8), steps + 1, seq + 1
        if made is None:
            journal.commit(Batch(events=[an_event(seq, body=b"y" * 9000)], due=[a_due(1, 5.0)], dead=[a_dead(2)]))
    after = restored(made, tmp_path / "restored")
    found = after.open()

    assert steps > 3
    assert (found.key, found.last_seq) == (KEY, seq - 1)
    assert {stored for stored, _ in after.events(None, None, 1000)} == {*range(1, 40), *range(101, seq)}
    assert [row.row.seq for row in after.dead_letters(DeadLetterFilter())][:1] == [2]
    after.close()


def test_the_journal_goes_on_and_so_does_its_copy_each_by_itself(
    journal: SqliteJournal, tmp_path: pathlib.Path
) -> None:
    after = restored(whole(journal), tmp_path / "restored")
    journal.commit(Batch(events=[an_event(200)]))
    after.open()
    after.commit(Batch(events=[an_event(300)]))

    assert (journal.event(300), after.event(200)) == (None, None)
    after.close()


def test_a_copy_is_for_its_owner_alone_and_passes_every_check(journal: SqliteJournal) -> None:
    made = pathlib.Path(whole(journal))
    alone = [file.name for file in made.parent.glob("*-backup*")]
    db = apsw.Connection(str(made), flags=apsw.SQLITE_OPEN_READONLY)

    assert made.stat().st_mode & 0o777 == 0o600
    assert opening.pragma(db, "integrity_check") == "ok"
    assert alone == [made.name]
    db.close()


def test_the_next_backup_replaces_one_that_nobody_fetched(journal: SqliteJournal, tmp_path: pathlib.Path) -> None:
    first = whole(journal)
    journal.commit(Batch(events=[an_event(200)]))
    second = whole(journal)
    after = restored(second, tmp_path / "restored")

    assert first == second
    assert after.open().last_seq == 200
    after.close()


def test_a_disk_without_room_for_it_is_told_before_anything_is_written(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(room, "reserve", lambda _path, **_: 1 << 60)

    with pytest.raises(JournalFull, match=r"a backup beside journal .* takes \d+ bytes, and the disk has \d+ left"):
        journal.backup(8)
    assert list(journal.path.parent.glob("*-backup")) == []


def test_a_folder_that_cannot_be_written_is_told_in_words(
    journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> int:
        raise OSError(13, "Permission denied")

    monkeypatch.setattr(os, "open", refuse)

    with pytest.raises(JournalFault, match=r"-backup cannot be written: Permission"):
        journal.backup(8)
    monkeypatch.undo()


def test_a_journal_that_has_to_be_repaired_leaves_nothing_of_a_backup(journal: SqliteJournal) -> None:
    assert journal.backup(1) is None
    journal.repair([])

    assert list(journal.path.parent.glob("*-backup")) == []
    assert whole(journal)


def test_a_start_removes_what_a_killed_process_left_of_one(journal: SqliteJournal) -> None:
    whole(journal)
    journal.close()
    journal.open()

    assert list(journal.path.parent.glob("*-backup")) == []


def test_a_closed_journal_leaves_nothing_of_a_backup(journal: SqliteJournal) -> None:
    assert journal.backup(1) is None
    journal.close()

    assert list(journal.path.parent.glob("*-backup")) == []
    with pytest.raises(JournalFault, match="is not open"):
        journal.backup(1)
