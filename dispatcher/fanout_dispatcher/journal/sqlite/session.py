"""An open journal: one connection and what is known of the file while it lasts.

A session ends with the journal's `close` or with an ambiguous commit; the next one starts from the file alone.
"""

import pathlib
from collections.abc import Callable, Collection, Mapping

import apsw
import msgspec

from fanout_dispatcher.journal.clock import Clock
from fanout_dispatcher.journal.faults import JournalFault, JournalFull
from fanout_dispatcher.journal.protocol import Batch, KeyRow, Pruned
from fanout_dispatcher.journal.sqlite import coding, place, recovery, tidying, writing
from fanout_dispatcher.journal.sqlite.ballast import Ballast
from fanout_dispatcher.journal.sqlite.copying import Copying
from fanout_dispatcher.journal.sqlite.pulling import Pulling
from fanout_dispatcher.journal.sqlite.reading import Reading
from fanout_dispatcher.journal.sqlite.recovery import Facts
from fanout_dispatcher.journal.sqlite.room import Room
from fanout_dispatcher.journal.sqlite.statements import Statements, numbers
from fanout_dispatcher.journal.sqlite.transaction import transact
from fanout_dispatcher.values.event import Frozen

NOTE_SECONDS = 10.0  # of engine time between two notes of the clock
# 16 MiB of log. Where events are settled soon it holds the same pages again and again, and the longer it is the fewer
# are copied: bodies of 64 KiB cost 5 % less CPU than with 8 MiB (2: 30 % more). What makes the file grow is copied page
# by page while a commit waits: 11 ms at 8 MiB, 18 at 16. A log that is longer is cut at the next one, which costs
# more than to write over it; hence the quarter for the commit that goes past the mark.
LOG_PAGES = 2_000
FULL = 0.75  # of that: copied then, …
GROWN = 0.5  # … or then while the file grows
LOOK_SECONDS = 1.0  # of engine time between two looks whether the files are still those that are open
AGAIN = 0.25  # of the log's pages: after a checkpoint that failed, until the next try


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Bounds of a journal, as SqliteJournal takes them."""

    journals: int
    max_bytes: int | None
    log_pages: int
    pull_bytes: int


class Session:
    """Everything about one connection, from the moment its file is known to be healthy."""

    def __init__(self, path: pathlib.Path, db: apsw.Connection, ballast: Ballast, limits: Limits) -> None:
        self.db = db
        self._path = path
        self._files: tuple[int, ...] = ()
        self._look_at = 0.0
        self.sql = Statements(db)
        self.frozen: dict[int, Frozen] = {}
        self.reading = Reading(self.sql, frozen=self.frozen)
        self.pulling = Pulling(self.sql, frozen=self.frozen, pull_bytes=limits.pull_bytes)
        self.log_pages = 0
        self._room = Room(
            path, db, ballast, journals=limits.journals, max_bytes=limits.max_bytes, log_pages=limits.log_pages
        )
        self._size = path.stat().st_size
        self._put_off()
        self._cramped = False  # the file has no room for what is in the log
        self._copying: Copying | None = None
        db.set_wal_hook(self._logged)

    def load(self) -> None:
        """Take over the frozen values that the file has."""
        self.frozen.update(recovery.frozen(self.sql))

    def commit(self, batch: Batch, known: Facts, clock: Clock | None) -> Facts:
        """Write *batch*; with a *clock*, note it. What is known afterwards."""
        if batch.at >= self._look_at:
            self._look(batch.at)
        batch = self._admitted(batch)
        last_seq = max((event.seq for event in batch.events), default=0)
        known = msgspec.structs.replace(known, last_seq=max(known.last_seq, last_seq))
        if clock is not None:
            known = recovery.noted(known, batch.at, clock)

        def body() -> None:
            writing.write(self.sql, batch)
            if clock is not None:
                recovery.note(self.sql, known)

        self._transact(body, settling=not batch.events)
        self.frozen.update({one.number: one for one in batch.frozen})
        return known

    def check(self) -> None:
        """Raise JournalFull where events would be refused now."""
        self._room.check(self.sql, cramped=self._cramped)

    def prune(self, lane: int, before: float, max_bytes: int | None, limit: int) -> Pruned:
        """Drop the oldest dead letters."""
        dropped, freed = self.reading.too_many(lane, before, max_bytes, limit)
        if not dropped:
            return 0, 0, 0
        holding = self.sql.value("holding", (numbers(dropped),))
        self._transact(lambda: self.sql.among("remove_dead", dropped))
        return len(dropped), freed, holding

    def forget(self, before: float, limit: int, known: Facts) -> int:
        """Drop old history; the highest seq is noted, since nothing else may tell it any more."""
        gone: list[int] = []

        def body() -> None:
            oldest_kept = coding.slot_of(before) << coding.SEQ_BITS
            gone[:] = [count for (count,) in self.sql.rows("forget_done", (oldest_kept, limit))]
            self.sql.run("forget_replayed", (before, limit))
            if gone:
                recovery.note(self.sql, known)

        self._transact(body)
        return sum(gone)

    def keys(self, wanted: Collection[bytes]) -> list[KeyRow]:
        """Those of the idempotency keys that are kept."""
        return [KeyRow(*row) for row in self.sql.rows("keys", (apsw.carray(tuple(wanted)),))] if wanted else []

    def forget_keys(self, door: int, before: float, limit: int) -> int:
        """Drop the oldest idempotency keys of a door."""
        gone: list[tuple[int]] = []

        def body() -> None:
            gone[:] = self.sql.rows("forget_keys", (door, limit, before))

        self._transact(body)
        return len(gone)

    def forget_answers(self, most: int, limit: int) -> int:
        """Drop the oldest kept answers until they have *most* bytes together; how many went."""
        over = self.sql.value("answer_bytes") - most
        gone: list[int] = []
        for seq, size in self.sql.rows("oldest_answers", (limit,)) if over > 0 else ():
            if over <= 0:
                break
            gone.append(seq)
            over -= size
        if gone:
            self._transact(lambda: self.sql.among("drop_answers", gone))
        return len(gone)

    def rest(self, since: Mapping[int, float | None]) -> None:
        """Keep since when frozen values rest."""
        self._transact(lambda: tidying.rest(self.sql, self.frozen, since))

    def drop(self, frozen: Collection[int], lanes: Collection[int]) -> list[int]:
        """Drop frozen values and lanes; the lanes that went."""
        gone: list[int] = []

        def body() -> None:
            gone[:] = tidying.drop(self.sql, frozen, lanes)

        self._transact(body)
        for number in frozen:
            self.frozen.pop(number, None)
        return gone

    def checkpoint(self, mode: int) -> None:
        """Copy the log into the file. What is committed is safe in the log, so a failure only means: later.

        A log that cannot be copied cannot be begun anew either: it would grow until it had the room that the file
        needs, and then nothing could ever be written again. So while it is *cramped* events are refused, and whatever
        room comes back is kept for the file.
        """
        self._checkpoint_at = self.log_pages + int(self._room.log_pages * AGAIN)
        try:
            self._cramped = not self._room.make_way(self.sql)
            if not self._cramped:
                self.db.wal_checkpoint(mode=mode)
                self._put_off()
                self.log_pages = 0
        except apsw.FullError:  # the disk has less than it says
            self._cramped = True
        except (apsw.Error, OSError):
            pass

    def backup(self, pages: int) -> str | None:
        """Copy some more of the file; the path of the copy once it is whole."""
        copying = self._copying = self._copying or Copying(self._path, self.db)
        try:
            done = copying.step(pages)
        except JournalFault:
            self._copying = None
            raise
        if not done:
            return None
        self._copying = None
        return str(copying.path)

    def end(self) -> None:
        """Give up the connection, whatever state it is in."""
        if self._copying is not None:
            self._copying.abandon()
        self.db.set_wal_hook(None)
        self.db.close(True)

    def _put_off(self) -> None:
        """How long the log may become until the next checkpoint: not so long as it could where all in it is new."""
        before, self._size = self._size, self._path.stat().st_size
        self._checkpoint_at = int(self._room.log_pages * (GROWN if self._size > before else FULL))

    def _look(self, now: float) -> None:
        """Refuse to go on with files that nobody will find again: what is committed to them is lost at the end."""
        found = place.identity(self._path)
        self._files = self._files or found
        if found != self._files:
            raise JournalFault(
                f"journal {self._path} or its log was removed or replaced while it is in use: put both files back;"
                " if they are gone, restart, and what was pending is lost"
            )
        self._look_at = now + LOOK_SECONDS

    def _transact(self, write: Callable[[], None], *, settling: bool = True) -> None:
        """Write and commit, and copy the log into the file when it has grown long."""
        self._insist(write, settling=settling)
        if self.log_pages >= self._checkpoint_at:
            self.checkpoint(apsw.SQLITE_CHECKPOINT_PASSIVE)

    def _insist(self, write: Callable[[], None], *, settling: bool) -> None:
        """Write and commit; when the disk is full, once more with the log emptied, and to settle without the ballast.

        The log is emptied and not cut: its place on the disk is ours, and on a full one it would not come back.
        """
        try:
            return transact(self.db, write)
        except JournalFull:
            self.checkpoint(apsw.SQLITE_CHECKPOINT_RESTART)
        try:
            return transact(self.db, write)
        except JournalFull:
            if not settling or not self._room.ballast.drop():
                raise
            self.checkpoint(apsw.SQLITE_CHECKPOINT_RESTART)
        transact(self.db, write)

    def _admitted(self, batch: Batch) -> Batch:
        """*batch*, without its answers where the journal has no room: those are a service, and nobody's promise."""
        try:
            self._admit(batch)
        except JournalFull:
            if not batch.answers:
                raise
            batch = msgspec.structs.replace(batch, answers=[])
            self._admit(batch)
        return batch

    def _admit(self, batch: Batch) -> None:
        if self._cramped:
            self.checkpoint(apsw.SQLITE_CHECKPOINT_RESTART)
        self._room.admit(self.sql, batch, cramped=self._cramped)

    def _logged(self, _db: apsw.Connection, _name: str, pages: int) -> int:
        self.log_pages = pages
        return apsw.SQLITE_OK
