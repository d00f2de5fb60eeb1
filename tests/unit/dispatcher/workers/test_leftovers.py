"""Journals of workers that are not asked for any more: none is forgotten, and none stays for ever."""

import pathlib

import pytest

from fanout_dispatcher import parts
from fanout_dispatcher.journal.faults import JournalRefused
from fanout_dispatcher.journal.protocol import Batch, DeadRow, Finished, KeyRow
from fanout_dispatcher.journal.sqlite.room import SHARE
from fanout_dispatcher.values.event import Event, Frozen, Head, State
from fanout_dispatcher.workers.leftovers import left_behind
from tests.support.small_disk import mounted

FROZEN = Frozen(number=1, route="shop/order", generation=1, targets=("a",), lanes=(1,))
DEAD = Finished(1, 1, 1.0, bytes([State.settled(State.DEAD, 1)]))
DELIVERED = Finished(1, 1, 1.0, bytes([State.settled(State.DELIVERED, 1)]))
HEAD = Head(id="1", source="/", type="t", identity=b"", attributes=b"")


def leave(data: pathlib.Path, worker: int, batch: Batch | None = None) -> None:
    """Make a worker's journal, with what *batch* says."""
    journal = parts.journal_of(data, worker)
    journal.open()
    if batch is not None:
        journal.commit(batch)
    journal.close()


def accepted() -> Batch:
    return Batch(
        at=1.0,
        lanes=[(1, "shop/order", "a")],
        frozen=[FROZEN],
        events=[Event(seq=1, frozen=FROZEN, accepted=1.0, head=HEAD, body=b"x")],
    )


def test_only_numbers_beyond_those_that_are_asked_for_count(tmp_path: pathlib.Path) -> None:
    for worker in (0, 1, 2, 11):
        leave(tmp_path, worker, accepted())
    (tmp_path / "journal-x.db").touch()
    (tmp_path / "journal-3.db.bak").touch()

    assert left_behind(tmp_path, 2) == {2: True, 11: True}
    assert left_behind(tmp_path, 12) == {}
    assert left_behind(tmp_path / "not there yet", 1) == {}


def test_all_of_them_share_the_disk_with_those_that_are_asked_for(tmp_path: pathlib.Path) -> None:
    """Each keeps room for settling, and all of that together is an eighth of a small disk."""
    with mounted(tmp_path / "small", 16) as data:
        for worker in (1, 2, 3):
            leave(data, worker, accepted())

        left_behind(data, 1)

        assert {file.name: file.stat().st_size for file in data.glob("*-ballast")} == {
            f"journal-{worker}.db-ballast": (16 << 20) // SHARE // 4 for worker in (1, 2, 3)
        }


def test_an_empty_one_goes_with_all_its_files_but_the_lock(tmp_path: pathlib.Path) -> None:
    leave(tmp_path, 1)

    assert left_behind(tmp_path, 1) == {}
    assert [file.name for file in tmp_path.iterdir()] == ["journal-1.db.lock"]


def test_what_we_did_not_make_stays_whatever_its_name_begins_with(tmp_path: pathlib.Path) -> None:
    leave(tmp_path, 1)
    made = ["", "-wal", "-shm", "-ballast", "-backup"]
    theirs = ["-2026-backup", "-wal.old", ".damaged", ".damaged-wal", ".lock", "_copy"]
    for end in (*made, *theirs):
        (tmp_path / f"journal-1.db{end}").touch()

    assert left_behind(tmp_path, 1) == {}
    assert sorted(file.name for file in tmp_path.iterdir()) == sorted(f"journal-1.db{end}" for end in theirs)


@pytest.mark.parametrize("finished", [False, True])
def test_one_that_owes_something_or_has_a_history_stays_and_only_the_first_may_send(
    tmp_path: pathlib.Path, *, finished: bool
) -> None:
    leave(tmp_path, 1, accepted())
    if finished:
        leave(tmp_path, 1, Batch(at=2.0, finished=[DELIVERED], undue=[(1, 1)]))

    assert left_behind(tmp_path, 1) == {1: not finished}
    assert left_behind(tmp_path, 1) == {1: not finished}, "looking changes nothing"


def test_one_with_a_dead_letter_may_send_it_again(tmp_path: pathlib.Path) -> None:
    leave(tmp_path, 1, accepted())
    dead = DeadRow(1, 1, 2.0, "Expired", "", 1, (), 1)
    leave(tmp_path, 1, Batch(at=2.0, finished=[DEAD], dead=[dead], undue=[(1, 1)]))

    assert left_behind(tmp_path, 1) == {1: True}


def test_one_with_a_key_is_sent_what_comes_to_its_route(tmp_path: pathlib.Path) -> None:
    batch = accepted()
    batch.keys = [KeyRow(1, 7, b"k" * 16, b"f" * 16, 1.0)]
    leave(tmp_path, 1, batch)
    leave(tmp_path, 1, Batch(at=2.0, finished=[DELIVERED], undue=[(1, 1)]))

    assert left_behind(tmp_path, 1) == {1: True}


def test_one_that_is_in_use_is_a_reason_not_to_start(tmp_path: pathlib.Path) -> None:
    journal = parts.journal_of(tmp_path, 1)
    journal.open()

    with pytest.raises(JournalRefused, match="is in use by process"):
        left_behind(tmp_path, 1)
    journal.close()
