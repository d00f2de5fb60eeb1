"""What a simulated world is told to do: plain values, drawn from a seed before anything runs.

Times are seconds of script: of the world, less those in which no process was there. A scenario is a list of acts in
the order of their time; after ``heal`` every target is well and no fault happens any more. ``twin`` is the same
scenario without the trouble, where a promise is about the difference between the two.
"""

import msgspec

from fanout_crds.plan import Plan


class Mood(msgspec.Struct, frozen=True, kw_only=True):
    """How a target behaves until *until*: what tempers.py does about *kind*, to about *share* of the attempts."""

    kind: str
    until: float
    share: float = 1.0
    latency: tuple[float, float] = (0.001, 0.02)
    asks: int = 0  # seconds of a Retry-After
    takes: int = 1  # at once, before it slows down


Temper = tuple[Mood, ...]  # one after the other


class Post(msgspec.Struct, frozen=True, kw_only=True):
    """An event comes in. Its body takes *slow* seconds to arrive: the plan may change meanwhile."""

    at: float
    path: str
    event: str
    size: int = 20
    slow: float = 0.0
    waits: bool = False  # where its route lets callers wait
    key: str | None = None  # under which it may have come before, with the same body
    partition: str = ""  # its attribute partitionkey


class Adopt(msgspec.Struct, frozen=True, kw_only=True):
    """A new plan of a route, or a new route."""

    at: float
    plan: Plan


class Retire(msgspec.Struct, frozen=True, kw_only=True):
    """A route is deleted."""

    at: float
    route: str


class Replay(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters are replayed while everything else goes on."""

    at: float
    limit: int


class Remove(msgspec.Struct, frozen=True, kw_only=True):
    """Dead letters are removed for good."""

    at: float
    limit: int


class Decide(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody resumes stuck sagas, or abandons them."""

    at: float
    deed: str  # resume | abandon
    limit: int


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """About so many commits fail from now on."""

    at: float
    share: float


class Latency(msgspec.Struct, frozen=True, kw_only=True):
    """The disk is as slow as this from now on."""

    at: float
    seconds: tuple[float, float]


class Jump(msgspec.Struct, frozen=True, kw_only=True):
    """Somebody sets the wall clock."""

    at: float
    seconds: float


class End(msgspec.Struct, frozen=True, kw_only=True):
    """The process ends: by ``crash``, ``power``, ``reboot`` or ``sigterm``; the next begins *away* seconds later.

    Meanwhile somebody may set the wall clock.
    """

    at: float
    how: str
    away: float = 0.0
    patience: float = 20.0
    jump: float = 0.0


Act = Post | Adopt | Retire | Replay | Remove | Decide | Trouble | Latency | Jump | End


class Scenario(msgspec.Struct, frozen=True, kw_only=True):
    """One world's script."""

    seed: int
    family: str
    plans: tuple[Plan, ...]
    tempers: dict[str, Temper]  # "namespace/name target" -> how it behaves
    acts: tuple[Act, ...]
    heal: float
    embedded: bool = False  # on the real journal
    latency: tuple[float, float] = (0.0001, 0.004)  # of the disk
    replay: bool = False  # at the end, everything that is dead goes out once more
    healthy: tuple[str, ...] = ()  # keys of tempers: those that must not notice
    twin: "Scenario | None" = None
