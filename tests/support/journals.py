"""Values for journals in tests: small, valid, with one thing changed where a test says so."""

import pathlib

import msgspec

from fanout_dispatcher.journal.clock import Clock
from fanout_dispatcher.journal.protocol import Batch, DeadRow, DueRow, Finished, KeyRow
from fanout_dispatcher.journal.sqlite import SqliteJournal
from fanout_dispatcher.values.event import Attempt, Event, Frozen, Head

KEY = b"k" * 32
LANES = [(1, "shop/order", "email"), (2, "shop/order", "crm"), (3, "shop/invoice", "email")]
ORDER = Frozen(number=1, route="shop/order", generation=1, targets=("email", "crm"), lanes=(1, 2))
INVOICE = Frozen(number=2, route="shop/invoice", generation=4, targets=("email",), lanes=(3,))
HISTORY = (Attempt(0.5, "503", 0.25), Attempt(1.0, "Timeout", 10.1))


class Machine:
    """A machine's clock that stands still until told."""

    def __init__(self) -> None:
        self.clock = Clock("boot-1", 100.0, 1_000_000.0)

    def __call__(self) -> Clock:
        return self.clock

    def set(self, **changes: str | float) -> None:
        self.clock = msgspec.structs.replace(self.clock, **changes)


def a_journal(path: pathlib.Path, **changes: object) -> SqliteJournal:
    """An embedded journal that is not open yet."""
    options: dict[str, object] = {"clock": Machine(), "new_key": lambda: KEY, "ballast": 0, **changes}
    return SqliteJournal(path, **options)  # type: ignore[arg-type]


def kill(journal: SqliteJournal) -> None:
    """What a kill -9 leaves of an open journal: no checkpoint, no note, the lock dropped by the kernel."""
    if journal._session is not None:
        journal._session.end()
        journal._session = None
    journal._lock.drop()


def setting() -> Batch:
    """The lanes and frozen values that the other helpers refer to."""
    return Batch(lanes=list(LANES), frozen=[ORDER, INVOICE])


def an_event(seq: int, *, frozen: Frozen = ORDER, body: bytes | None = None) -> Event:
    """An event whose every field depends on *seq*."""
    head = Head(
        id=f"id-{seq}",
        source="/shop",
        type="order.placed",
        identity=seq.to_bytes(16, "big"),
        attributes=f"ce-id: {seq}\r\n".encode(),
        forwarded=((b"x-shop", b"\x00\xff"),),
        path=(("id", f"ü/{seq}"),),
        query=(("q", ""),),
    )
    body = f"body \x00 {seq}".encode() if body is None else body
    return Event(seq=seq, frozen=frozen, accepted=seq + 0.1, head=head, body=body)


def a_due(seq: int, at: float = 0.0, *, lane: int = 1) -> DueRow:
    """A retry that has two attempts behind it."""
    return DueRow(lane, seq, at, 2, HISTORY)


def a_dead(seq: int, at: float = 5.0, *, lane: int = 1, reason: str = "TargetRejected", size: int = 10) -> DeadRow:
    """A delivery that is given up."""
    return DeadRow(lane, seq, at, reason, "404 from the target", 3, HISTORY, size)


def a_key(seq: int, key: bytes, *, door: int = 4) -> KeyRow:
    """The key of event *seq*, accepted at the second *seq*."""
    return KeyRow(seq, door, key, b"print of " + key, float(seq))


def a_finish(event: Event, states: bytes = b"\x01\x01") -> Finished:
    """The end of *event*."""
    return Finished(event.seq, event.frozen.number, event.accepted, states[: len(event.frozen.lanes)])
