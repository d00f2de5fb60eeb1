"""A journal that an older version left behind, with a backlog in it: everything is found, as it was."""

import contextlib
import itertools
import pathlib
from collections.abc import Iterator

import apsw
import msgspec
import pytest

from fanout_dispatcher.journal.faults import JournalRefused
from fanout_dispatcher.journal.protocol import Backlog, Batch, DueRow
from fanout_dispatcher.journal.sqlite import SqliteJournal, opening
from fanout_dispatcher.values.views import DeadLetterFilter
from tests.support.journals import HISTORY, INVOICE, KEY, LANES, ORDER, a_dead, a_due, a_journal, a_key, an_event, kill
from tests.support.sick_disk import NAME, SickDisk

CALLS = {"write": 30, "sync": 3}  # of a migration, at least
FORMAT_1 = pathlib.Path(__file__).with_name("format_1.sql")


def left_behind(path: pathlib.Path) -> pathlib.Path:
    """A file of format 1."""
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = wal")
    db.execute(FORMAT_1.read_text(encoding="utf-8"))
    db.close()
    return path


@pytest.fixture
def old(tmp_path: pathlib.Path) -> Iterator[SqliteJournal]:
    """A journal over such a file; not open yet."""
    journal = a_journal(left_behind(tmp_path / "journal.db"))
    yield journal
    journal.close()


def test_everything_owed_is_found(old: SqliteJournal) -> None:
    found = old.open()

    sizes = [len(f"body {seq}") for seq in range(1, 8)]
    assert (found.key, found.last_seq, found.pending, found.now) == (KEY, 8, 12, 20.0)
    assert found.plans == {"shop/order": b"plan"}
    assert found.frozen == {1: ORDER, 2: INVOICE}
    assert found.backlog == {
        1: Backlog(pending=6, pending_bytes=sum(sizes) - sizes[4], dead=1, dead_bytes=10),
        2: Backlog(pending=6, pending_bytes=sum(sizes) - sizes[1]),
    }


def test_due_rows_are_of_the_kind_that_they_were_all_along(old: SqliteJournal) -> None:
    old.open()

    fresh, _ = old.pull((1, False), 1e9, 100, ())
    tried, _ = old.pull((1, True), 1e9, 100, ())
    other, _ = old.pull((2, True), 1e9, 100, ())

    spilled, probe = DueRow(1, 1, 2.5), DueRow(1, 4, 4.0, 0, HISTORY[:1])
    assert [row.due for row in fresh] == [spilled, probe, *(DueRow(1, seq, 20.0) for seq in (3, 6, 7))]
    assert [row.due for row in tried] == [a_due(2, 3.25)]
    assert [row.due for row in other] == [DueRow(2, 3, 30.0, 1, HISTORY[:1])]
    event = an_event(1, body=b"body 1")
    head = msgspec.structs.replace(event.head, path=(), query=())  # nobody kept them then
    assert fresh[0].event == msgspec.structs.replace(event, head=head)
    assert tried[0].states == b"\x00\x05"


def test_dead_letters_and_history_are_still_there(old: SqliteJournal) -> None:
    old.open()

    [letter] = old.dead_letters(DeadLetterFilter())
    finished = old.event(8)

    assert letter.row == a_dead(5)
    assert finished is not None
    assert (finished.event, finished.states) == (None, b"\x01\x01")


@pytest.mark.parametrize("call", ["write", "sync"])
def test_the_power_may_fail_at_every_call_of_a_migration(tmp_path: pathlib.Path, call: str) -> None:
    disk = SickDisk()
    try:
        for calls in itertools.count():
            path, before = left_behind(tmp_path / f"journal-{calls}.db"), len(disk.fired)
            interrupted = a_journal(path, vfs=NAME)
            disk.fail(call, "", apsw.IOError, after=calls)
            with contextlib.suppress(JournalRefused):
                interrupted.open()
            kill(interrupted)
            disk.cut()
            disk.heal()
            if len(disk.fired) == before:
                break  # there are no more

            after = a_journal(path)
            found = after.open()
            after.close()
            assert (found.key, found.last_seq, found.pending, found.plans) == (KEY, 8, 12, {"shop/order": b"plan"})
            assert tables(path) == tables(tmp_path / "new.db")
    finally:
        disk.unregister()

    assert calls >= CALLS[call]


def test_it_has_the_same_tables_as_a_new_one(old: SqliteJournal, tmp_path: pathlib.Path) -> None:
    """Or the next migration would have two pasts to deal with."""
    old.open()
    old.commit(Batch(due=[DueRow(1, 1, 9.0, 1)]))
    old.close()

    assert tables(tmp_path / "journal.db") == tables(tmp_path / "new.db")


def tables(path: pathlib.Path) -> dict[str, object]:
    """What the tables, indexes and triggers of a journal are made of, comments and spaces aside."""
    if not path.exists():
        new = a_journal(path)
        new.open()
        new.close()
    db = apsw.Connection(str(path))
    names = [str(name) for (name,) in db.execute("SELECT name FROM sqlite_schema WHERE type IN ('table', 'index')")]
    made: dict[str, object] = {name: db.execute(f"PRAGMA table_xinfo({name})").fetchall() for name in names}
    made |= {f"{name}, as an index": db.execute(f"PRAGMA index_xinfo({name})").fetchall() for name in names}
    triggers = db.execute("SELECT name, sql FROM sqlite_schema WHERE type = 'trigger'").fetchall()
    made |= {str(name): " ".join(str(sql).split()) for name, sql in triggers}
    made["version"] = opening.pragma(db, "user_version")
    db.close()
    return made


def test_a_journal_of_format_2_gets_the_tables_that_it_has_not(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "journal.db"
    before = a_journal(path)
    before.open()
    before.commit(Batch(lanes=list(LANES), frozen=[ORDER], events=[an_event(1)]))
    before.close()
    db = apsw.Connection(str(path))
    for trigger in ("dead_lets_go", "dead_gives_its_place", "dead_takes_it_back"):
        db.execute(f"DROP TRIGGER {trigger}")
    db.execute("DROP TABLE idem; DROP TABLE fetched; DROP TABLE rank; DROP TABLE kept; PRAGMA user_version = 2")
    db.close()

    after = a_journal(path)
    found = after.open()
    after.commit(Batch(events=[an_event(2)], keys=[a_key(2, b"k")]))

    assert (found.pending, found.keys) == (2, {})
    assert after.keys([b"k"]) == [a_key(2, b"k")]
    after.close()
