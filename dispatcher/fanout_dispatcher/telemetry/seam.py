"""The one seam for what people want to be told: rare changes of state, as frozen values.

Whoever notices a change calls `tell`; logs (and later traces and audit) listen behind it. It is never called per event
or per attempt: those are counters. No value here can hold a secret or a payload.
"""

import typing

import msgspec


class CircuitChanged(msgspec.Struct, frozen=True, kw_only=True):
    """A target's circuit went from one state to another. ``opens_for`` (s) goes with Open: how long nothing is sent."""

    route: str
    target: str
    before: str
    after: str  # Closed | Open | HalfOpen
    why: str = ""
    opens_for: float | None = None


class DeliveryDead(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery was given up and is kept as a dead letter."""

    route: str
    target: str
    receipt: str
    reason: str
    detail: str = ""
    attempts: int = 0


class DeliveryFellBack(msgspec.Struct, frozen=True, kw_only=True):
    """A delivery was given up, and something stands in for its target: there is no dead letter of it."""

    route: str
    target: str
    receipt: str
    reason: str
    detail: str = ""
    attempts: int = 0


class SagaStuck(msgspec.Struct, frozen=True, kw_only=True):
    """A compensation was given up: what is left to undo waits until somebody resumes or abandons the saga."""

    route: str
    target: str
    receipt: str
    reason: str
    detail: str = ""


class SagaResumed(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody had a compensation that was given up tried again."""

    route: str
    target: str
    receipt: str


class RouteAdopted(msgspec.Struct, frozen=True, kw_only=True):
    """A plan came into force."""

    route: str
    revision: str
    generation: int
    targets: int
    held: tuple[str, ...] = ()  # targets whose references do not resolve


class TargetHeld(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing can be sent to a target by the plan in force: its deliveries wait. Told anew when ``why`` changes."""

    route: str
    target: str
    reason: str
    why: str = ""


class RouteRefused(msgspec.Struct, frozen=True, kw_only=True):
    """A newer plan is not in force; the last good one, if there is one, stays."""

    route: str
    why: str


class RouteRetired(msgspec.Struct, frozen=True, kw_only=True):
    """A route was deleted and takes no more events."""

    route: str


class SourceFailed(msgspec.Struct, frozen=True, kw_only=True):
    """Nothing can be fetched for a route by itself, for now; told once for each cause. ``why`` is a sentence."""

    route: str
    reason: str
    why: str = ""


class SourceFetches(msgspec.Struct, frozen=True, kw_only=True):
    """A route's source is fetched from: for the first time, or again."""

    route: str


class JournalDegraded(msgspec.Struct, frozen=True, kw_only=True):
    """The journal cannot commit: producers get 503 until it can."""

    why: str


class JournalRecovered(msgspec.Struct, frozen=True, kw_only=True):
    """The journal commits again, after that many seconds."""

    after: float


class DeliveriesUnreadable(msgspec.Struct, frozen=True, kw_only=True):
    """The journal does not give what waits for a target: it is tried again every second, and nothing is lost."""

    route: str
    target: str
    why: str


class DeliveriesReadable(msgspec.Struct, frozen=True, kw_only=True):
    """It gives it again."""

    route: str
    target: str


class PlansHeld(msgspec.Struct, frozen=True, kw_only=True):
    """A plan source did not believe what it saw (many routes gone at once); the routes stay in force."""

    source: str
    why: str
    routes: tuple[str, ...] = ()


class PlansFaulty(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest, or the whole source, cannot be read; ``why`` names the place."""

    source: str
    why: str


class PlansMended(msgspec.Struct, frozen=True, kw_only=True):
    """What was told to be faulty or refused is so no more, or is gone: ``of`` is a file or a route."""

    source: str
    of: str


class PlansCautioned(msgspec.Struct, frozen=True, kw_only=True):
    """What is no fault and will surprise all the same, of a route in force or of a file; ``why`` names the places."""

    source: str
    why: str
    route: str = ""  # empty: of a file


class PlansForeign(msgspec.Struct, frozen=True, kw_only=True):
    """A manifest is of another installation's class, and left to that."""

    source: str
    why: str


class PlansSynced(msgspec.Struct, frozen=True, kw_only=True):
    """The first complete load of a source is in, or a source that was away is back."""

    source: str
    routes: int


Change = (
    CircuitChanged
    | DeliveryDead
    | DeliveryFellBack
    | SagaStuck
    | SagaResumed
    | RouteAdopted
    | TargetHeld
    | RouteRefused
    | RouteRetired
    | SourceFailed
    | SourceFetches
    | JournalDegraded
    | JournalRecovered
    | DeliveriesUnreadable
    | DeliveriesReadable
    | PlansHeld
    | PlansFaulty
    | PlansMended
    | PlansCautioned
    | PlansForeign
    | PlansSynced
)


class Seam(typing.Protocol):
    """Listens to changes. Never raises, never waits."""

    def tell(self, change: Change) -> None:
        """Take notice of *change*."""


class Silent:
    """The seam of those who do not listen."""

    def tell(self, change: Change) -> None:
        """Nothing."""


class Recorder:
    """The seam of tests: keeps what it was told, in order."""

    def __init__(self) -> None:
        self.changes: list[Change] = []

    def tell(self, change: Change) -> None:
        """Keep *change*."""
        self.changes.append(change)

    def __repr__(self) -> str:
        return f"Recorder({len(self.changes)} changes)"
