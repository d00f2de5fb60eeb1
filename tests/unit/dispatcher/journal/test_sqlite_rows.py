"""What stays in the embedded journal's tables, and how much of it."""

import pathlib
from collections.abc import Iterator

import pytest

from fanout_dispatcher.journal.protocol import Batch, Replayed
from fanout_dispatcher.journal.sqlite import SqliteJournal
from tests.support.journals import a_dead, a_due, a_finish, a_journal, an_event, setting


@pytest.fixture
def journal(tmp_path: pathlib.Path) -> Iterator[SqliteJournal]:
    journal = a_journal(tmp_path / "journal.db")
    journal.open()
    journal.commit(setting())
    yield journal
    journal.close()


def rows(journal: SqliteJournal, table: str) -> int:
    assert journal._session is not None
    count: int = journal._session.db.execute(f"SELECT count(*) FROM {table}").get
    return count


def test_what_is_settled_leaves_a_line_of_history_and_nothing_else(journal: SqliteJournal) -> None:
    events = [an_event(seq) for seq in range(1, 65)]
    journal.commit(Batch(events=events, due=[a_due(event.seq) for event in events]))
    journal.commit(Batch(progress=[(event.seq, b"\x00\x01") for event in events]))
    journal.commit(Batch(undue=[(1, event.seq) for event in events], finished=[a_finish(event) for event in events]))

    assert {table: rows(journal, table) for table in ("event", "progress", "due", "done")} == {
        "event": 0,
        "progress": 0,
        "due": 0,
        "done": 1,
    }


def test_a_replayed_dead_letter_keeps_no_body_of_its_own(journal: SqliteJournal) -> None:
    journal.commit(Batch(events=[an_event(1)], dead=[a_dead(1)]))
    journal.commit(Batch(events=[an_event(2)], replayed=[Replayed(1, 2)]))

    assert rows(journal, "dead WHERE body IS NULL") == 1


def test_the_counters_of_a_lane_are_those_of_its_rows(journal: SqliteJournal) -> None:
    events = [an_event(seq) for seq in range(1, 8)]
    journal.commit(Batch(events=events, dead=[a_dead(seq, float(seq), size=seq) for seq in range(1, 8)]))
    journal.commit(Batch(events=[an_event(8), an_event(9)], replayed=[Replayed(1, 8), Replayed(2, 9)], removed=[7]))
    journal.repair([9])
    journal.prune(1, 4.0, None, 100)

    assert rows(journal, "lane WHERE number = 1 AND dead = 3 AND dead_bytes = 4 + 5 + 6") == 1
    assert rows(journal, "dead WHERE replayed IS NULL") == 3


def test_the_clock_is_noted_now_and_then_and_not_with_every_commit(journal: SqliteJournal) -> None:
    def noted() -> float:
        assert journal._session is not None
        now: float = journal._session.db.execute("SELECT value FROM meta WHERE name = 'now'").get
        return now

    seen = []
    for at in (1.0, 9.0, 10.0, 15.0, 21.0):
        journal.commit(Batch(at=at))
        seen.append(noted())

    assert seen == [0.0, 0.0, 10.0, 10.0, 21.0]


def test_a_long_log_is_copied_into_the_file_between_commits(tmp_path: pathlib.Path) -> None:
    journal = a_journal(tmp_path / "short.db", log_pages=20)
    journal.open()
    journal.commit(setting())
    for seq in range(1, 200):
        journal.commit(Batch(events=[an_event(seq, body=b"x" * 4000)]))
    log = (tmp_path / "short.db-wal").stat().st_size
    journal.close()

    assert log < 40 * (8192 + 24)


def test_the_log_grows_longer_where_it_holds_the_same_pages_again(tmp_path: pathlib.Path) -> None:
    """A checkpoint copies each page once: many that are new take long, and a commit waits for it."""
    journal = a_journal(tmp_path / "long.db", log_pages=200)
    journal.open()
    journal.commit(setting())
    longest = {"settled": 0, "kept": 0}
    for seq in range(1, 800):
        event = an_event(seq, body=b"x" * 20_000)
        journal.commit(Batch(events=[event]))
        if seq < 400:
            journal.commit(Batch(finished=[a_finish(event)]))
        assert journal._session is not None
        if seq % 400 > 200:  # once it is known how it goes on
            kind = "settled" if seq < 400 else "kept"
            longest[kind] = max(longest[kind], journal._session.log_pages)
    journal.close()

    assert 130 < longest["settled"] < 200
    assert 80 < longest["kept"] < 130


def test_the_space_of_a_drained_backlog_is_used_again(tmp_path: pathlib.Path) -> None:
    """The file keeps its size, and grows no further than the largest backlog."""
    path = tmp_path / "reused.db"
    journal = a_journal(path, log_pages=200)
    journal.open()
    journal.commit(setting())
    sizes = []
    for round_ in range(3):
        events = [an_event(seq, body=b"x" * 1000) for seq in range(round_ * 2000 + 1, round_ * 2000 + 2001)]
        journal.commit(Batch(at=round_, events=events, due=[a_due(event.seq) for event in events]))
        undue = [(1, event.seq) for event in events]
        journal.commit(Batch(at=round_, undue=undue, finished=[a_finish(event) for event in events]))
        sizes.append(path.stat().st_size)
    journal.close()

    assert sizes[0] > 2_000_000
    assert sizes[2] < 1.1 * sizes[0]
