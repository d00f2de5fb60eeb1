"""What each dispatcher says it runs: the sum behind Programmed, Healthy and the counters.

Pure. Discovery says which dispatchers are ready, the followers (report.py) feed what they hear, and `changed` is told
the routes whose picture became another. A dispatcher counts from the end of its first snapshot; one that falls silent
keeps its last picture for a while and is then `Silent`. Until every ready dispatcher is one or the other the fleet is
not complete, and nobody should conclude anything from it: so a restart of the operator changes no status.

A dispatcher that is absent, silent or not ready any more, owes what its journal holds all the same. So its last picture
is remembered until it reports again, of one that is not ready for REMEMBERED seconds at most: what it counted neither
vanishes with it nor is news when it is back.
"""

import enum
import typing
from collections.abc import Callable, Collection, Iterable

import msgspec

from fanout_crds.report import RouteReport
from fanout_operator.picture import Picture

REMEMBERED: typing.Final = 3600.0  # seconds; longer than a node takes to be replaced, with the volume that it had


class View(msgspec.Struct, frozen=True, kw_only=True):
    """A route across the fleet: by dispatcher what it runs, None where it runs nothing for this route."""

    complete: bool
    silent: tuple[str, ...] = ()
    reports: tuple[tuple[str, RouteReport | None], ...] = ()
    remembered: tuple[tuple[str, RouteReport], ...] = ()  # the last words of those who are absent
    unheard: bool = False  # somebody was never heard, or there is nobody to be heard: no sum is known

    @property
    def empty(self) -> bool:
        """There is no dispatcher at all."""
        return not self.reports and not self.silent


class State(enum.Enum):
    """How far a dispatcher's report is."""

    CONNECTING = enum.auto()
    COMPLETE = enum.auto()
    SILENT = enum.auto()


class Dispatcher:
    """One dispatcher's last complete picture, and the snapshot that is being loaded."""

    def __init__(self) -> None:
        self.state = State.CONNECTING
        self.picture = Picture()
        self.loading: Picture | None = None
        self.heard = False  # whether the picture ever was complete

    def __repr__(self) -> str:
        return f"<Dispatcher {self.state.name} {self.picture!r}>"


class Fleet:
    """All ready dispatchers, by name."""

    def __init__(self, changed: Callable[[Collection[str] | None], None]) -> None:
        """`changed` gets the keys of routes, or None when every route's picture may be another."""
        self._changed = changed
        self._ready: dict[str, Dispatcher] = {}
        self._away: dict[str, Dispatcher] = {}  # not ready any more, and remembered
        self._discovered = False

    def __repr__(self) -> str:
        return f"<Fleet complete={self.complete} {self._ready}>"

    @property
    def complete(self) -> bool:
        """Whether what is here may be believed to be all."""
        return self._discovered and all(one.state is not State.CONNECTING for one in self._ready.values())

    def expect(self, names: Collection[str]) -> None:
        """Take the list of all dispatchers that are ready."""
        if self._discovered and set(names) == set(self._ready):
            return
        self._discovered = True
        known = self._ready | self._away
        self._ready = {name: known.pop(name) if name in known else Dispatcher() for name in names}
        self._away = {name: one for name, one in known.items() if one.heard}
        for one in self._away.values():
            one.state, one.loading = State.CONNECTING, None  # that is how it comes back
        self._everything()

    def forget(self, name: str) -> None:
        """A dispatcher has not been ready for so long that what it counted counts no more."""
        if one := self._away.pop(name, None):
            self._tell(one.picture)

    def hello(self, name: str) -> None:
        """A stream begins: a new snapshot is being loaded, the last picture holds until it is complete."""
        if one := self._ready.get(name):
            one.loading = Picture()

    def route(self, name: str, report: RouteReport, length: int = 0) -> None:
        """One route, of the snapshot or changed since, by a line of so many bytes. Raises TooMuch."""
        one = self._ready.get(name)
        if one is None:
            return
        if one.loading is not None:
            one.loading.put(report, length)
        elif one.picture.get(report.route) != report:
            one.picture.put(report, length)
            self._tell((report.route,))

    def broken(self, name: str) -> None:
        """The stream broke off: what there is of a snapshot is of no use any more."""
        if one := self._ready.get(name):
            one.loading = None

    def gone(self, name: str, route: str) -> None:
        """A dispatcher runs nothing for a route any more."""
        one = self._ready.get(name)
        if one and (one.picture if one.loading is None else one.loading).drop(route) and one.loading is None:
            self._tell((route,))

    def loaded(self, name: str) -> None:
        """The snapshot is complete: it is the picture now."""
        one = self._ready.get(name)
        if one is None or one.loading is None:
            return
        before, one.picture, one.loading = one.picture, one.loading, None
        was, one.state, one.heard = one.state, State.COMPLETE, True
        if was is not State.COMPLETE:
            self._everything()
        else:
            self._tell(before.differing(one.picture))

    def silent(self, name: str) -> None:
        """A ready dispatcher has not been heard for too long; the snapshot that is being loaded may come to its end."""
        one = self._ready.get(name)
        if one and one.state is not State.SILENT:
            one.state = State.SILENT
            self._everything()

    def view(self, route: str) -> View:
        """What the fleet says of one route."""
        silent = {name: one for name, one in self._ready.items() if one.state is State.SILENT}
        everybody = (self._ready | self._away).values()
        return View(
            complete=self.complete,
            silent=tuple(sorted(silent)),
            reports=tuple(
                (name, one.picture.get(route))
                for name, one in sorted(self._ready.items())
                if one.state is State.COMPLETE
            ),
            remembered=tuple(
                (name, report)
                for name, one in sorted((silent | self._away).items())
                if (report := one.picture.get(route))
            ),
            unheard=not everybody or not all(one.heard for one in everybody),
        )

    def _everything(self) -> None:
        """Only once complete: what changes before is told then, in one go."""
        if self.complete:
            self._changed(None)

    def _tell(self, routes: Iterable[str]) -> None:
        keys = tuple(routes)
        if keys and self.complete:
            self._changed(keys)
