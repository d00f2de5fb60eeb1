"""From a path to a connection on a healthy journal of our format, or JournalRefused in words.

Nothing is changed in a file that is refused. The order matters: the lock before anything is read, the log before the
first checkpoint, the version before the first write, and that is of the log (insisting.py).
"""

import importlib.metadata
import pathlib
import typing
from collections.abc import Sequence

import apsw

from fanout_dispatcher.journal.faults import JournalRefused
from fanout_dispatcher.journal.sqlite import wal
from fanout_dispatcher.journal.sqlite.insisting import write_again
from fanout_dispatcher.journal.sqlite.place import log_of
from fanout_dispatcher.journal.sqlite.statements import text

FORMAT = 3
APPLICATION = 0x464E4F54  # "FNOT", in the file's header
Migrations = Sequence[tuple[int, str]]  # the format it leads to, and the SQL that does; in order
MIGRATIONS: Migrations = ((2, text("format_2.sql")), (3, text("format_3.sql")))
CHECK_PAGES = 4_096  # a file up to this size (32 MiB; an older one, 16) is checked as a whole at every start
BUSY_MILLISECONDS = 2_000  # what another program gets to let go of the file
FLOORS = ((3, 44, 6), (3, 50, 7), (3, 51, 3))  # below: a checkpoint may corrupt the file (the WAL-reset bug)

# page_size: of a new file; an older one keeps its 4 KiB. Bodies of 64 KiB cost a fifth less CPU than with 4 KiB, small
# events the same; with 16 KiB each commit would write four times as much. wal_autocheckpoint: we choose when.
# exclusive: no shared memory, no lock calls, and no stranger holds up a checkpoint.
PRAGMAS = """
PRAGMA page_size = 8192;
PRAGMA locking_mode = exclusive;
PRAGMA journal_mode = wal;
PRAGMA synchronous = full;
PRAGMA wal_autocheckpoint = 0;
PRAGMA cache_size = -16000;
PRAGMA temp_store = memory;
PRAGMA foreign_keys = off;
"""


def refuse_old_sqlite(version: str) -> None:
    """Only versions with the fix of the WAL-reset bug may touch a journal."""
    number = tuple(int(part) for part in version.split("."))
    if not (number >= FLOORS[-1] or any(number >= floor and number[:2] == floor[:2] for floor in FLOORS)):
        apsw_version = importlib.metadata.version("apsw")
        raise JournalRefused(
            f"SQLite {version} (in apsw {apsw_version}) can corrupt a journal; 3.51.3 or later is needed:"
            " pip install -U apsw"
        )


def connect(path: pathlib.Path, migrations: Migrations = MIGRATIONS, vfs: str | None = None) -> apsw.Connection:
    """A connection to the journal at *path*, made or brought to our format if need be. The caller holds the lock."""
    refuse_old_sqlite(apsw.sqlite_lib_version())
    db: apsw.Connection | None = None
    try:
        _examine_log(path)
        db = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs)
        taken = _examine(db, path)
        write_again(log_of(path), vfs, taken)
        _bring_up(db, path, migrations)
    except (apsw.Error, JournalRefused) as fault:
        if db is not None:
            db.close(True)
        raise fault if isinstance(fault, JournalRefused) else refusal(path, fault) from fault
    return db


def refusal(path: pathlib.Path, fault: apsw.Error) -> JournalRefused:
    """Why SQLite cannot open the journal, in words."""
    # read-only counts as damaged: that the file can be written place.py has seen, so it is what stands in its header
    if isinstance(fault, apsw.NotADBError | apsw.CorruptError | apsw.ReadOnlyError):
        return JournalRefused(
            f"journal {path} is damaged or no journal at all ({fault}); it was left as it was: move it away, together"
            f" with {path.name}-wal, and restore a backup or start anew"
        )
    if isinstance(fault, apsw.BusyError | apsw.LockedError):
        return JournalRefused(
            f"journal {path} is locked by another program, such as a backup; try again when that is over"
        )
    if isinstance(fault, apsw.CantOpenError | apsw.FullError):
        return JournalRefused(
            f"journal {path} cannot be written ({fault}); check the folder's rights and the disk's space"
        )
    return JournalRefused(f"journal {path} cannot be opened: {fault}")


def _examine_log(path: pathlib.Path) -> None:
    """Refuse what SQLite would drop at its first look: a log beside an empty file, or behind a broken header."""
    log = log_of(path)
    if log.exists() and not path.stat().st_size and (lost := wal.lost_commits(log, 0)):
        raise JournalRefused(
            f"journal {path} is empty or new, and its log {log.name} holds at least {lost} committed transactions of"
            " the one that was there; the log was left as it was: put the journal back, or move the log away"
        )
    if lost := wal.hidden_commits(log, path):
        raise _lost(path, lost)


def _lost(path: pathlib.Path, commits: int) -> JournalRefused:
    return JournalRefused(
        f"journal {path} is damaged: its log {path.name}-wal holds at least {commits} committed transactions behind a"
        " broken place; it was left as it was: move both files away and restore a backup, or start anew"
    )


def _examine(db: apsw.Connection, path: pathlib.Path) -> int:
    """Look without touching: ours, not newer, whole; how many frames of its log count."""
    db.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
    db.set_busy_timeout(BUSY_MILLISECONDS)
    db.execute("PRAGMA locking_mode = exclusive")
    application, version = pragma(db, "application_id"), pragma(db, "user_version")
    pages = pragma(db, "page_count")
    if application != APPLICATION and not _fresh(db):
        raise JournalRefused(f"{path} is an SQLite database but no journal of ours; give another --data folder")
    if version > FORMAT:
        raise JournalRefused(
            f"journal {path} has format {version} and this version knows formats up to {FORMAT}: a newer one wrote it;"
            " run that one, or give another --data folder"
        )
    taken, _ = db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_NOOP) if pages else (0, 0)
    taken = max(0, taken)
    if lost := wal.lost_commits(log_of(path), taken):
        raise _lost(path, lost)
    if 0 < pages <= CHECK_PAGES and (found := pragma(db, "quick_check(1)")) != "ok":
        raise JournalRefused(
            f"journal {path} is damaged ({found}); it was left as it was: restore a backup, or start anew"
        )
    return taken


def _bring_up(db: apsw.Connection, path: pathlib.Path, migrations: Migrations) -> None:
    """Make the tables of a new file, or run what leads from its format to ours: each step is one transaction."""
    for statement in PRAGMAS.split(";"):
        db.execute(statement)
    if pragma(db, "journal_mode") != "wal":
        raise JournalRefused(f"journal {path} cannot keep a write-ahead log on this file system; use a local disk")
    if _fresh(db):
        _step(db, f"PRAGMA application_id = {APPLICATION};\n{text('schema.sql')}", FORMAT)
    for version, statements in migrations:
        if version > pragma(db, "user_version"):
            _step(db, statements, version)


def _fresh(db: apsw.Connection) -> bool:
    """Nothing in it yet: a new file, or one whose first start was cut off."""
    return not db.execute("SELECT count(*) FROM sqlite_schema").get


def _step(db: apsw.Connection, statements: str, version: int) -> None:
    with db:
        db.execute(f"{statements};\nPRAGMA user_version = {version};")


def pragma(db: apsw.Connection, name: str) -> typing.Any:
    """The one value that a pragma answers with."""
    return db.execute(f"PRAGMA {name}").get
