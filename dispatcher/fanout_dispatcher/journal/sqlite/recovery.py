"""What `open` does with a healthy file: everything owed into the index, then a count of it.

A pending delivery without a due row was in a window when the process ended. It gets a row that is due now. All
events up to `indexed_to` have been through this before or were marked by the engine, so only later ones are looked at,
a stretch at a time in transactions of their own: memory stays bounded, and a crash on the way costs nothing but the
stretch. The count reads the rows of the index and no event: a backlog of a million is hundreds of MiB of events.
"""

from collections.abc import Callable

import msgspec

from fanout_dispatcher.journal.clock import Clock, away
from fanout_dispatcher.journal.faults import JournalRefused
from fanout_dispatcher.journal.protocol import FOREVER, Backlog, Recovered
from fanout_dispatcher.journal.sqlite import coding
from fanout_dispatcher.journal.sqlite.statements import Statements
from fanout_dispatcher.values.event import Frozen

STRETCH = 20_000  # seqs in one transaction


class Facts(msgspec.Struct, kw_only=True):
    """The rows of `meta`."""

    key: bytes
    worker: int
    boot: str = ""
    boottime: float = 0.0
    wall: float = 0.0
    now: float = 0.0  # engine time when the clock was noted
    last_seq: int = 0
    indexed_to: int = 0

    def clock(self) -> Clock:
        """The machine's time at ``now``."""
        return Clock(self.boot, self.boottime, self.wall)


def facts(sql: Statements, *, worker: int, new_key: Callable[[], bytes]) -> Facts:
    """What the file says of itself; a new file is given its key here."""
    stored = dict(sql.rows("facts"))
    if not stored:
        return Facts(key=new_key(), worker=worker)
    known = msgspec.convert(stored, Facts)
    if known.worker != worker:
        raise JournalRefused(
            f"this is the journal of worker {known.worker}, not of worker {worker}: receipts would not match"
        )
    return known


def noted(known: Facts, now: float, clock: Clock) -> Facts:
    """*known* with the clock set: engine time *now* was at *clock*."""
    return msgspec.structs.replace(known, boot=clock.boot, boottime=clock.boottime, wall=clock.wall, now=now)


def note(sql: Statements, known: Facts) -> None:
    """Keep *known*; the caller has begun a transaction."""
    sql.put("put_facts", [value for pair in msgspec.structs.asdict(known).items() for value in pair], 2)


def recover(sql: Statements, known: Facts, clock: Clock) -> tuple[Facts, Recovered]:
    """Bring the index up to date and tell what is there."""
    last_seq = max(known.last_seq, sql.value("last_seq", (coding.slot_of(known.now),)))
    now = known.now + away(known.clock(), clock) if known.boot else known.now
    known = noted(known, now, clock)
    known.last_seq = last_seq
    _index(sql, known)
    lanes = sql.rows("lanes")
    values = _frozen(sql)
    recovered = Recovered(
        key=known.key,
        last_seq=last_seq,
        now=now,
        lanes={number: (route, target) for number, route, target, _, _ in lanes},
        frozen={one.number: one for one, _ in values},
        resting={one.number: since for one, since in values if since is not None},
        plans=dict(sql.rows("plans")),
        fetched=_fetched(sql),
        keys=dict(sql.rows("keys_by_door")),
        backlog=_backlog(sql, {number: (dead, dead_bytes) for number, _, _, dead, dead_bytes in lanes}),
    )
    return known, recovered


def frozen(sql: Statements) -> dict[int, Frozen]:
    """What is frozen with events, by number."""
    return {one.number: one for one, _ in _frozen(sql)}


def _frozen(sql: Statements) -> list[tuple[Frozen, float | None]]:
    return [coding.frozen_of(value) for (value,) in sql.rows("frozen")]


def _fetched(sql: Statements) -> dict[str, frozenset[str]]:
    keys: dict[str, set[str]] = {}
    for source, key in sql.rows("fetched"):
        keys.setdefault(source, set()).add(key)
    return {source: frozenset(some) for source, some in keys.items()}


def _index(sql: Statements, known: Facts) -> None:
    while (first := sql.value("first_after", (known.indexed_to,))) is not None:
        last = min(first + STRETCH - 1, known.last_seq)
        with sql.db:
            sql.run("recover", {"first": first, "last": last, "now": known.now})
            known.indexed_to = last
            note(sql, known)
    with sql.db:
        known.indexed_to = known.last_seq
        note(sql, known)


def _backlog(sql: Statements, dead: dict[int, tuple[int, int]]) -> dict[int, Backlog]:
    pending = {lane: rest for lane, *rest in sql.rows("backlog", {"forever": FOREVER})}
    ranked = {lane for (lane,) in sql.rows("ranked")}
    backlog: dict[int, Backlog] = {}
    for lane in sorted(pending.keys() | {lane for lane, (count, _) in dead.items() if count}):
        count, size, stuck = pending.get(lane, (0, 0, 0))
        letters, letter_bytes = dead.get(lane, (0, 0))
        backlog[lane] = Backlog(
            pending=count,
            pending_bytes=size,
            stuck=stuck,
            dead=letters,
            dead_bytes=letter_bytes,
            ranked=lane in ranked,
        )
    return backlog
