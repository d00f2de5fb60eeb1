"""A disk that does what a test says, when it says so; and events to write."""

import typing
from collections import deque

import msgspec

from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.journal.disk import Done, Job, result_of
from fanout_dispatcher.journal.protocol import Batch, DeadRow, DueRow, Fetched, Journal, KeyRow, Rank, Replayed
from fanout_dispatcher.values.event import Event, Frozen, Head

T = typing.TypeVar("T")
FROZEN: typing.Final = Frozen(number=1, route="shop/order-placed", generation=1, targets=("a", "b"), lanes=(1, 2))
HEAD: typing.Final = Head(id="1", source="/shop", type="t", identity=b"i" * 16, attributes=b"")


class Recording:
    """The journal's writing half: keeps what it was asked; ``faults`` are raised one by one before it does anything.

    ``why_full`` is what it says to whoever asks whether it is.
    """

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.repaired: list[list[int]] = []
        self.asked: list[str] = []
        self.faults: deque[Exception] = deque()
        self.why_full: str | None = None

    def full(self) -> str | None:
        self.asked.append("full")
        return self.why_full

    def commit(self, batch: Batch) -> None:
        self._asked("commit")
        self.batches.append(batch)

    def repair(self, seqs: typing.Sequence[int]) -> None:
        self._asked("repair")
        self.repaired.append(list(seqs))

    def _asked(self, what: str) -> None:
        self.asked.append(what)
        if self.faults:
            raise self.faults.popleft()


class ScriptedDisk:
    """Keeps jobs until ``step`` runs the first: so a test decides what happens while a commit is under way."""

    def __init__(self) -> None:
        self.journal = Recording()
        self.jobs: deque[typing.Callable[[], None]] = deque()
        self.most = 0  # jobs that waited at once

    def run(self, job: Job[T], done: Done[T]) -> None:
        self.jobs.append(lambda: done(result_of(job, typing.cast(Journal, self.journal))))
        self.most = max(self.most, len(self.jobs))

    def step(self, fault: Exception | None = None) -> None:
        if fault is not None:
            self.journal.faults.append(fault)
        self.jobs.popleft()()


class Written(msgspec.Struct):
    """An event to write (an Append); *told* is told how it landed."""

    event: Event
    told: typing.Callable[[int, Exception | None], None]
    spilled: tuple[DueRow, ...] = ()
    ranks: tuple[Rank, ...] = ()
    dead: tuple[DeadRow, ...] = ()
    replayed: Replayed | None = None
    fetched: Fetched | None = None
    key: KeyRow | None = None

    def landed(self, fault: Exception | None) -> None:
        self.told(self.event.seq, fault)


class Told:
    """Whom appends tell: which events landed, and with what fault."""

    def __init__(self) -> None:
        self.landed: list[tuple[int, Exception | None]] = []

    def append(self, seq: int, **more: typing.Any) -> Written:
        return Written(event(seq), lambda number, fault: self.landed.append((number, fault)), **more)


def event(seq: int, body: bytes = b"{}") -> Event:
    return Event(seq=seq, frozen=FROZEN, accepted=0.0, head=HEAD, body=body)


def pending(seq: int, states: bytes = b"\0\0", *, body: bytes = b"{}") -> Pending:
    """An event in memory; one reference per delivery that is still pending."""
    left = states.count(0)
    return Pending(event=event(seq, body), states=bytearray(states), left=left, refs=left)
