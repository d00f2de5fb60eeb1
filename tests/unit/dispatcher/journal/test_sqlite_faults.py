"""What a failing disk may do to the embedded journal, and what it may never do."""

import collections
import functools
import pathlib
import random
from collections.abc import Callable, Iterator

import apsw
import pytest

from fanout_dispatcher.journal.faults import JournalAmbiguous, JournalFault, JournalFull
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.journal.sqlite.insisting import FLAGS
from tests.support.journals import INVOICE, a_finish, a_journal, an_event, kill, setting
from tests.support.sick_disk import NAME, PAGE, SickDisk


@pytest.fixture
def disk() -> Iterator[SickDisk]:
    disk = SickDisk()
    yield disk
    disk.unregister()


@pytest.fixture
def journal(tmp_path: pathlib.Path, disk: SickDisk) -> Iterator[SqliteJournal]:
    journal = a_journal(tmp_path / "journal.db", vfs=NAME, log_pages=50)
    journal.open()
    journal.commit(setting())
    yield journal
    disk.heal()
    journal.close()


@pytest.mark.parametrize("after", range(8))
def test_a_full_disk_refuses_the_whole_batch_wherever_it_strikes(
    journal: SqliteJournal, disk: SickDisk, after: int
) -> None:
    journal.commit(Batch(events=[an_event(1, frozen=INVOICE)]))
    disk.fail("write", "-wal", apsw.FullError, after=after)
    batch = Batch(events=[an_event(seq, body=b"x" * 3000) for seq in range(2, 9)])
    with pytest.raises(JournalFull, match="nothing was written"):
        journal.commit(batch)
    disk.heal()
    journal.commit(Batch(events=[an_event(20, frozen=INVOICE)]))

    recovered = reopened(journal)

    assert disk.fired
    assert recovered == [20, 1]


def test_after_a_failed_sync_nothing_goes_on_without_a_repair(journal: SqliteJournal, disk: SickDisk) -> None:
    disk.fail("sync", "-wal", apsw.IOError)
    with pytest.raises(JournalAmbiguous, match="half-way"):
        journal.commit(Batch(events=[an_event(1)]))
    disk.heal()

    with pytest.raises(JournalAmbiguous, match="repaired first"):
        journal.commit(Batch())
    with pytest.raises(JournalAmbiguous, match="repaired first"):
        journal.event(1)
    assert disk.fired == ["sync -wal"]
    journal.repair([])


def test_a_repair_takes_back_an_event_whose_sync_failed(journal: SqliteJournal, disk: SickDisk) -> None:
    first = an_event(1)
    journal.commit(Batch(events=[first]))
    disk.fail("sync", "-wal", apsw.IOError)
    with pytest.raises(JournalAmbiguous):
        journal.commit(Batch(events=[an_event(2)], finished=[a_finish(first)]))
    disk.heal()
    journal.repair([2])
    journal.commit(Batch(events=[an_event(3)], finished=[a_finish(first)]))

    assert reopened(journal) == [3, 1]


def test_a_repair_starts_a_new_log(journal: SqliteJournal, disk: SickDisk) -> None:
    journal.commit(Batch(events=[an_event(1, body=b"x" * 100_000)]))
    disk.fail("sync", "-wal", apsw.IOError)
    with pytest.raises(JournalAmbiguous):
        journal.commit(Batch(events=[an_event(2)]))
    disk.heal()
    before = log_size(journal)
    journal.repair([2])

    assert log_size(journal) < before


def test_a_repair_waits_for_the_disk(journal: SqliteJournal, disk: SickDisk) -> None:
    disk.fail("sync", "", apsw.IOError)
    with pytest.raises(JournalAmbiguous):
        journal.commit(Batch(events=[an_event(1)]))

    with pytest.raises(JournalAmbiguous, match="cannot be repaired yet"):
        journal.repair([1])
    disk.heal()
    journal.repair([1])
    assert journal.event(1) is None


def test_a_checkpoint_that_fails_loses_nothing_and_is_tried_again(journal: SqliteJournal, disk: SickDisk) -> None:
    disk.fail("write", "journal.db", apsw.IOError)
    for seq in range(1, 40):
        journal.commit(Batch(events=[an_event(seq, frozen=INVOICE, body=b"x" * 9000)]))
    disk.heal()

    assert disk.fired.count("write journal.db") > 1, (
        "it is tried again, and not only when the log is many times as long"
    )
    assert reopened(journal) == list(range(39, 0, -1))


@pytest.mark.parametrize("name", ["journal.db", "journal.db-wal"])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_file_that_was_taken_away_underneath_is_noticed_within_a_second(
    journal: SqliteJournal, name: str, replaced: bool
) -> None:
    journal.commit(Batch(at=1.0, events=[an_event(1)]))
    file = journal.path.with_name(name)
    away = file.rename(file.with_suffix(".away"))
    if replaced:
        file.write_bytes(away.read_bytes())

    with pytest.raises(JournalFault, match="removed or replaced"):
        journal.commit(Batch(at=2.1, events=[an_event(2)]))
    with pytest.raises(JournalFault, match="removed or replaced"):
        journal.commit(Batch(at=2.2, events=[an_event(2)]))
    away.replace(file)
    journal.commit(Batch(at=2.3, events=[an_event(2)]))
    assert reopened(journal) == [2, 1]


def test_a_file_that_is_gone_is_a_fault_in_words_before_the_next_look_at_it(journal: SqliteJournal) -> None:
    journal.commit(Batch(at=1.0, events=[an_event(1)]))
    journal.path.unlink()

    def go_on() -> None:
        for seq in range(2, 200):
            journal.commit(Batch(at=1.0, events=[an_event(seq, body=b"x" * 20_000)]))

    with pytest.raises(JournalFault, match="cannot be found"):
        go_on()


def test_pages_that_are_damaged_while_it_is_open_are_faults_in_words_and_the_others_go_on(
    journal: SqliteJournal,
) -> None:
    """More than the cache holds, and more than is checked at the start: nobody has read them yet."""
    journal.commit(Batch(events=[an_event(seq, frozen=INVOICE, body=b"x" * 20_000) for seq in range(1, 2_001)]))
    journal.close()
    journal.open()
    size = journal.path.stat().st_size
    with journal.path.open("r+b") as file:
        file.seek(size // 2)
        file.write(b"\xff" * (size // 2))
    said = collections.Counter[str]()

    def tell(what: Callable[[], object]) -> None:
        try:
            what()
            said["went well"] += 1
        except JournalFault as fault:
            said[str(fault).partition("journal.db ")[2]] += 1

    for seq in range(1, 2_001, 20):
        settle = Batch(at=1.0, finished=[a_finish(an_event(seq, frozen=INVOICE), b"\x01")])
        tell(functools.partial(journal.event, seq))
        tell(functools.partial(journal.commit, settle))

    assert said == {
        "went well": 100,
        "cannot be read: database disk image is malformed": 50,
        "was refused (database disk image is malformed); nothing was written": 50,
    }


def test_a_batch_that_contradicts_itself_is_rolled_back(journal: SqliteJournal) -> None:
    with pytest.raises(JournalFault, match="nothing was written"):
        journal.commit(Batch(events=[an_event(1), an_event(1)]))
    journal.commit(Batch(events=[an_event(1)]))

    assert reopened(journal) == [1]


def test_a_batch_that_cannot_be_encoded_is_rolled_back(journal: SqliteJournal) -> None:
    unencodable = an_event(2, body="text")  # type: ignore[arg-type]
    with pytest.raises(JournalFault, match="nothing was written"):
        journal.commit(Batch(events=[an_event(1), unencodable]))
    journal.commit(Batch(events=[an_event(3)]))

    assert reopened(journal) == [3]


@pytest.mark.parametrize("seed", range(6))
def test_a_power_cut_takes_nothing_that_was_acknowledged(tmp_path: pathlib.Path, disk: SickDisk, seed: int) -> None:
    chance = random.Random(seed)
    journal = a_journal(tmp_path / "journal.db", vfs=NAME, log_pages=20)
    acknowledged, lost = 0, 0
    for _ in range(4):
        journal.open()
        journal.commit(setting())
        acknowledged = write_some(journal, acknowledged, chance)
        interrupt(journal, disk, acknowledged, chance)
        lost += disk.cut()
        disk.heal()

    recovered = journal.open()
    journal.close()

    assert lost > 0
    assert recovered.pending >= acknowledged


@pytest.mark.parametrize("seed", range(6))
def test_a_process_killed_after_a_failed_sync_builds_on_nothing_that_the_disk_has_not(
    tmp_path: pathlib.Path, disk: SickDisk, seed: int
) -> None:
    """The kernel still shows the next process what the disk has lost, and a later sync says yes to it."""
    chance = random.Random(seed)
    journal = a_journal(tmp_path / "journal.db", vfs=NAME, log_pages=200)
    journal.open()
    journal.commit(setting())
    before = write_some(journal, 0, chance)
    interrupt(journal, disk, before, chance)
    disk.heal()
    journal.open()
    after = write_some(journal, 2_000_000, chance)
    kill(journal)
    lost = disk.cut()

    journal.open()
    gone = [seq for seq in [*range(1, before + 1), *range(2_000_001, after + 1)] if journal.event(seq) is None]
    journal.close()

    assert disk.fired == ["sync -wal"]
    assert (lost, gone) == (0, [])


def test_a_repair_has_the_log_on_the_disk_before_any_of_it_is_copied_into_the_file(
    journal: SqliteJournal, disk: SickDisk
) -> None:
    """Else a power cut between the two leaves half a copy of what the log does not have: a damaged file."""
    disk.fail("sync", "-wal", apsw.IOError)
    with pytest.raises(JournalAmbiguous):
        journal.commit(Batch(events=[an_event(1, body=b"x" * 100_000)]))
    disk.heal()
    disk.fail("write", "journal.db", apsw.IOError)
    with pytest.raises(JournalAmbiguous, match="cannot be repaired yet"):
        journal.repair([1])

    assert disk.fired == ["sync -wal", "write journal.db"]
    assert disk.cut() == 0, "pages of the log that the disk did not have"


def test_a_failed_sync_loses_what_a_later_one_says_yes_to_unless_it_is_written_again(
    tmp_path: pathlib.Path, disk: SickDisk
) -> None:
    """The tool itself: without it, the tests above would prove nothing."""
    file, data = tmp_path / "file-wal", [bytes([number]) * PAGE for number in range(1, 41)]
    file.write_bytes(b"")
    opened = apsw.VFSFile(NAME, str(file), [FLAGS, 0])
    disk.fail("sync", "-wal", apsw.IOError)
    for number, page in enumerate(data):
        opened.xWrite(page, number * PAGE)
    with pytest.raises(apsw.IOError):
        opened.xSync(apsw.SQLITE_SYNC_NORMAL)
    disk.heal()
    opened.xWrite(data[0], 0)
    opened.xSync(apsw.SQLITE_SYNC_NORMAL)
    opened.xClose()
    before = file.read_bytes()
    lost = disk.cut()

    after = file.read_bytes()

    assert before == b"".join(data)
    assert 0 < lost < len(data)
    assert [after[at : at + PAGE] == before[at : at + PAGE] for at in range(0, len(after), PAGE)].count(False) == lost
    assert after[:PAGE] == data[0]


def write_some(journal: SqliteJournal, seq: int, chance: random.Random) -> int:
    """Some commits of some events, all of which succeed; the last seq."""
    for _ in range(chance.randrange(1, 30)):
        group = range(seq + 1, seq + chance.randrange(2, 9))
        journal.commit(Batch(events=[an_event(one, frozen=INVOICE) for one in group]))
        seq = group[-1]
    return seq


def interrupt(journal: SqliteJournal, disk: SickDisk, seq: int, chance: random.Random) -> None:
    """One more commit that ends in the middle, and with it the process."""
    disk.fail("sync", "-wal", apsw.IOError)
    size = chance.randrange(20_000)
    with pytest.raises(JournalAmbiguous):
        journal.commit(Batch(events=[an_event(1_000_000 + seq, frozen=INVOICE, body=b"x" * size)]))
    journal.close()


def log_size(journal: SqliteJournal) -> int:
    return journal.path.with_name("journal.db-wal").stat().st_size


def reopened(journal: SqliteJournal) -> list[int]:
    """The events that are there after a restart without any goodbye, newest first."""
    kill(journal)
    journal.open()
    return [seq for seq, _ in journal.events(None, None, 100)]
