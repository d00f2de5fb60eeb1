"""``fanout journal backup``: a tar with the journals as they are, or one sentence and no file."""

import pathlib
import tarfile

import pytest

from fanout_dispatcher.journal.faults import JournalFull
from tests.unit.dispatcher.cli.conftest import Run
from tests.unit.dispatcher.cli.fakes import FakeDispatcher


@pytest.fixture
def copies(dispatcher: FakeDispatcher, tmp_path: pathlib.Path) -> list[pathlib.Path]:
    """What two workers have copied."""
    made = [tmp_path / "journal.db-backup", tmp_path / "journal-1.db-backup"]
    made[0].write_bytes(b"0" * 3_000_000)  # more than is read at once, and no whole block
    made[1].write_bytes(b"1" * 512)
    dispatcher.desk.copies = made
    return made


def test_the_tar_has_every_journal_under_its_own_name_and_the_copies_go(
    fanout: Run, dispatcher: FakeDispatcher, copies: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    file = tmp_path / "out" / "b.tar"
    file.parent.mkdir()
    found = fanout("journal", "backup", str(file), "--admin", dispatcher.admin)

    assert found.exit_code == 0, found.output
    assert found.stdout == f"{file}: journal.db, journal-1.db, {file.stat().st_size} bytes\n"
    with tarfile.open(file) as archive:
        archive.extractall(tmp_path / "restored", filter="data")
    assert (tmp_path / "restored" / "journal.db").read_bytes() == b"0" * 3_000_000
    assert (tmp_path / "restored" / "journal-1.db").read_bytes() == b"1" * 512
    assert [one.exists() for one in copies] == [False, False]
    assert list(file.parent.iterdir()) == [file]
    assert file.stat().st_mode & 0o777 == 0o600


def test_a_journal_that_cannot_be_copied_is_a_sentence_and_no_file(
    fanout: Run, dispatcher: FakeDispatcher, tmp_path: pathlib.Path
) -> None:
    dispatcher.desk.fault = JournalFull("the disk has 5 left")
    found = fanout("journal", "backup", str(tmp_path / "b.tar"), "--admin", dispatcher.admin)

    assert found.exit_code == 1
    assert found.stderr == "Error: the journal cannot do that now: the disk has 5 left (503)\n"
    assert list(tmp_path.glob("*.tar*")) == list(tmp_path.glob(".*.part")) == []


def test_a_copy_that_vanishes_half_way_leaves_no_backup(
    fanout: Run, dispatcher: FakeDispatcher, copies: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    copies[1].unlink()
    found = fanout("journal", "backup", str(tmp_path / "b.tar"), "--admin", dispatcher.admin)

    assert found.exit_code == 1
    assert not (tmp_path / "b.tar").exists()


def test_a_file_that_is_there_is_not_written_over(
    fanout: Run, dispatcher: FakeDispatcher, tmp_path: pathlib.Path
) -> None:
    (tmp_path / "b.tar").write_text("precious")
    found = fanout("journal", "backup", str(tmp_path / "b.tar"), "--admin", dispatcher.admin)

    assert (found.exit_code, (tmp_path / "b.tar").read_text()) == (1, "precious")


def test_a_folder_that_is_not_there_is_a_sentence(
    fanout: Run, dispatcher: FakeDispatcher, copies: list[pathlib.Path], tmp_path: pathlib.Path
) -> None:
    found = fanout("journal", "backup", str(tmp_path / "none" / "b.tar"), "--admin", dispatcher.admin)

    assert found.exit_code == 1
    assert "cannot be written: No such file or directory" in found.stderr
