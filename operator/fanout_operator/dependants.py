"""Which routes need which objects, so that a change of an object brings back exactly the routes that use it.

Gathering says what a route needs, whether it exists or not; the referents ask who needs what has just changed. An
object is named ``Kind/namespace/name``, a permission of a grant likewise (grants.Permission).
"""

from collections.abc import Collection

from fanout_operator.kube import Kind


def thing_of(kind: Kind, key: str) -> str:
    """The name of an object here; `key` is its ``namespace/name``."""
    return f"{kind.name}/{key}"


class Dependants:
    """What each route needs, and the other way round."""

    def __init__(self) -> None:
        self._needs: dict[str, frozenset[str]] = {}
        self._needed: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"<Dependants routes={len(self._needs)} objects={len(self._needed)}>"

    def of(self, thing: str) -> Collection[str]:
        """The routes that need an object, whether it exists or not."""
        return tuple(self._needed.get(thing, ()))

    def set(self, route: str, things: frozenset[str]) -> None:
        """Say all that a route needs; an empty set forgets the route."""
        before = self._needs.pop(route, frozenset())
        for thing in before - things:
            self._needed[thing].discard(route)
            if not self._needed[thing]:
                del self._needed[thing]
        for thing in things - before:
            self._needed.setdefault(thing, set()).add(route)
        if things:
            self._needs[route] = things
