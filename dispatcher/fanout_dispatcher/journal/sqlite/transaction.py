"""One transaction, and what its failure means.

* **Full**: there was no space, and the rollback was clean: nothing is written. SQLITE_FULL from COMMIT itself counts
  too: the commit frame is the last thing written to the log, and what could not be written is this frame or one
  before it.
* **Ambiguous**: the disk failed, or COMMIT did in any other way. No one can say how far it got.
* anything else is the caller's fault: rolled back, nothing is written.
"""

from collections.abc import Callable

import apsw

from fanout_dispatcher.journal.faults import JournalAmbiguous, JournalFault, JournalFull


def transact(db: apsw.Connection, write: Callable[[], None]) -> None:
    """Run *write* and commit. Raises one of the three."""
    committing = False
    try:
        db.execute("BEGIN IMMEDIATE")
        write()
        committing = True
        db.execute("COMMIT")
    except apsw.Error as fault:
        raise _verdict(db, fault, committing) from fault
    finally:
        if db.in_transaction:  # an exception of *write* itself
            _rolled_back(db)


def _verdict(db: apsw.Connection, fault: apsw.Error, committing: bool) -> JournalFault:
    name = db.filename
    clean = _rolled_back(db)
    if isinstance(fault, apsw.FullError) and clean:
        return JournalFull(
            f"no space is left for journal {name}; nothing was written: free some, the journal goes on by itself"
        )
    if committing or not clean or isinstance(fault, apsw.IOError):
        return JournalAmbiguous(
            f"a commit to journal {name} failed half-way ({fault}); the disk or its driver is at fault"
        )
    return JournalFault(f"a commit to journal {name} was refused ({fault}); nothing was written")


def _rolled_back(db: apsw.Connection) -> bool:
    """Whether no transaction is left; SQLite has ended it already after some faults."""
    try:
        if db.in_transaction:
            db.execute("ROLLBACK")
    except apsw.Error:
        return False
    return True
