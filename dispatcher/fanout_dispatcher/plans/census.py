"""Who is really gone. One list that lacks a route is no evidence: a file may be between two writes, a list cut short.

Pure. A route that is missing counts as gone when a second list, at least `CONFIRM` seconds later, lacks it too. When
many are missing at once (an empty list where there were several, or most of three and more), nobody is: rights were
lost, a folder was unmounted, a CRD was deleted. They stay until they are back or go in smaller steps.
"""

import typing

import msgspec

CONFIRM: typing.Final = 1.0  # seconds
# Routes that may go at once, whatever their share. Fewer than the operator's sweep lets go (10), since of files a list
# is all there is; in a cluster each of them is asked for by name too (kubernetes.py).
FEW: typing.Final = 2


class Absences(msgspec.Struct, frozen=True, kw_only=True):
    """What one list says of who is missing. ``again``: look again in that many seconds."""

    gone: tuple[str, ...] = ()
    held: tuple[str, ...] = ()
    again: float | None = None


class Census:
    """Remembers since when a route is missing."""

    def __init__(self) -> None:
        self._missing: dict[str, float] = {}

    def take(
        self,
        present: typing.AbstractSet[str],
        in_force: typing.Iterable[str],
        now: float,
        restless: typing.AbstractSet[str] = frozenset(),
    ) -> Absences:
        """Compare a complete list with what is in force.

        Where a *restless* route was written has just changed: if it is missing, it counts as missing from now on only.
        """
        known = set(in_force)
        missing = known - present
        if _many(len(missing), len(known)):
            self._missing.clear()  # once they are few again, two lists have to say so
            return Absences(held=tuple(sorted(missing)))
        known_since = {route: since for route, since in self._missing.items() if route not in restless}
        self._missing = {route: known_since.get(route, now) for route in sorted(missing)}
        gone = tuple(route for route, since in self._missing.items() if now - since >= CONFIRM)
        for route in gone:
            del self._missing[route]
        waits = [CONFIRM - (now - since) for since in self._missing.values()]  # more than 0: as it was asked above
        return Absences(gone=gone, again=min(waits, default=None))

    def __repr__(self) -> str:
        return f"Census(missing={sorted(self._missing)})"


def _many(missing: int, known: int) -> bool:
    return (missing == known and missing > 1) or (missing > FEW and missing * 2 > known)
