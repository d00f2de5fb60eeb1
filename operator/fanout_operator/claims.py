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
        self._waiting: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"<Claims {len(self._holders)} contested={len(self._waiting)}>"

    def holder(self, path: str) -> Holder | None:
        """Who has a path."""
        return self._holders.get(path)

    def take(self, path: str, route: Holder) -> Holder:
        """Claim a path; answers who has it now. A route made again takes over what its namesake had."""
        had = self._holders.get(path)
        if had is None or had.route == route.route:
            self._holders[path] = route
            return route
        self._waiting.setdefault(path, set()).add(route.route)
        return had

    def keep(self, route: str, paths: frozenset[str]) -> frozenset[str]:
        """Release all that a route holds or waits for but `paths`; answers who waited for what became free."""
        for waiting in [path for path, routes in self._waiting.items() if route in routes and path not in paths]:
            self._leave(waiting, route)
        freed = [path for path, had in self._holders.items() if had.route == route and path not in paths]
        for path in freed:
            del self._holders[path]
        return frozenset().union(*(self._waiting.pop(path, set()) for path in freed))

    def _leave(self, path: str, route: str) -> None:
        self._waiting[path].discard(route)
        if not self._waiting[path]:
            del self._waiting[path]
