"""What happened in a simulated world, as the outside could see it: producers, targets, operators, the disk.

It only writes down. What the promises make of it is for the checkers, which know the promises and not the engine.
All times are seconds of the world, which run on through crashes; ``life`` is the number of the process.
"""

import hashlib
import typing

import msgspec

from fanout_crds.plan import Plan
from fanout_dispatcher.telemetry.seam import Change
from fanout_dispatcher.values.desk import LaneMeter
from fanout_dispatcher.values.outcome import Delivered, Outcome
from fanout_dispatcher.values.views import DeadLetterView, EventView

Delivery = tuple[str, int]  # the journal that an event is in and its number there: what a receipt says
DURABLE: typing.Final = "durable"  # the journal on disk; one in memory is named after its life


class Posted(msgspec.Struct, tag=True):
    """A producer handed an event in, while *plan* was in force as far as the producer's request could know."""

    at: float
    life: int
    event: str
    plan: Plan
    body: bytes
    waits: bool = False  # for the plan's targets
    key: str | None = None  # the idempotency key that it came under
    partition: str = ""  # what it is kept in order by, where a target asks for that


class Repeated(msgspec.Struct, tag=True):
    """The producer was answered with a receipt that somebody had been given before."""

    at: float
    life: int
    event: str
    delivery: Delivery


class Hears(msgspec.Struct, frozen=True):
    """What a caller was told of one target: its state by name, why it is lost, and what it or its fallback answered."""

    target: str
    state: str
    reason: str
    body: bytes | None
    fallback: bool = False


class Served(msgspec.Struct, tag=True):
    """A caller has its answer: how its wait *ended* and what it hears, or the *reason* why it was turned away."""

    at: float
    life: int
    event: str
    ended: str = ""
    receipt: str | None = None
    hears: tuple[Hears, ...] = ()
    reason: str | None = None
    again: bool = False  # somebody else was told before, under the same key; ended Known: only the receipt was left
    written: str = ""  # a digest of the answer as it is kept, under a key


class Answered(msgspec.Struct, tag=True):
    """The producer heard of it: accepted with a receipt, or turned away with a reason."""

    at: float
    life: int
    event: str
    receipt: str | None = None
    delivery: Delivery | None = None
    reason: str | None = None


class Sent(msgspec.Struct, kw_only=True):
    """One attempt as its target saw it; *did*: the target has done what it was asked, whatever we heard of that.

    ``outcome`` is what came back, at ``ended``. Both are None while it is in flight, and after a crash. An attempt that
    the engine gave up, by its deadline or because a hedge was faster, has ended ``cancelled``. A hedge is *of* the one
    that its attempt began with.
    Those of one batch have the same ``request``: the first of them stands for it where requests are counted.
    """

    n: int
    at: float
    life: int
    event: str
    delivery: Delivery
    route: str
    target: str
    url: str
    number: int
    did: bool
    request: int  # the n of the first of them
    shared: int  # how many there are
    size: int  # of the whole body, in bytes
    ended: float | None = None
    outcome: Outcome | None = None
    cancelled: bool = False
    saw: tuple[tuple[str, str, bytes | None], ...] = ()  # of earlier targets: name, state, body of the answer
    of: int | None = None

    @property
    def leads(self) -> bool:
        """It stands for its request."""
        return self.n == self.request

    @property
    def yes(self) -> bool:
        """Success, and it was heard."""
        return type(self.outcome) is Delivered


class Started(msgspec.Struct, tag=True):
    """Attempt *n* reaches its target."""

    at: float
    n: int


class Landed(msgspec.Struct, tag=True):
    """What became of attempt *n* reaches the engine, or the engine stops waiting for it."""

    at: float
    n: int


class Adopted(msgspec.Struct, tag=True):
    """An operator's new plan is in force."""

    at: float
    life: int
    plan: Plan


class Retired(msgspec.Struct, tag=True):
    """A route was deleted."""

    at: float
    life: int
    route: str


class Told(msgspec.Struct, tag=True):
    """The engine said so itself."""

    at: float
    life: int
    change: Change


class Committed(msgspec.Struct, tag=True):
    """A commit that was put together at *begun* is over; *fault* says how it failed."""

    at: float
    life: int
    begun: float
    fault: str | None = None


class Replayed(msgspec.Struct, tag=True):
    """Somebody's replay of dead letters is done: of so many as were *meant*, of which *kept* are there afterwards."""

    at: float
    life: int
    receipts: tuple[str, ...]
    meant: int
    kept: int


class Removed(msgspec.Struct, tag=True):
    """Somebody removed dead letters for good; while *began* … *at* any may have gone."""

    at: float
    life: int
    began: float
    count: int


class Decided(msgspec.Struct, tag=True):
    """Somebody resumed stuck sagas, or abandoned them."""

    at: float
    life: int
    deed: str


class Stopping(msgspec.Struct, tag=True):
    """SIGTERM: from here on nothing new may be taken or sent."""

    at: float
    life: int


class Began(msgspec.Struct, tag=True):
    """A process is up, with what the journal had; *rebooted*: the machine started anew before."""

    at: float
    life: int
    rebooted: bool = False


class Ended(msgspec.Struct, tag=True):
    """A process is gone: ``crash`` (kill -9), ``power`` (and with it what was not synced) or ``drained``."""

    at: float
    life: int
    how: str


class Healed(msgspec.Struct, tag=True):
    """All faults are over; whatever is owed has to be settled *within* seconds of it."""

    at: float
    life: int
    within: float


class Settled(msgspec.Struct, tag=True):
    """Nothing is pending any more; or *left* still is, or the process is *unready*, when patience ended."""

    at: float
    life: int
    left: int = 0
    unready: str | None = None


Record = (
    Posted
    | Served
    | Answered
    | Repeated
    | Started
    | Landed
    | Adopted
    | Retired
    | Told
    | Committed
    | Replayed
    | Removed
    | Decided
    | Stopping
    | Began
    | Ended
    | Healed
    | Settled
)
R = typing.TypeVar("R")


class History(msgspec.Struct):
    """Everything in order, and what was there to be seen at the end."""

    log: list[Record] = msgspec.field(default_factory=list)
    sent: list[Sent] = msgspec.field(default_factory=list)
    accepted: dict[str, str] = msgspec.field(default_factory=dict)  # event id -> receipt
    events: dict[str, EventView | None] = msgspec.field(default_factory=dict)  # receipt -> its final view
    letters: dict[str, DeadLetterView] = msgspec.field(default_factory=dict)  # dead letters that were seen, with bodies
    left: set[str] = msgspec.field(default_factory=set)  # the ids of those that are there at the end
    wall: float = 0.0  # what to take from a time in a view to have the world's
    meters: list[LaneMeter] = msgspec.field(default_factory=list)
    faults: list[Exception] = msgspec.field(default_factory=list)  # raised by callbacks
    fired: dict[str, int] = msgspec.field(default_factory=dict)  # which faults really happened, and how often

    def fire(self, what: str, count: int = 1) -> None:
        """Count a fault that happened."""
        self.fired[what] = self.fired.get(what, 0) + count

    def of(self, kind: type[R]) -> list[R]:
        """The records of one kind, in order."""
        return [one for one in self.log if type(one) is kind]

    @property
    def states(self) -> dict[str, dict[str, str]]:
        """Event id -> target -> final state."""
        return {event: _states(self.events.get(receipt)) for event, receipt in self.accepted.items()}

    def fingerprint(self) -> str:
        """A digest of all that happened: the same seed must give the same one, in every process."""
        whole = (
            self.log,
            self.sent,
            self.accepted,
            self.events,
            self.letters,
            self.meters,
            self.fired,
            sorted(self.left),
        )
        return hashlib.blake2b(msgspec.msgpack.encode(whole), digest_size=16).hexdigest()


def _states(view: EventView | None) -> dict[str, str]:
    return {one.target: one.state for one in view.deliveries} if view else {}
