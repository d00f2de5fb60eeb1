"""Tells why nothing is sent to a target: once for each sentence, and not what is over before anybody could read it.

A start goes on with the plans of the journal, which keeps no credentials: until the plan source has brought them, a
moment later, their targets are held. That is told only where it stays so, since then the source is in trouble.
"""

import asyncio
import typing

from fanout_dispatcher.engine.lane import Lane
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.telemetry.seam import TargetHeld

SOON: typing.Final = 10.0  # seconds in which a plan source should have brought what the journal lacks


class Held(typing.NamedTuple):
    """Why a plan's target is held: the reason, and the sentence where there is one."""

    reason: str
    why: str = ""


SUSPENDED: typing.Final = Held("Suspended")  # somebody has asked for it: no news
MISSING: typing.Final = Held(
    "CredentialsMissing", "the journal keeps no credentials, and the plan source has not brought them yet"
)


class Holds:
    """Remembers what was told of each lane that is held."""

    def __init__(self, works: Works) -> None:
        self._works = works
        self._told: dict[Lane, Held] = {}
        self._later: dict[Lane, asyncio.TimerHandle] = {}

    def follow(self, lane: Lane, held: Held | None) -> None:
        """Take notice of what holds *lane* by the plan that it has adopted."""
        if held == MISSING:
            if lane not in self._later and self._told.get(lane) != held:
                self._later[lane] = self._works.loop.call_later(SOON, self._tell, lane, held)
        elif held is None or held == SUSPENDED:
            self.forget(lane)
        elif held != self._told.get(lane):
            self._tell(lane, held)

    def forget(self, lane: Lane) -> None:
        """Nothing holds it any more, or it is no more."""
        self._told.pop(lane, None)
        if lane in self._later:
            self._later.pop(lane).cancel()

    def close(self) -> None:
        """Tell nothing any more."""
        for lane in list(self._later):
            self.forget(lane)

    def _tell(self, lane: Lane, held: Held) -> None:
        self.forget(lane)
        self._told[lane] = held
        self._works.seam.tell(TargetHeld(route=lane.route, target=lane.target.name, reason=held.reason, why=held.why))
