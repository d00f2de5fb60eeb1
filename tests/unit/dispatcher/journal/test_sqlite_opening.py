"""Which files the embedded journal opens, and how it refuses the others: in words, and untouched."""

import os
import pathlib
import subprocess
import sys

import apsw
import pytest

from fanout_dispatcher.journal.faults import JournalRefused
from fanout_dispatcher.journal.protocol import Batch
from fanout_dispatcher.journal.sqlite import SqliteJournal, opening, place, wal
from tests.support.journals import INVOICE, KEY, a_journal, an_event, kill, setting

ROOT = pathlib.Path(__file__).parents[4]
HOLD = """
import sys, pathlib
from tests.support.journals import a_journal
journal = a_journal(pathlib.Path(sys.argv[1]))
try:
    journal.open()
except Exception as fault:
    sys.exit(str(fault))
print("open", flush=True)
sys.stdin.readline()
"""


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return tmp_path / "data" / "journal.db"


def filled(path: pathlib.Path, *, close: bool = True) -> SqliteJournal:
    """A journal with a few commits in it."""
    journal = a_journal(path)
    journal.open()
    journal.commit(setting())
    for seq in range(1, 9):
        journal.commit(Batch(events=[an_event(seq, frozen=INVOICE, body=b"x" * 5000)]))
    if close:
        journal.close()
    return journal


def child(*args: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", HOLD, *args],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *sys.path])},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_a_missing_folder_is_made_for_this_user_alone(path: pathlib.Path) -> None:
    filled(path)

    assert path.parent.stat().st_mode & 0o777 == 0o700
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_new_journal_gets_its_key_once(path: pathlib.Path) -> None:
    filled(path)
    again = a_journal(path, new_key=lambda: b"another")

    assert again.open().key == KEY
    again.close()


def test_a_closed_journal_leaves_an_empty_log(path: pathlib.Path) -> None:
    filled(path)
    log = path.with_name("journal.db-wal")

    assert not log.exists() or log.stat().st_size == 0


def test_a_second_process_is_refused_and_told_by_whom(path: pathlib.Path) -> None:
    journal = filled(path, close=False)
    with child(str(path)) as other:
        _, said = other.communicate()

    assert other.returncode == 1
    assert f"is in use by process {os.getpid()}" in said
    journal.close()


def test_the_lock_goes_with_its_process_however_that_ends(path: pathlib.Path) -> None:
    with child(str(path)) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(JournalRefused, match=f"process {other.pid}"):
            a_journal(path).open()
        other.kill()
        other.wait()

        journal = a_journal(path)
        journal.open()
        journal.close()


def test_a_newer_format_is_refused_and_left_alone(path: pathlib.Path) -> None:
    filled(path)
    with apsw.Connection(str(path)) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = path.read_bytes()

    with pytest.raises(JournalRefused, match=r"has format 99 .* up to 3: a newer one wrote it"):
        a_journal(path).open()
    assert path.read_bytes() == before


def test_an_older_format_is_brought_forward_step_by_step(path: pathlib.Path) -> None:
    filled(path)
    db = apsw.Connection(str(path))
    db.execute("ALTER TABLE plan RENAME TO idea; PRAGMA user_version = 0; PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()

    db = opening.connect(path, [(0, "never run"), (2, "ALTER TABLE idea RENAME TO plan")])

    assert db.execute("SELECT count(*) FROM plan").get == 0
    assert opening.pragma(db, "user_version") == 2
    db.close()


def test_a_migration_that_fails_changes_nothing(path: pathlib.Path) -> None:
    filled(path)
    db = apsw.Connection(str(path))
    db.execute("PRAGMA user_version = 0")
    db.close()

    with pytest.raises(JournalRefused, match="no such table: missing"):
        opening.connect(path, [(1, "DROP TABLE plan; SELECT * FROM missing")])
    db = apsw.Connection(str(path))
    assert db.execute("SELECT count(*) FROM plan").get == 0
    assert db.execute("PRAGMA user_version").get == 0
    db.close()


def test_a_first_start_that_was_cut_off_is_begun_again(path: pathlib.Path) -> None:
    path.parent.mkdir()
    db = apsw.Connection(str(path))
    db.execute("PRAGMA journal_mode = wal")
    db.close()

    filled(path)
    journal = a_journal(path)

    assert journal.open().pending == 8
    journal.close()


def test_a_file_that_is_no_database_is_refused_and_left_alone(path: pathlib.Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b"these are somebody's notes\n" * 300)
    before = path.read_bytes()

    with pytest.raises(JournalRefused, match="damaged or no journal at all"):
        a_journal(path).open()
    assert path.read_bytes() == before


def test_somebody_elses_database_is_refused(path: pathlib.Path) -> None:
    path.parent.mkdir()
    db = apsw.Connection(str(path))
    db.execute("CREATE TABLE notes (text)")
    db.close()

    with pytest.raises(JournalRefused, match="no journal of ours"):
        a_journal(path).open()


def test_another_workers_journal_is_refused(path: pathlib.Path) -> None:
    filled(path)

    with pytest.raises(JournalRefused, match="worker 0, not of worker 3"):
        a_journal(path, worker=3).open()


@pytest.mark.parametrize("offset", [0, 18, 100, 8192])
def test_a_flipped_bit_in_what_holds_the_file_together_is_found(path: pathlib.Path, offset: int) -> None:
    filled(path)
    flip(path, offset)
    before = path.read_bytes()

    with pytest.raises(JournalRefused, match="it was left as it was"):
        a_journal(path).open()
    assert path.read_bytes() == before


def test_a_refused_journal_can_be_opened_once_it_is_well(path: pathlib.Path) -> None:
    filled(path)
    flip(path, 100)
    journal = a_journal(path)
    with pytest.raises(JournalRefused):
        journal.open()
    flip(path, 100)

    assert journal.open().pending == 8
    journal.close()


def test_a_flipped_bit_in_the_log_does_not_lose_commits_in_silence(path: pathlib.Path) -> None:
    kill(filled(path, close=False))
    log = path.with_name("journal.db-wal")
    flip(log, log.stat().st_size // 2)
    before = path.read_bytes(), log.read_bytes()

    with pytest.raises(JournalRefused, match=r"holds at least \d+ committed transactions"):
        a_journal(path).open()
    assert (path.read_bytes(), log.read_bytes()) == before


@pytest.mark.parametrize("offset", [0, 9, 17, 30])
def test_a_flipped_bit_in_the_logs_header_does_not_lose_commits_in_silence(path: pathlib.Path, offset: int) -> None:
    """SQLite takes such a log for one that has just been begun, and writes over it."""
    kill(filled(path, close=False))
    log = path.with_name("journal.db-wal")
    flip(log, offset)
    before = path.read_bytes(), log.read_bytes()

    with pytest.raises(JournalRefused, match=r"holds at least \d+ committed transactions"):
        a_journal(path).open()
    assert (path.read_bytes(), log.read_bytes()) == before


def test_a_torn_header_of_a_log_whose_pages_were_all_copied_is_a_power_cut_and_no_damage(path: pathlib.Path) -> None:
    journal = filled(path, close=False)
    assert journal._session is not None
    journal._session.checkpoint(apsw.SQLITE_CHECKPOINT_FULL)
    kill(journal)
    flip(path.with_name("journal.db-wal"), 17)
    journal = a_journal(path)

    assert journal.open().pending == 8
    journal.close()


@pytest.mark.parametrize("gone", [True, False])
def test_a_log_without_its_journal_is_kept(path: pathlib.Path, gone: bool) -> None:
    """SQLite deletes a log that lies beside an empty file."""
    kill(filled(path, close=False))
    log = path.with_name("journal.db-wal")
    before = log.read_bytes()
    path.unlink() if gone else os.truncate(path, 0)

    for _ in range(2):
        with pytest.raises(JournalRefused, match=r"its log journal.db-wal holds at least \d+ committed transactions"):
            a_journal(path).open()
    assert log.read_bytes() == before


def test_a_log_cut_within_its_last_transaction_is_a_crash_and_no_damage(path: pathlib.Path) -> None:
    kill(filled(path, close=False))
    log = path.with_name("journal.db-wal")
    os.truncate(log, log.stat().st_size - 100)
    journal = a_journal(path)

    assert journal.open().pending == 7
    journal.close()


def test_a_second_crash_within_a_shorter_transaction_is_a_crash_and_no_damage(path: pathlib.Path) -> None:
    """What the first crash left of a longer one lies behind it then, and is of the same turn of the log."""
    log = path.with_name("journal.db-wal")
    journal = filled(path, close=False)
    for sizes in ([20_000] * 10, [10]):
        assert journal._session is not None
        frames, _ = journal._session.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP)
        events = [an_event(9 + n, frozen=INVOICE, body=b"x" * size) for n, size in enumerate(sizes)]
        journal.commit(Batch(events=events))
        kill(journal)
        page_size = int.from_bytes(log.read_bytes()[8:12], "big")
        flip(log, wal.HEADER + frames * (wal.FRAME + page_size) + 100)
        journal = a_journal(path)

        assert journal.open().pending == 8
    journal.close()


def test_a_log_that_is_not_there_has_lost_nothing(tmp_path: pathlib.Path) -> None:
    (tmp_path / "short").write_bytes(b"x" * 10)

    assert wal.lost_commits(tmp_path / "none", 0) == 0
    assert wal.lost_commits(tmp_path / "short", 0) == 0


def test_a_folder_that_may_not_be_written_is_refused(tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "theirs"
    folder.mkdir(mode=0o555)
    me = os.geteuid()
    os.seteuid(me or 65534)  # rights do not bind root
    try:
        with pytest.raises(JournalRefused, match="cannot be written: permission denied"):
            a_journal(folder / "journal.db").open()
    finally:
        os.seteuid(me)


def test_a_log_that_may_not_be_written_is_named_and_not_called_damaged(path: pathlib.Path) -> None:
    kill(filled(path, close=False))
    log = str(path.with_name("journal.db-wal"))
    mounted = subprocess.run(["mount", "--bind", log, log], capture_output=True, check=False, text=True)
    if mounted.returncode:
        pytest.skip(f"this user may not mount a file: {mounted.stderr.strip()}")
    try:
        subprocess.run(["mount", "-o", "remount,bind,ro", log], check=True)
        with pytest.raises(JournalRefused, match=r"cannot be written: the file system is read-only \(.*-wal\)"):
            a_journal(path).open()
    finally:
        subprocess.run(["umount", "-l", log], check=True)


def test_a_read_only_file_system_is_refused(tmp_path: pathlib.Path) -> None:
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(tmp_path)], capture_output=True, check=False, text=True
    )
    if mounted.returncode:
        pytest.skip(f"this user may not mount a file system: {mounted.stderr.strip()}")
    try:
        with pytest.raises(JournalRefused, match="the file system is read-only"):
            a_journal(tmp_path / "journal.db").open()
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_folder_in_the_place_of_the_file_is_refused(path: pathlib.Path) -> None:
    path.mkdir(parents=True)

    with pytest.raises(JournalRefused, match="it is a folder"):
        a_journal(path).open()


def test_a_file_in_the_place_of_a_folder_is_refused(path: pathlib.Path) -> None:
    path.parent.write_bytes(b"")

    with pytest.raises(JournalRefused, match="cannot be written"):
        a_journal(path).open()


def test_a_journal_locked_by_another_program_is_refused(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    filled(path)
    monkeypatch.setattr(opening, "BUSY_MILLISECONDS", 1)
    reader = apsw.Connection(str(path))
    reader.execute("PRAGMA locking_mode = exclusive; SELECT * FROM meta").fetchall()

    with pytest.raises(JournalRefused, match="locked by another program"):
        a_journal(path).open()
    reader.close()


MOUNTS = (
    b"22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
    b"40 22 0:50 / /mnt rw - nfs4 server:/export rw\n"
    b"41 40 0:51 / /mnt/my\\040disk rw - xfs /dev/sdb rw\n"
    b"42 22 0:52 / /gr\xc3\xb6\xc3\x9fe rw - nfs4 server:/sizes rw\n"
    b"43 42 0:53 / /gr\xc3\xb6\xc3\x9fe/\\134x41 rw - xfs /dev/sdc rw\n"
    b"44 22 0:54 / /old\xfc rw - cifs //server/old rw\n"
    b"45 22 0:55 / /a\rb\xc2\x85 rw - nfs server:/a rw\n"
)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/var/lib/j", "ext4"),
        ("/mnt/j", "nfs4"),
        ("/mnt/my disk/j", "xfs"),
        ("/mntx/j", "ext4"),
        ("/größe/j", "nfs4"),
        (r"/größe/\x41/j", "xfs"),
        ("/old\udcfc/j", "cifs"),
        ("/a\rb\x85/j", "nfs"),
    ],
)
def test_the_mount_point_that_is_nearest_says_which_file_system_it_is(path: str, kind: str) -> None:
    """Names are bytes, of which only white space and the backslash are written in octal."""
    assert place.file_system(pathlib.Path(path), MOUNTS) == kind


def test_a_mount_whose_name_is_no_text_keeps_no_journal_from_opening(
    path: pathlib.Path, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mountinfo").write_bytes(MOUNTS)
    monkeypatch.setattr(place, "MOUNTS", tmp_path / "mountinfo")

    place.prepare(path)


def test_a_network_file_system_is_refused(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(place, "file_system", lambda path, mounts: "nfs4")

    with pytest.raises(JournalRefused, match=r"network file system \(nfs4\)"):
        a_journal(path).open()


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.45.9", "3.50.6", "3.51.0", "3.51.2"])
def test_an_sqlite_that_may_corrupt_the_file_is_refused(version: str) -> None:
    with pytest.raises(JournalRefused, match=version):
        opening.refuse_old_sqlite(version)


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.52.0", "4.0.0"])
def test_a_fixed_sqlite_will_do(version: str) -> None:
    opening.refuse_old_sqlite(version)


def test_its_repr_tells_its_state(path: pathlib.Path) -> None:
    journal = a_journal(path)
    assert repr(journal) == f"SqliteJournal({path}, closed)"
    journal.open()
    assert "open, log_pages=" in repr(journal)
    assert repr(journal._lock) == f"Lock({path}.lock, held=True)"
    journal.close()


def flip(path: pathlib.Path, offset: int) -> None:
    """Another byte at *offset*; twice is as before."""
    data = bytearray(path.read_bytes())
    data[offset] ^= 0xFF
    path.write_bytes(data)
