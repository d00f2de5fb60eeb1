"""What a supervisor and its workers tell each other: one value per message, msgpack on the wire (see `link`).

Down go the orders, plans with their credentials, and questions; up come what was recovered, what changed, and answers.
Nothing here is written to disk or logged: an `Adopt` holds secrets, so even its repr does not show them.
"""

import typing

import msgspec

from fanout_crds.plan import Plan
from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_dispatcher.values.views import DeadLetterFilter, DeadLetterView, EventView, RouteView, SagaFilter
from fanout_dispatcher.workers.shares import Share

LaneKey = tuple[str, str]  # route, target


class Orders(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first message down: who the worker is, and all that it needs to start."""

    worker: int
    share: Share  # of the limits
    data: str  # the folder of its journal
    journal_bytes: int
    journals: int  # on its disk, with those that earlier workers left behind
    memory_bytes: int
    allow_loopback: bool
    allow_cidrs: tuple[str, ...]
    own: tuple[tuple[str, int], ...]  # addresses and ports where no target may be
    log_level: str
    log_format: str
    # The descriptor of the listening socket; None: it takes nothing new, and delivers what it has.
    socket: int | None = None


class Adopt(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Carry out *plan*, whole: the worker takes its share of it."""

    plan: Plan
    credentials: dict[str, bytes]
    owner: int | None = None  # the worker that takes its events; None: whoever reads them

    def __repr__(self) -> str:
        return f"Adopt({self.plan.key}, {self.plan.revision})"


class Retire(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """Stop *route*: it was deleted."""

    route: str


class Plans(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What changed in one turn of the supervisor's loop: done in one turn of the worker's, in this order.

    *known* says that the plans are complete, which is part of readiness.
    """

    changes: tuple[Adopt | Retire, ...]
    known: bool


class CaughtUp(msgspec.Struct, frozen=True, tag=True):
    """All plans in force have been sent: take events."""


class Stop(msgspec.Struct, frozen=True, tag=True):
    """Take no more events, land what is in flight, end."""


class Opened(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The first message up: the journal is open. *plans* are those it kept, by route."""

    plans: dict[str, bytes]
    pending: int  # deliveries
    keyed: tuple[int, ...] = ()  # doors of the routes that it has keys or an order of


class Unable(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker cannot start; a sentence for who can mend it."""

    why: str


class Taking(msgspec.Struct, frozen=True, tag=True):
    """The worker takes events (or would, if it had a socket)."""


class Stopping(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """The worker takes no more events, and what is in flight may take *patience* seconds still."""

    patience: float


class Told(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What changed in a worker since it last told, all of it the first time; meters are totals of this life."""

    readiness: str | None
    port: PortMeter
    journals: dict[str, JournalMeter] = msgspec.field(default_factory=dict)
    routes: tuple[RouteView, ...] = ()
    doors: tuple[RouteMeter, ...] = ()
    lanes: tuple[LaneMeter, ...] = ()
    routes_gone: tuple[str, ...] = ()
    doors_gone: tuple[str, ...] = ()
    lanes_gone: tuple[LaneKey, ...] = ()
    whole: bool = False


# --- questions: all of them go down, `EventOf` up too -----------------------------------------------------------------


class EventOf(msgspec.Struct, frozen=True, tag=True):
    """What became of an event?"""

    receipt: str


class Events(msgspec.Struct, frozen=True, tag=True):
    """Which events are there?"""

    route: str | None
    after: str | None
    limit: int


class Letters(msgspec.Struct, frozen=True, tag=True):
    """Which dead letters are there?"""

    wanted: DeadLetterFilter


class LetterOf(msgspec.Struct, frozen=True, tag=True):
    """Show a dead letter with its body."""

    ident: str


class Replay(msgspec.Struct, frozen=True, tag=True):
    """Send dead letters again."""

    wanted: DeadLetterFilter


class Remove(msgspec.Struct, frozen=True, tag=True):
    """Drop dead letters for good."""

    wanted: DeadLetterFilter


class Sagas(msgspec.Struct, frozen=True, tag=True):
    """Which sagas are stuck?"""

    wanted: SagaFilter


class Resume(msgspec.Struct, frozen=True, tag=True):
    """Try again what is stuck of them."""

    wanted: SagaFilter


class Abandon(msgspec.Struct, frozen=True, tag=True):
    """Give up what is stuck of them."""

    wanted: SagaFilter


class Backup(msgspec.Struct, frozen=True, tag=True):
    """Copy your journal."""


# What these two are answered with; a cast, since a union is no type to a type checker.
EVENT: typing.Final = typing.cast("type[EventView | None]", EventView | None)
LETTER: typing.Final = typing.cast("type[DeadLetterView | None]", DeadLetterView | None)

Question = EventOf | Events | Letters | LetterOf | Replay | Remove | Sagas | Resume | Abandon | Backup


class Ask(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A question, and the number that its answer will carry."""

    number: int
    question: Question


class Answer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """What a question is answered with, encoded; its type follows from the question."""

    number: int
    answer: bytes


class NoAnswer(msgspec.Struct, frozen=True, kw_only=True, tag=True):
    """A question that cannot be answered: because of its cursor, or of whoever was asked."""

    number: int
    why: str
    cursor: bool = False


Message = Orders | Plans | CaughtUp | Stop | Opened | Unable | Taking | Stopping | Told | Ask | Answer | NoAnswer
