"""What all lanes share: clock, wheels, stock, pool, cache, callers, and the lists of the lanes with something to do.

A lane asks to be pumped whenever something may have changed, often many times in one turn of the loop; its route's list
makes one pump of it, in the next turn. So a burst of landings is looked at once, and no lane calls into another.

The loop's time goes round by route, so that one with many targets has no more of it than one with a single one: in each
turn a route's lanes have one quantum together, in the order in which they asked. Those that it did not suffice for come
first in the next turn. A route that has the loop to itself has a quantum for each lane: with less, what 64 connections
bring in one turn would not go out in the next, would pile up in the index, and would cost half as much again.
"""

import math
import random
import typing

from fanout_dispatcher.engine.callers import Callers
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.stock import Stock
from fanout_dispatcher.engine.wheel import Wheel
from fanout_dispatcher.policies.cache import Cache
from fanout_dispatcher.policies.ration import Pool
from fanout_dispatcher.telemetry.seam import Seam

HEDGE_TICK: typing.Final = 0.002  # seconds; a hedge is there to save a few of them
QUANTUM: typing.Final = 128  # deliveries that a route starts in one turn of the loop; then the others have theirs
ALONE_AFTER: typing.Final = 1.0  # seconds since two routes last wanted the same turn: then a route is alone again


class Pumped(typing.Protocol):
    """What can be pumped: a lane of *route*. ``dirty`` is ours: it is on the list already."""

    route: str
    dirty: bool

    def pump(self, most: int) -> int:
        """Start whatever may start now, *most* deliveries for this time; say how many were taken up."""


class Works:
    """The shared machinery. *changed* is told a route's key when what the outside sees of it may differ."""

    def __init__(self, clock: Clock, *, seam: Seam, seed: int, changed: typing.Callable[[str], None]) -> None:
        self.clock = clock
        self.loop = clock.loop
        self.seam = seam
        self.seed = seed
        self.changed = changed
        self.wheel = Wheel(clock.loop)
        self.hedges = Wheel(clock.loop, HEDGE_TICK)
        self.stock = Stock()
        self.pool = Pool()
        self.cache = Cache()
        self.callers = Callers(clock)
        self.dirty: dict[str, list[Pumped]] = {}  # by route
        self.contended = -math.inf  # loop time at which two routes last wanted the same turn
        self.awake: dict[Pumped, None] = {}  # pumped since a sweep last found that they owe nothing; in order

    def rng(self, route: str, target: str) -> random.Random:
        """Chance for one lane, decided by the seed alone."""
        return random.Random(f"{self.seed}/{route}/{target}")

    def soon(self, lane: Pumped) -> None:
        """Pump *lane* in the next turn of the loop, once."""
        if not lane.dirty:
            lane.dirty = True
            if not self.dirty:
                self.loop.call_soon(self._turn)
            lanes = self.dirty.get(lane.route)
            if lanes is None:
                self.dirty[lane.route] = [lane]
            else:
                lanes.append(lane)
            self.awake[lane] = None

    def _turn(self) -> None:
        routes, self.dirty = self.dirty, {}
        now = self.loop.time()
        if len(routes) > 1:
            self.contended = now
        alone = now - self.contended > ALONE_AFTER
        for route, lanes in routes.items():
            left, waiting = QUANTUM * len(lanes) if alone else QUANTUM, iter(lanes)
            for lane in waiting:
                lane.dirty = False
                try:
                    left -= lane.pump(min(left, QUANTUM))
                except Exception as fault:  # noqa: BLE001  a fault of ours in one lane must not stop those behind it
                    self.loop.call_exception_handler({"message": f"pumping {lane!r}", "exception": fault})
                if left <= 0:
                    self._go_first(route, [*waiting])
                    break

    def _go_first(self, route: str, lanes: list[Pumped]) -> None:
        """Pump these *lanes* in the next turn, ahead of those of their route that have asked meanwhile."""
        if lanes:
            if not self.dirty:
                self.loop.call_soon(self._turn)
            self.dirty[route] = lanes + self.dirty.get(route, [])
