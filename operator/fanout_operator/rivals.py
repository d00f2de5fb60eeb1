"""Two installations that serve one class: who writes a route's status, and that people are told.

A class is a name that installers choose, and two may choose the same. Each then writes plans in its own namespace, each
has dispatchers that run them, and each would write the status of every route with what its own dispatchers say: one
after the other, without end. So a status names the installation that it is of, and another's name is written over once:

- who finds another's name claims the status by writing his own, and that alone unless nobody has answered yet;
- who finds his own written over knows that the other one lives, and claims it back;
- whoever has claimed it lately already leaves it. So the incumbent keeps it, as it does a path.

A claim that stands for a while is good: then the other installation is gone, and the rest of the status follows. Who
left it asks again now and then, or soon, once the Service that the other one is called by has been deleted. Nobody
stops to carry out routes; what is at stake is only who tells of it. Pure; time is handed in.
"""

import enum
import typing
from collections.abc import Callable

import msgspec

LATELY: typing.Final = 300.0  # seconds for which a claim is not repeated
AGAIN: typing.Final = 600.0  # seconds after which whoever left a status to another asks again
STANDS: typing.Final = 10.0  # seconds after which a claim is good
ENDS: typing.Final = 10.0  # seconds that an operator may go on for once its installation's Services are deleted
OVER: typing.Final = 2 * AGAIN  # seconds without a word of the other one, after which there is none


class Turn(enum.Enum):
    """What to do about a status."""

    WRITE = enum.auto()  # all of it
    CLAIM = enum.auto()  # our name, and nothing else yet
    LEAVE = enum.auto()  # nothing, for now


class Claim(msgspec.Struct, frozen=True):
    """That we wrote over another's name: when, and whether all of the status with it."""

    at: float
    whole: bool


class Rival(msgspec.Struct, frozen=True):
    """Another installation, and when it was last seen to write."""

    name: str
    seen: float


class Rivals:
    """What is known of others that write the status of our routes."""

    def __init__(self, us: str, told: Callable[[str, str], None]) -> None:
        """`us` is what this installation is called: the same for all of its operators, and for no other's.

        `told` gets a route, and who else serves it, when that is news.
        """
        self.us = us
        self._told = told
        self._ours: set[str] = set()  # routes whose status had our name when it was last looked at
        self._claims: dict[str, Claim] = {}
        self._rivals: dict[str, Rival] = {}
        self._removed: dict[str, float] = {}  # others, and from when on what they have may be claimed again

    def __repr__(self) -> str:
        return f"<Rivals of {self.us} contested={len(self._rivals)}>"

    def another(self, named: str) -> bool:
        """Whether that is the name of another installation."""
        return named not in {"", self.us}

    def turn(self, key: str, named: str, *, answered: bool, now: float) -> tuple[Turn, float]:
        """What to do about a status of `named`'s, and in how many seconds to look again when that is nothing.

        `answered`: it is about the spec as it is now.
        """
        claim = self._claims.get(key)
        if not self.another(named):
            self._ours.add(key)
            wait = claim.at + STANDS - now if claim and not claim.whole else 0.0
            return (Turn.LEAVE, wait) if wait > 0 else (Turn.WRITE, 0.0)
        if key in self._ours:
            self._ours.discard(key)
            self._met(key, Rival(named, now))
        ended = self._removed.get(named)
        if ended is not None and now < ended:
            return Turn.LEAVE, ended - now
        if ended is None and claim and now - claim.at < LATELY:
            return Turn.LEAVE, AGAIN
        return (Turn.CLAIM if answered else Turn.WRITE), 0.0

    def wrote(self, key: str, over: str, now: float, *, whole: bool) -> None:
        """Our name stands in a status now, where `over` stood."""
        self._ours.add(key)
        if self.another(over):
            self._claims[key] = Claim(now, whole)

    def of(self, key: str, now: float) -> Rival | None:
        """Who else writes the status of a route."""
        found = self._rivals.get(key)
        if found and now - found.seen >= OVER:
            del self._rivals[key]
            return None
        return found

    def contested(self, now: float) -> int:
        """How many routes another installation serves too."""
        return sum(self.of(key, now) is not None for key in tuple(self._rivals))

    def removed(self, name: str, now: float) -> tuple[str, ...]:
        """Another installation, if that is one, is being removed: the routes that it served too.

        What it has may be claimed once its operator has ended; if that goes on all the same, it is a rival again.
        """
        keys = tuple(key for key, rival in self._rivals.items() if rival.name == name)
        for key in keys:
            del self._rivals[key]
            self._removed[name] = now + ENDS
        return keys

    def forget(self, key: str) -> None:
        """A route is gone, or not ours any more; what we claimed was."""
        self._ours.discard(key)
        self._claims.pop(key, None)
        self._rivals.pop(key, None)

    def _met(self, key: str, rival: Rival) -> None:
        known = self.of(key, rival.seen)
        self._rivals[key] = rival
        self._removed.pop(rival.name, None)
        if known is None or known.name != rival.name:
            self._told(key, rival.name)
