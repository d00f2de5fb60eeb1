"""How a worker keeps its supervisor in the picture: it looks at itself a few times a second, and tells what differs.

Nothing is added to the hot path: meters are compared by a digest of what they would look like on the link, so a counter
that somebody adds is told without a word here. With very many routes a look takes time, so it gives the loop back every
so often, and looks are spaced so that they never take more than a fiftieth of it.
"""

import asyncio
import contextlib
import typing

import msgspec

from fanout_dispatcher.values.desk import Desk, PortMeter
from fanout_dispatcher.values.views import RouteView
from fanout_dispatcher.workers.messages import Told

PACE: typing.Final = 0.2  # seconds between two looks
SPARSE: typing.Final = 49  # looks are spaced by at least so many times what one took
STRIDE: typing.Final = 200  # meters looked at in one turn of the loop

_encoder = msgspec.msgpack.Encoder()
Key = typing.TypeVar("Key")
Value = typing.TypeVar("Value", bound=msgspec.Struct)


class Teller:
    """Tells of one worker's *desk* and *port*, by *tell*."""

    def __init__(self, desk: Desk, port: PortMeter, tell: typing.Callable[[Told], None]) -> None:
        self._desk = desk
        self._port = port
        self._tell = tell
        self._routes: dict[str, int] = {}  # digests of what was told last
        self._doors: dict[str, int] = {}
        self._lanes: dict[tuple[str, str], int] = {}
        self._dirty: set[str] = set()  # routes whose views may differ
        self._hurry = asyncio.Event()
        self._stop = desk.watch(self._dirty.add)

    async def run(self) -> None:
        """Tell what changes, until cancelled; a first look at the whole comes before."""
        loop = asyncio.get_running_loop()
        try:
            while True:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), PACE)
                self._hurry.clear()
                began = loop.time()
                await self.look()
                await asyncio.sleep((loop.time() - began) * SPARSE)
        finally:
            self._stop()

    def hurry(self) -> None:
        """Look again now."""
        self._hurry.set()

    async def look(self, *, whole: bool = False) -> None:
        """Look once, and tell."""
        doors, doors_gone = await _differing(
            self._doors, {one.route: one for one in self._desk.route_meters()}, self._dirty.add
        )
        lanes, lanes_gone = await _differing(
            self._lanes, {(one.route, one.target): one for one in self._desk.lane_meters()}, self._moved
        )
        routes, routes_gone = self._views(whole=whole)
        self._tell(
            Told(
                readiness=self._desk.readiness(),
                port=self._port,
                journals=dict(self._desk.journal_meters()),
                routes=routes,
                routes_gone=routes_gone,
                doors=doors,
                doors_gone=doors_gone,
                lanes=lanes,
                lanes_gone=lanes_gone,
                whole=whole,
            )
        )

    def _moved(self, lane: tuple[str, str]) -> None:
        self._dirty.add(lane[0])

    def _views(self, *, whole: bool) -> tuple[tuple[RouteView, ...], tuple[str, ...]]:
        """The views of routes that differ from what was told of them, and the routes that are gone."""
        if whole:
            views = {view.route: view for view in self._desk.routes()}
            self._routes = {route: _digest(view) for route, view in views.items()}
            self._dirty.clear()
            return tuple(views.values()), ()
        dirty, told, gone = set(self._dirty), [], []
        self._dirty.clear()
        for route in dirty:
            view = self._desk.route(route)
            if view is None:
                if self._routes.pop(route, None) is not None:
                    gone.append(route)
            elif self._routes.get(route) != (digest := _digest(view)):
                self._routes[route] = digest
                told.append(view)
        return tuple(told), tuple(gone)


async def _differing(
    known: dict[Key, int], found: dict[Key, Value], moved: typing.Callable[[Key], None]
) -> tuple[tuple[Value, ...], tuple[Key, ...]]:
    """The values that differ from the digests *known*, which are brought up to date, and the keys that are gone."""
    differ = []
    for place, (key, value) in enumerate(found.items()):
        if place % STRIDE == STRIDE - 1:
            await asyncio.sleep(0)
        digest = _digest(value)
        if known.get(key) != digest:
            known[key] = digest
            differ.append(value)
            moved(key)
    gone = tuple(key for key in known if key not in found)
    for key in gone:
        del known[key]
        moved(key)
    return tuple(differ), gone


def _digest(value: msgspec.Struct) -> int:
    return hash(_encoder.encode(value))
