"""What all lanes share: one clock, one wheel of deadlines, one list of lanes that have something to do."""

import random
import typing

from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.wheel import Wheel
from fanout_dispatcher.telemetry.seam import Seam

if typing.TYPE_CHECKING:
    from fanout_dispatcher.engine.lane import Lane


class Works:
    """The shared machinery. *changed* is told a route's key when what the outside sees of it may differ."""

    def __init__(self, clock: Clock, *, seam: Seam, seed: int, changed: typing.Callable[[str], None]) -> None:
        self.clock = clock
        self.loop = clock.loop
        self.seam = seam
        self.seed = seed
        self.changed = changed
        self.wheel = Wheel(clock.loop, lambda flight: typing.cast("Lane", flight.landing).late(flight))
        self.dirty: list[Lane] = []

    def rng(self, route: str, target: str) -> random.Random:
        """Chance for one lane, decided by the seed alone."""
        return random.Random(f"{self.seed}/{route}/{target}")

    def soon(self, lane: "Lane") -> None:
        """Pump *lane* in the next turn of the loop, once."""
        if not lane.dirty:
            lane.dirty = True
            if not self.dirty:
                self.loop.call_soon(self._turn)
            self.dirty.append(lane)

    def _turn(self) -> None:
        lanes, self.dirty = self.dirty, []
        for lane in lanes:
            lane.dirty = False
            lane.pump()
