"""Who has which path: the incumbent keeps it; age decides only at a cold start.

A claim is taken in the same step of the loop that judges a route, before anything is written, so two routes never win
one path. Who loses is remembered as waiting, and told when the path is free.
"""

import msgspec


class Holder(msgspec.Struct, frozen=True):
    """A route that holds a path: the uid tells a route from its successor of the same name."""

    route: str
    uid: str


class Claims:
    """Paths and their holders. A route holds one path, two while it moves from one to another."""

    def __init__(self) -> None:
        self._holders: dict[str, Holder] = {}
        self._paths: dict[str, set[str]] = {}  # by route: what it holds or waits for
        self._waiting: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"<Claims {len(self._holders)} contested={len(self._waiting)}>"

    def holder(self, path: str) -> Holder | None:
        """Who has a path."""
        return self._holders.get(path)

    def take(self, path: str, route: Holder) -> Holder:
        """Claim a path; answers who has it now. A route made again takes over what its namesake had."""
        had = self._holders.get(path)
        self._paths.setdefault(route.route, set()).add(path)
        if had is None or had.route == route.route:
            self._holders[path] = route
            return route
        self._waiting.setdefault(path, set()).add(route.route)
        return had

    def keep(self, route: str, paths: frozenset[str]) -> frozenset[str]:
        """Release all that a route holds or waits for but `paths`; answers who waited for what became free."""
        had = self._paths.pop(route, set())
        if had & paths:
            self._paths[route] = had & paths
        return frozenset().union(*(self._leave(path, route) for path in had - paths))

    def _leave(self, path: str, route: str) -> set[str]:
        """Hold a path or wait for it no longer; answers who waited for it, where it became free."""
        if self._holders[path].route == route:
            del self._holders[path]
            freed = self._waiting.pop(path, set())
            for waiting in freed:
                self._paths[waiting].discard(path)
            return freed
        self._waiting[path].discard(route)
        if not self._waiting[path]:
            del self._waiting[path]
        return set()
