"""The front of the embedded journal: Journal (see protocol.py) on one SQLite file.

Between `open` and `close` there is a session. An ambiguous commit ends it at once (after a failed fsync the kernel
may have dropped pages that it calls clean), and only `repair` begins another.
"""

import pathlib
import typing
from collections.abc import Callable, Collection, Mapping, Sequence

import apsw
import msgspec

from fanout_dispatcher.journal.clock import Clock
from fanout_dispatcher.journal.faults import JournalAmbiguous, JournalFault, JournalRefused
from fanout_dispatcher.journal.protocol import (
    PULL_BYTES,
    WHOLE,
    Batch,
    DeadLetter,
    KeyRow,
    Kind,
    Place,
    Pruned,
    Pulled,
    Recovered,
    StoredEvent,
    Stretch,
)
from fanout_dispatcher.journal.sqlite import mending, opening, place, recovery, tidying
from fanout_dispatcher.journal.sqlite.ballast import Ballast
from fanout_dispatcher.journal.sqlite.copying import copy_of
from fanout_dispatcher.journal.sqlite.lock import Lock
from fanout_dispatcher.journal.sqlite.recovery import Facts
from fanout_dispatcher.journal.sqlite.room import SPARE, reserve
from fanout_dispatcher.journal.sqlite.session import LOG_PAGES, NOTE_SECONDS, Limits, Session
from fanout_dispatcher.journal.sqlite.transaction import transact
from fanout_dispatcher.values.views import DeadLetterFilter

T = typing.TypeVar("T")


class SqliteJournal:
    """The journal of one worker at *path*, one of *journals* on that disk.

    *clock* reads the machine's time, *new_key* makes the secret of a new journal. *max_bytes* bounds what is in use in
    the file (None: the disk does), *pull_bytes* the bodies of one pull, *ballast* the file that is thrown away when the
    disk is full. *vfs* names a registered apsw VFS.
    """

    def __init__(  # noqa: PLR0913  bounds, each with its default; a value of their own would only move them
        self,
        path: pathlib.Path,
        *,
        clock: Callable[[], Clock],
        new_key: Callable[[], bytes],
        worker: int = 0,
        journals: int = 1,
        max_bytes: int | None = None,
        log_pages: int = LOG_PAGES,
        pull_bytes: int = PULL_BYTES,
        ballast: int = SPARE,
        vfs: str | None = None,
    ) -> None:
        self.path = path
        self._clock = clock
        self._new_key = new_key
        self._worker = worker
        self._limits = Limits(journals=journals, max_bytes=max_bytes, log_pages=log_pages, pull_bytes=pull_bytes)
        self._vfs = vfs
        self._lock = Lock(path)
        self._ballast = Ballast(path, ballast)
        self._session: Session | None = None
        self._known = Facts(key=b"", worker=worker)
        self._torn = ""  # why only repair goes on

    def __repr__(self) -> str:
        state = "closed" if self._session is None else f"open, log_pages={self._session.log_pages}"
        if self._torn:
            state = f"torn: {self._torn}"
        return f"SqliteJournal({self.path}, {state})"

    def open(self) -> Recovered:
        """Lock, migrate and recover. Raises JournalRefused."""
        if self._session is not None:
            raise JournalFault(f"journal {self.path} is open already")
        place.prepare(self.path)
        self._lock.take()
        copy_of(self.path).unlink(missing_ok=True)  # of a life that ended in the middle of a backup
        self._ballast.size = min(self._ballast.size, reserve(self.path, journals=self._limits.journals))
        self._ballast.take()
        while True:
            try:
                return self._recover()
            except JournalRefused as fault:
                if not isinstance(fault.__cause__, apsw.FullError) or not self._ballast.drop():
                    self._lock.drop()
                    raise

    def commit(self, batch: Batch) -> None:
        """Write *batch* in one transaction; when this returns it is on stable storage."""
        session = self._ready()
        clock = self._clock() if batch.at >= self._known.now + NOTE_SECONDS else None
        self._known = self._changing(lambda: session.commit(batch, self._known, clock))

    def full(self) -> str | None:
        """Why no events would be taken now, if so."""
        try:
            self._ready().check()
        except (JournalFault, apsw.Error, OSError) as fault:
            return str(fault)
        return None

    def repair(self, seqs: Sequence[int]) -> None:
        """After JournalAmbiguous: reopen and remove whatever of the events *seqs* was written after all.

        The log is written once more (what a failed fsync left in the page cache may look written and not be), copied
        into the file and started anew. Raises JournalAmbiguous as long as the disk does not let it.
        """
        if self._session is not None:
            self._session.end()
            self._session = None
        self._torn = self._torn or "a repair was asked for"
        try:
            session = self._connected()
        except JournalRefused as fault:
            raise JournalAmbiguous(f"journal {self.path} cannot be repaired yet: {fault}") from fault
        try:
            session.db.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            transact(session.db, lambda: mending.take_back(session.sql, seqs))
            session.load()
        except (apsw.Error, JournalFault) as fault:
            session.end()
            if isinstance(fault, apsw.FullError):
                self._ballast.drop()  # for the next try
            raise JournalAmbiguous(f"journal {self.path} cannot be repaired yet: {fault}") from fault
        self._session, self._torn = session, ""

    def mark(self, below: int) -> None:
        """Every pending delivery of an event below *below* has its row: noted with the clock."""
        if below - 1 > self._known.indexed_to:
            self._known = msgspec.structs.replace(self._known, indexed_to=below - 1)

    def pull(self, kind: Kind, until: float, limit: int, skip: Collection[int]) -> tuple[list[Pulled], float | None]:
        """The first *limit* due rows of a *kind* with at ≤ *until* whose seq is not in *skip*, by (at, seq)."""
        return self._looking(lambda session: session.pulling.pull(kind, until, limit, skip))

    def oldest(self, lane: int, limit: int, skip: Collection[int]) -> list[Pulled]:
        """The first *limit* rows of *lane* by seq, whatever their kind and time: where expiry looks."""
        return self._looking(lambda session: session.pulling.oldest(lane, limit, skip))

    def event(self, seq: int) -> StoredEvent | None:
        """What is known of one event, finished or not."""
        return self._looking(lambda session: session.reading.event(seq))

    def stretch_of_events(self, before: int | None) -> int | None:
        """From which seq on to search the newest events below *before* at once."""
        return self._looking(lambda session: session.reading.stretch_of_events(before))

    def events(
        self, route: str | None, before: int | None, limit: int, since: int = 0
    ) -> list[tuple[int, StoredEvent]]:
        """Events, newest first, from seq *since* on and below seq *before*."""
        return self._looking(lambda session: session.reading.events(route, before, limit, since))

    def stuck(self, lanes: Collection[int], after: int, limit: int) -> list[tuple[int, StoredEvent]]:
        """Events above seq *after* with a row in one of *lanes* that is due at FOREVER, oldest first."""
        return self._looking(lambda session: session.reading.stuck(lanes, after, limit))

    def stretch_of_dead(self, wanted: DeadLetterFilter) -> Stretch | None:
        """The numbers among which to search for *wanted* at once."""
        return self._looking(lambda session: session.reading.stretch_of_dead(wanted))

    def dead_letters(self, wanted: DeadLetterFilter, stretch: Stretch = WHOLE) -> list[DeadLetter]:
        """Dead letters of *stretch* by number, oldest first, without bodies."""
        return self._looking(lambda session: session.reading.dead_letters(wanted, stretch))

    def dead_letter(self, number: int) -> DeadLetter | None:
        """One dead letter with its original bytes."""
        return self._looking(lambda session: session.reading.dead_letter(number))

    def prune(self, lane: int, before: float, max_bytes: int | None, limit: int) -> Pruned:
        """Drop dead letters of *lane* from before *before* and the oldest beyond *max_bytes*."""
        return self._changing(lambda: self._ready().prune(lane, before, max_bytes, limit))

    def forget(self, before: float, limit: int) -> int:
        """Drop history of finished events from before *before*; how many went."""
        return self._changing(lambda: self._ready().forget(before, limit, self._known))

    def keys(self, wanted: Collection[bytes]) -> list[KeyRow]:
        """Those of the idempotency keys *wanted* that are kept."""
        return self._looking(lambda session: session.keys(wanted))

    def forget_keys(self, door: int, before: float, limit: int) -> int:
        """Drop the first *limit* idempotency keys of *door*, as far as they are from before *before*."""
        return self._changing(lambda: self._ready().forget_keys(door, before, limit))

    def forget_answers(self, most: int, limit: int) -> int:
        """Drop kept answers, the oldest first, until all have *most* bytes together."""
        return self._changing(lambda: self._ready().forget_answers(most, limit))

    def referred(self, after: Place, limit: int) -> tuple[frozenset[int], Place | None]:
        """Numbers of the frozen values that events and dead letters refer to, *limit* rows at a time."""
        return self._looking(lambda session: tidying.referred(session.sql, after, limit))

    def rest(self, since: Mapping[int, float | None]) -> None:
        """Keep since when only history can refer to frozen values (None: more does again)."""
        self._changing(lambda: self._ready().rest(since))

    def drop(self, frozen: Collection[int], lanes: Collection[int]) -> list[int]:
        """Drop frozen values and lanes to which nothing refers any more; the lanes that went."""
        return self._changing(lambda: self._ready().drop(frozen, lanes))

    def backup(self, pages: int) -> str | None:
        """Copy up to *pages* more of it into a file beside it; its path once that is whole."""
        return self._looking(lambda session: session.backup(pages))

    def close(self) -> None:
        """Checkpoint and unlock."""
        if self._session is not None:
            session = self._session
            try:
                transact(session.db, lambda: recovery.note(session.sql, self._known))
            except JournalFault:
                pass  # the note only saves the next start some work
            session.checkpoint(apsw.SQLITE_CHECKPOINT_TRUNCATE)
            session.end()
            self._session = None
        self._lock.drop()

    def _recover(self) -> Recovered:
        session: Session | None = None
        try:
            session = self._connected()
            known = recovery.facts(session.sql, worker=self._worker, new_key=self._new_key)
            known, recovered = recovery.recover(session.sql, known, self._clock())
        except (apsw.Error, JournalRefused) as fault:
            if session is not None:
                session.end()
            raise fault if isinstance(fault, JournalRefused) else opening.refusal(self.path, fault) from fault
        session.frozen.update(recovered.frozen)
        self._session, self._known, self._torn = session, known, ""
        return recovered

    def _connected(self) -> Session:
        return Session(self.path, opening.connect(self.path, vfs=self._vfs), self._ballast, self._limits)

    def _ready(self) -> Session:
        if self._torn:
            raise JournalAmbiguous(f"journal {self.path} must be repaired first: {self._torn}")
        if self._session is None:
            raise JournalFault(f"journal {self.path} is not open")
        return self._session

    def _changing(self, change: Callable[[], T]) -> T:
        """Run *change*; an ambiguous end of it ends the session."""
        try:
            return change()
        except JournalAmbiguous as fault:
            self._torn = self._torn or str(fault)
            if self._session is not None:
                self._session.end()
                self._session = None
            raise
        except apsw.Error as fault:  # of what is read before: a write that fails comes out of `transact` in words
            raise JournalFault(f"journal {self.path} cannot be read: {fault}") from fault
        except OSError as fault:  # the file has gone, and the next look at it would say so
            raise JournalFault(f"journal {self.path} cannot be found: {fault}") from fault

    def _looking(self, look: Callable[[Session], T]) -> T:
        session = self._ready()
        try:
            return look(session)
        except apsw.Error as fault:
            raise JournalFault(f"journal {self.path} cannot be read: {fault}") from fault
