"""What is in the journal's blobs: msgpack, as arrays, so that a field's name is not stored a million times.

Times are kept as they are (8 bytes each): a retry is due at exactly the time that was decided. A new field goes at
the end of its struct with a default; anything else is a new format and a migration.
"""

import typing

import msgspec

from fanout_dispatcher.journal.protocol import SLOT, DeadRow, DueRow, Finished
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.earlier import Kept
from fanout_dispatcher.values.event import Attempt, Event, Frozen, Head, Replay
from fanout_dispatcher.values.graph import Graph
from fanout_dispatcher.values.parameters import Texts

SEQ_BITS = (
    43  # of a key that packs something with a seq: 8.8e12 events, and 2^20 lanes or slots (30 years of them) above
)
SEQ_MASK = (1 << SEQ_BITS) - 1
BUCKET_BITS = 12  # seqs of one bucket of history

_encode: typing.Final = msgspec.msgpack.Encoder().encode


class StoredHead(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """`event.head`: when the event was accepted, and its Head; ``earlier``, ``first`` and ``undone`` are a Replay's."""

    accepted: float
    id: str
    source: str
    type: str
    identity: bytes
    attributes: bytes
    forwarded: tuple[tuple[bytes, bytes], ...] = ()
    earlier: bytes = b""
    path: Texts = ()
    query: Texts = ()
    first: int = 0
    undone: bool = False


class StoredDelivery(msgspec.Struct, frozen=True, array_like=True):
    """`due.delivery`, unless that is empty."""

    attempts: int = 0
    history: tuple[Attempt, ...] = ()
    reason: str = ""
    detail: str = ""


class StoredCause(msgspec.Struct, frozen=True, array_like=True):
    """`dead.cause`."""

    detail: str
    attempts: int
    history: tuple[Attempt, ...] = ()
    earlier: bytes = b""


class StoredKept(msgspec.Struct, frozen=True, array_like=True):
    """`kept.value`; a status of 0 is none."""

    reason: str
    status: int = 0
    headers: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    truncated: bool = False


class StoredFrozen(msgspec.Struct, frozen=True, array_like=True):
    """`frozen.value`."""

    number: int
    route: str
    generation: int
    targets: tuple[str, ...]
    lanes: tuple[int, ...]
    resting: float | None = None  # since when only history can refer to it
    graph: Graph = ()


class Past(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One finished event in `done.events`."""

    seq: int
    frozen: int
    accepted: float
    states: bytes


_head: typing.Final = msgspec.msgpack.Decoder(StoredHead)
_delivery: typing.Final = msgspec.msgpack.Decoder(StoredDelivery)
_cause: typing.Final = msgspec.msgpack.Decoder(StoredCause)
_kept: typing.Final = msgspec.msgpack.Decoder(StoredKept)
_frozen: typing.Final = msgspec.msgpack.Decoder(StoredFrozen)
_pasts: typing.Final = msgspec.msgpack.Decoder(list[Past])


def head_bytes(event: Event) -> bytes:
    """The head of an event, as a bare tuple: this runs once per event accepted."""
    head = event.head
    said = (event.accepted, head.id, head.source, head.type, head.identity, head.attributes, head.forwarded)
    if (replay := head.replay) is not None:
        return _encode((*said, replay.earlier, head.path, head.query, replay.first, replay.undone))
    return _encode((*said, b"", head.path, head.query) if head.path or head.query else said)


def event_of(seq: int, frozen: Frozen, head: bytes, body: bytes) -> Event:
    """An event out of its row."""
    stored = _head.decode(head)
    return Event(
        seq=seq,
        frozen=frozen,
        accepted=stored.accepted,
        head=Head(
            id=stored.id,
            source=stored.source,
            type=stored.type,
            identity=stored.identity,
            attributes=stored.attributes,
            forwarded=stored.forwarded,
            replay=_replay_of(stored),
            path=stored.path,
            query=stored.query,
        ),
        body=body,
    )


def _replay_of(stored: StoredHead) -> Replay | None:
    if not stored.first and not stored.earlier:
        return None
    return Replay(first=stored.first, undone=stored.undone, earlier=stored.earlier)


def delivery_bytes(row: DueRow) -> bytes:
    """What a due row knows of its delivery."""
    if row.reason:
        return _encode((row.attempts, row.history, row.reason, row.detail))
    return _encode((row.attempts, row.history)) if row.history or row.attempts else b""


def due_of(lane: int, seq: int, at: float, delivery: bytes) -> DueRow:
    """A due row out of its columns."""
    if not delivery:
        return DueRow(lane, seq, at)
    stored = _delivery.decode(delivery)
    return DueRow(lane, seq, at, stored.attempts, stored.history, stored.reason, stored.detail)


def cause_bytes(row: DeadRow) -> bytes:
    """How a delivery died, besides its reason."""
    stored = (row.detail, row.attempts, row.history)
    return _encode((*stored, row.earlier) if row.earlier else stored)


def dead_of(key: tuple[int, int], at: float, reason: str, cause: bytes, size: int) -> DeadRow:
    """A dead row out of its columns; *key* is lane and seq."""
    stored = _cause.decode(cause)
    return DeadRow(*key, at, reason, stored.detail, stored.attempts, stored.history, size, stored.earlier)


def kept_bytes(kept: Kept) -> bytes:
    """What later positions may read of one."""
    answer = kept.answer
    if answer is None:
        return _encode((kept.reason,))
    return _encode((kept.reason, answer.status, answer.headers, answer.body, answer.truncated))


def kept_of(value: bytes) -> Kept:
    """The same, back."""
    stored = _kept.decode(value)
    answer = Captured(stored.status, stored.headers, stored.body, stored.truncated) if stored.status else None
    return Kept(answer, stored.reason)


def frozen_bytes(frozen: Frozen, resting: float | None = None) -> bytes:
    """What is frozen with events, and since when it rests, if it does."""
    return _encode(
        (frozen.number, frozen.route, frozen.generation, frozen.targets, frozen.lanes, resting, frozen.graph)
    )


def frozen_of(value: bytes) -> tuple[Frozen, float | None]:
    """The same, back."""
    stored = _frozen.decode(value)
    frozen = Frozen(
        number=stored.number,
        route=stored.route,
        generation=stored.generation,
        targets=stored.targets,
        lanes=stored.lanes,
        graph=stored.graph,
    )
    return frozen, stored.resting


def slot_of(at: float) -> int:
    """The slot of history that engine time *at* falls into."""
    return max(0, int(at // SLOT))


def done_rows(slot: int, pasts: list[Past]) -> list[int | bytes]:
    """Rows of `done` for *pasts*, one per bucket, laid end to end: key, last seq, count, events."""
    buckets: dict[int, list[Past]] = {}
    for past in sorted(pasts, key=_seq):
        buckets.setdefault(past.seq >> BUCKET_BITS, []).append(past)
    rows: list[int | bytes] = []
    for some in buckets.values():
        rows += (slot << SEQ_BITS | some[0].seq, some[-1].seq, len(some), _encode(some))
    return rows


def finished_rows(at: float, finished: list[Finished]) -> list[int | bytes]:
    """Rows of `done` for what finished at *at*."""
    return done_rows(slot_of(at), [Past(one.seq, one.frozen, one.accepted, one.states) for one in finished])


def pasts_of(events: bytes) -> list[Past]:
    """Finished events out of one row of `done`."""
    return _pasts.decode(events)


def _seq(past: Past) -> int:
    return past.seq
