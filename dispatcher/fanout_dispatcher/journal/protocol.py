"""What a journal is: a durable queue that takes whole batches and hands back what is due.

The engine's committer (on the event loop) fills a Batch; the journal (on a thread of its own) writes it in one
transaction. Two kinds of row matter to the engine:

* an **event** row is immutable and lives until every delivery of it is settled;
* a **due** row stands for one delivery that is *not* in a lane's window in memory: a retry, or one that spilled. A row
  that was pulled into a window stays until its delivery is settled or put back (the engine remembers what it has
  pulled), so that a crash loses neither it nor its count of attempts. Rows are of two kinds, *fresh* and *tried*
  (an attempt has been spent), and each kind is pulled by itself: neither stands in the other's way.

A delivery whose target keeps order has a **rank** too, its place in the order of its key, for as long as it is pending
or a dead letter that holds up those behind it. Only the first of a key is ever due: the row of any other has the time
`BLOCKED`, until the transaction that takes away the one before it. A replay takes over the place of its dead letter.

A pending delivery that has no due row was in a window. After a crash `open` gives each of those a due row, so that
afterwards everything owed is in the index and every window is empty. It looks for them from the last *mark* on: below
it, says the engine, everything pending has a row.
"""

import typing

import msgspec

from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import Attempt, Event, Frozen
from fanout_dispatcher.values.views import DeadLetterFilter

FOREVER: typing.Final = 1e15  # engine time at which a delivery that waits for people is due
SLOT: typing.Final = 900.0  # seconds of engine time: history goes by the quarter of an hour in which events finished
PULL_BYTES: typing.Final = 1 << 20  # of bodies and kept answers in a pull: after a restart all lanes ask at once
BLOCKED: typing.Final = 1e12  # engine time, in the year 33,000: the due row of a delivery that waits for its key
STRETCH: typing.Final = 5_000  # rows to walk through at once: some 2 ms, in which no commit runs
HEADROOM: typing.Final = 256 << 10  # bytes that a journal that was full has to have left before it takes events again

Kind = tuple[int, bool]  # a lane, and whether its tried rows are meant or its fresh ones


class DueRow(msgspec.Struct, frozen=True, gc=False):
    """Put a delivery into the index (or move the row it has): due at *at* (engine time, s).

    ``reason`` and ``detail``: why it was given up, of a compensation that is stuck.
    """

    lane: int
    seq: int
    at: float
    attempts: int = 0
    history: tuple[Attempt, ...] = ()
    reason: str = ""
    detail: str = ""

    @property
    def tried(self) -> bool:
        """Its kind: False as long as no attempt has been spent on it."""
        return self.attempts > 0


class Rank(msgspec.Struct, frozen=True, gc=False):
    """A new delivery's place in the order of *key*, a digest: behind all that have one. Due at *ready*, once first."""

    lane: int
    seq: int
    key: bytes
    ready: float


LETTER: typing.Final = 512  # bytes that a dead letter counts for besides its body: the usual head, history and rows


class DeadRow(msgspec.Struct, frozen=True, gc=False):
    """A delivery given up on; head and body are copied from the event row by the journal."""

    lane: int
    seq: int
    at: float
    reason: str
    detail: str
    attempts: int
    history: tuple[Attempt, ...]
    size: int
    earlier: bytes = b""  # what its target could read of those before it (values.earlier, packed): for a replay


class KeptRow(msgspec.Struct, frozen=True, gc=False):
    """What is kept of position *place* of event *seq* for later ones to read; committed with its settling."""

    seq: int
    place: int
    kept: Kept


class Finished(msgspec.Struct, frozen=True, gc=False):
    """Every delivery of the event is settled: its row goes, its states stay in the history for a while."""

    seq: int
    frozen: int
    accepted: float
    states: bytes


class KeyRow(msgspec.Struct, frozen=True, gc=False):
    """The idempotency key that event *seq* was accepted under; it takes the place of an older row with the same key.

    ``door`` is whose keys are counted together, ``fingerprint`` of what came with it. See `values.keyed`. ``answer`` is
    what its caller was told, once that is kept.
    """

    seq: int
    door: int
    key: bytes
    fingerprint: bytes
    at: float
    answer: bytes | None = None


class AnswerRow(msgspec.Struct, frozen=True, gc=False):
    """What the caller of event *seq* was told, kept with its idempotency key for as long as that is kept."""

    seq: int
    answer: bytes


class Replayed(msgspec.Struct, frozen=True, gc=False):
    """Dead letter *dead* goes away because event *seq* (appended in the same batch) takes its place."""

    dead: int
    seq: int


class Fetched(msgspec.Struct, frozen=True, gc=False):
    """Event *seq* (appended in the same batch) was fetched by *source*, which has its own *key* for it."""

    source: str
    key: str
    seq: int


class Batch(msgspec.Struct, kw_only=True):
    """What one transaction writes, in this order. Every list may be empty."""

    at: float = 0.0  # engine time of the commit, kept for the clock and for pruning
    lanes: list[tuple[int, str, str]] = msgspec.field(default_factory=list)  # (lane, route, target), new ones
    frozen: list[Frozen] = msgspec.field(default_factory=list)  # new ones
    plans: list[tuple[str, bytes | None]] = msgspec.field(default_factory=list)  # (route, plan; None: forget)
    forgotten: list[tuple[str, str]] = msgspec.field(default_factory=list)  # (source, key): is not fetched again
    events: list[Event] = msgspec.field(default_factory=list)
    fetched: list[Fetched] = msgspec.field(default_factory=list)
    keys: list[KeyRow] = msgspec.field(default_factory=list)  # of events in the same batch
    answers: list[AnswerRow] = msgspec.field(default_factory=list)  # left out where there is no room for them
    due: list[DueRow] = msgspec.field(default_factory=list)
    undue: list[tuple[int, int]] = msgspec.field(default_factory=list)  # (lane, seq): the due row goes
    ranks: list[Rank] = msgspec.field(default_factory=list)  # of events in this batch, in their order
    passed: list[tuple[int, int]] = msgspec.field(default_factory=list)  # (lane, seq): so does the rank
    progress: list[tuple[int, bytes]] = msgspec.field(default_factory=list)  # (seq, states) of unfinished events
    kept: list[KeptRow] = msgspec.field(default_factory=list)
    read: list[int] = msgspec.field(default_factory=list)  # events of which nobody will read any more what was kept
    dead: list[DeadRow] = msgspec.field(default_factory=list)
    finished: list[Finished] = msgspec.field(default_factory=list)
    replayed: list[Replayed] = msgspec.field(default_factory=list)
    removed: list[int] = msgspec.field(default_factory=list)  # dead letters removed by hand


class Backlog(msgspec.Struct, frozen=True, kw_only=True):
    """What one lane has in the journal: due rows and dead letters, with the bytes of their bodies."""

    pending: int = 0
    pending_bytes: int = 0
    stuck: int = 0  # of those pending: they are due at FOREVER
    dead: int = 0
    dead_bytes: int = 0
    ranked: bool = False  # some of them have a rank


class Recovered(msgspec.Struct, frozen=True, kw_only=True):
    """What `open` found."""

    key: bytes  # secret for receipts, made once per journal
    last_seq: int
    now: float  # engine time at which to go on: what was stored plus how long we were away
    lanes: dict[int, tuple[str, str]]  # lane -> (route, target)
    frozen: dict[int, Frozen]
    plans: dict[str, bytes]
    backlog: dict[int, Backlog]
    keys: dict[int, int] = msgspec.field(default_factory=dict)  # door -> how many idempotency keys it has
    resting: dict[int, float] = msgspec.field(default_factory=dict)  # frozen values at rest -> since (see Journal.rest)
    fetched: dict[str, frozenset[str]] = msgspec.field(default_factory=dict)  # source -> keys that are remembered

    @property
    def pending(self) -> int:
        """Deliveries that are owed."""
        return sum(lane.pending for lane in self.backlog.values())


class Pulled(msgspec.Struct, frozen=True, gc=False):
    """One delivery out of the index, with its event and the states of all the event's deliveries."""

    due: DueRow
    event: Event
    states: bytes
    kept: typing.Mapping[int, Kept] = {}  # what was kept of its positions


class DeadLetter(msgspec.Struct, frozen=True, kw_only=True):
    """A kept dead letter. ``event`` carries the original head and body (empty body in lists).

    ``holds``: it has a rank, so what is behind it in the order of its key waits until it is gone.
    """

    number: int
    row: DeadRow
    event: Event
    holds: bool = False


class StoredEvent(msgspec.Struct, frozen=True, kw_only=True):
    """What the journal knows of one event. ``event`` is None when it is finished and only its history is left."""

    frozen: Frozen
    accepted: float
    states: bytes
    event: Event | None
    due: tuple[DueRow, ...] = ()
    dead: tuple[DeadRow, ...] = ()
    replays: dict[int, int] = msgspec.field(default_factory=dict)  # lane -> seq of the replay
    kept: typing.Mapping[int, Kept] = {}  # as in Pulled; not in lists


Pruned = tuple[int, int, int]  # dead letters that were dropped, the bytes of their bodies, how many of them held others
Place = tuple[int, int]  # how far a look at all events and dead letters has come: the last seq, the last number
START: typing.Final = (0, 0)
Stretch = tuple[int, int]  # numbers of dead letters, from the first to the last
WHOLE: typing.Final = (1, 1 << 62)


def headroom(max_bytes: int | None) -> int:
    """How many bytes of events a journal with that bound has room for when it takes some again: a small part of it."""
    return HEADROOM if max_bytes is None else min(HEADROOM, max_bytes // 64)


class Journal(typing.Protocol):
    """Called from one thread at a time; every call may block on the disk, and raises JournalFault."""

    def open(self) -> Recovered:
        """Lock, migrate and recover. Raises JournalRefused."""

    def commit(self, batch: Batch) -> None:
        """Write *batch* in one transaction; when this returns it is on stable storage."""

    def full(self) -> str | None:
        """Why no events would be taken now, if so; for whoever was refused, and asks when there will be room.

        There is when there is room for a `headroom` of them. Never raises: what cannot be told is a reason too.
        """

    def repair(self, seqs: typing.Sequence[int]) -> None:
        """After JournalAmbiguous: reopen and remove whatever of the events *seqs* was written after all.

        Their idempotency keys go too. A dead letter that one of them replaced is there again. Everything else of the
        batch may be written or not, and may be committed again as it was. Raises JournalAmbiguous as long as the disk
        does not let it.
        """

    def mark(self, below: int) -> None:
        """Every pending delivery of an event below *below* has its row: the next `open` need not look there.

        Kept with a later commit, at the latest by `close`; a smaller number than before changes nothing.
        """

    def pull(
        self, kind: Kind, until: float, limit: int, skip: typing.Collection[int]
    ) -> tuple[list[Pulled], float | None]:
        """The first *limit* due rows of a *kind* with at ≤ *until* whose seq is not in *skip*, by (at, seq).

        Also the time of the earliest row of the kind that is left behind and not in *skip*, None if there is none.
        Fewer rows come when their bodies, with what was kept of their events, grow large together: then that time is
        not after *until*. What waits for its key is due at `BLOCKED`: it comes only when that is asked for, and *left*
        then says that there is some.
        """

    def oldest(self, lane: int, limit: int, skip: typing.Collection[int]) -> list[Pulled]:
        """The first *limit* rows of *lane* by seq, of either kind, whatever their time: where expiry looks.

        Fewer if they are large.
        """

    def event(self, seq: int) -> StoredEvent | None:
        """What is known of one event, finished or not."""

    def stretch_of_events(self, before: int | None) -> int | None:
        """From which seq on to search the newest events below *before* at once; None when there are none left.

        There are so few between the two (some thousand) that commits can wait for it, and there is one at least.
        """

    def events(
        self, route: str | None, before: int | None, limit: int, since: int = 0
    ) -> list[tuple[int, StoredEvent]]:
        """Events, newest first, from seq *since* on and below seq *before*, without bodies."""

    def stuck(self, lanes: typing.Collection[int], after: int, limit: int) -> list[tuple[int, StoredEvent]]:
        """Events above seq *after* of which a row in one of *lanes* is due at FOREVER; oldest first, without bodies."""

    def stretch_of_dead(self, wanted: DeadLetterFilter) -> Stretch | None:
        """The next numbers among which to search for *wanted* at once; None when there is nothing left to find.

        Whatever *wanted* means is in them or after them. They are `WHOLE` where a search costs what it finds; else
        they are so few that commits can wait for it.
        """

    def dead_letters(self, wanted: DeadLetterFilter, stretch: Stretch = WHOLE) -> list[DeadLetter]:
        """Dead letters of *stretch* by number, oldest first, without bodies.

        Ids and cursor are decimal numbers, else ValueError.
        """

    def dead_letter(self, number: int) -> DeadLetter | None:
        """One dead letter with its original bytes."""

    def prune(self, lane: int, before: float, max_bytes: int | None, limit: int) -> Pruned:
        """Drop dead letters of *lane* from before *before*, and the oldest beyond *max_bytes*; LETTER more for each."""

    def forget(self, before: float, limit: int) -> int:
        """Drop history of events that finished before *before* (to the quarter of an hour); how many went.

        Up to *limit* rows at a time, each of which may tell of many events: call again until nothing goes.
        """

    def keys(self, wanted: typing.Collection[bytes]) -> list[KeyRow]:
        """Those of the idempotency keys *wanted* that are kept, in any order."""

    def forget_keys(self, door: int, before: float, limit: int) -> int:
        """Drop the first *limit* idempotency keys of *door*, as far as they are from before *before*; how many went.

        They go by seq, the oldest first, and what was kept with them.
        """

    def forget_answers(self, most: int, limit: int) -> int:
        """Drop kept answers, the oldest first, until all have *most* bytes together; how many went, up to *limit*."""

    def referred(self, after: Place, limit: int) -> tuple[frozenset[int], Place | None]:
        """Numbers of the frozen values that unfinished events refer to, then dead letters: *limit* rows at a time.

        The first look is from `START`; where the next one goes on comes with the numbers, None at the end. History is
        not looked at.
        """

    def rest(self, since: typing.Mapping[int, float | None]) -> None:
        """Keep since when only history can refer to frozen values (None: more does again), for the next `open`.

        A value that is committed again rests no longer.
        """

    def drop(self, frozen: typing.Collection[int], lanes: typing.Collection[int]) -> list[int]:
        """Drop frozen values and lanes to which nothing refers any more; the lanes that went.

        That it is so is the engine's to know; but a lane with due rows or dead letters stays, whatever it says. What is
        committed again is there again.
        """

    def backup(self, pages: int) -> str | None:
        """Copy up to *pages* more of it into a file beside it; its path once that is whole, else None: call again.

        What is committed meanwhile is in it too. Raises JournalFault, and then nothing is left of the copy.
        """

    def close(self) -> None:
        """Checkpoint and unlock."""
