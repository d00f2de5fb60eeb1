"""Plans that stay in force though their routes are gone, since what took them looks like a fault and no deletion.

Two find such plans: the sweeper, when many routes are missing from a list at once, and a reconcile, when the definition
of routes is gone with them. Each keeps its own `Kept`, which tells people once when there begins to be something to
tell, and for the rest is a number in the metrics.
"""

from collections.abc import Callable, Collection, Iterator


class Kept:
    """The routes whose plans stay, as one of the two sees it."""

    def __init__(self, told: Callable[[Collection[str]], None]) -> None:
        """`told` hears of the routes when there are some and there were none."""
        self._told = told
        self._routes: set[str] = set()

    def __repr__(self) -> str:
        return f"<Kept {len(self)}>"

    def __len__(self) -> int:
        return len(self._routes)

    def __contains__(self, route: str) -> bool:
        return route in self._routes

    def __iter__(self) -> Iterator[str]:
        return iter(self._routes)

    def set(self, routes: Collection[str]) -> None:
        """Say which they are, all of them."""
        before, self._routes = self._routes, set(routes)
        if self._routes and not before:
            self._told(sorted(self._routes))

    def add(self, route: str) -> None:
        """One more."""
        if self._routes:
            self._routes.add(route)
        else:
            self.set((route,))

    def drop(self, route: str) -> None:
        """One less: it is back, or its plan is gone."""
        self._routes.discard(route)
