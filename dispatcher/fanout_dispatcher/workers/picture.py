"""What the supervisor knows of one worker: what it told in this life, and the counters of its earlier ones.

A worker that dies takes its counters with it, and counters must never go backwards. So what it told last is kept: its
counters are added to those of the next life. Its gauges stand until the next life tells its own, since what was pending
still is: it lies in the journal. The views stand as well: a worker takes no event before it has caught up, so that
nothing is ever accepted under a plan that is older than the view says.
"""

import typing

from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_dispatcher.values.views import RouteView
from fanout_dispatcher.workers import sums
from fanout_dispatcher.workers.messages import LaneKey, Told

Key = typing.TypeVar("Key")
Meter = typing.TypeVar("Meter", LaneMeter, RouteMeter, JournalMeter)


class Changed(typing.NamedTuple):
    """What a message changed."""

    routes: frozenset[str]
    doors: frozenset[str]
    lanes: frozenset[LaneKey]


class Picture:
    """One worker, as it last told."""

    def __init__(self) -> None:
        self.routes: dict[str, RouteView] = {}
        self.readiness: str | None = "it is starting"
        self._port = PortMeter()
        self._port_before = PortMeter()
        self._doors: Lives[str, RouteMeter] = Lives()
        self._lanes: Lives[LaneKey, LaneMeter] = Lives()
        self._journals: Lives[str, JournalMeter] = Lives()

    def take(self, told: Told) -> Changed:
        """Take what the worker tells; gives what differs from before."""
        before = set[str]()
        if told.whole:
            before = set(self.routes)
            self.routes.clear()
            self._port_before = sums.of_the_past(sums.total([self._port_before, self._port]))
        for route in told.routes_gone:
            self.routes.pop(route, None)
        self.routes |= {view.route: view for view in told.routes}
        self.readiness = told.readiness
        self._port = told.port
        self._journals.take(told.journals, (), whole=told.whole)
        return Changed(
            routes=frozenset(before | {view.route for view in told.routes} | set(told.routes_gone)),
            doors=self._doors.take({one.route: one for one in told.doors}, told.doors_gone, whole=told.whole),
            lanes=self._lanes.take(
                {(one.route, one.target): one for one in told.lanes}, told.lanes_gone, whole=told.whole
            ),
        )

    def died(self, why: str) -> frozenset[LaneKey]:
        """The worker is gone, and with it what was in flight; gives the lanes that this changes."""
        self.readiness = why
        self._port.connected = 0
        for lane in self._lanes.now.values():
            lane.in_flight = 0
        return frozenset(self._lanes.now)

    def lane(self, key: LaneKey) -> LaneMeter | None:
        """The meter of a lane, over all lives."""
        return self._lanes.total(key)

    def door(self, route: str) -> RouteMeter | None:
        """The meter of a route's front door, over all lives."""
        return self._doors.total(route)

    def journal(self, durability: str) -> JournalMeter | None:
        """The meter of a journal, over all lives."""
        return self._journals.total(durability)

    def port(self) -> PortMeter:
        """The meter of the data port, over all lives."""
        return sums.total([self._port, self._port_before])


class Lives(typing.Generic[Key, Meter]):
    """Meters of this life, and the counters of those before."""

    def __init__(self) -> None:
        self.now: dict[Key, Meter] = {}
        self._before: dict[Key, Meter] = {}

    def take(self, told: dict[Key, Meter], gone: typing.Iterable[Key], *, whole: bool) -> frozenset[Key]:
        """Take what changed; gives the keys that differ. *whole* begins a life, with all that there is."""
        gone = list(gone)
        if whole:
            gone += [key for key in self.now if key not in told]
            for key in told.keys() & self.now.keys():
                self._before[key] = sums.of_the_past(self._over(key))
        for key in gone:
            self.now.pop(key, None)
            self._before.pop(key, None)  # as without workers: what is made again begins at 0
        self.now |= told
        return frozenset(told) | frozenset(gone)

    def total(self, key: Key) -> Meter | None:
        """This life and those before."""
        return self._over(key) if key in self.now else None

    def _over(self, key: Key) -> Meter:
        before = self._before.get(key)
        return self.now[key] if before is None else sums.total([self.now[key], before])
