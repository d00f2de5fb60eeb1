"""Which route a request is for, by its path: a literal one, or a template with names in braces.

A literal path is one look-up in a dict, which templates do not slow down. Only a request that finds nothing there is
matched against the templates, by a tree of segments: in the first segment in which two differ a literal one wins over a
name. At each segment both branches may have to be tried, so a look-up visits at most as many nodes as the tree has,
and at most 2 to the power of the names that a path may have (8) for each depth.
"""

from fanout_crds.plan import Plan
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.values.parameters import segments

NAME = "{}"  # the segment of a claim that matches any


class _Node:
    """A node of the tree: the templates that are equal up to one segment."""

    __slots__ = ("any", "route", "written")

    def __init__(self) -> None:
        self.written: dict[str, _Node] = {}
        self.any: _Node | None = None
        self.route: Route | None = None  # whose path ends here

    def find(self, left: tuple[str, ...], at: int) -> Route | None:
        """Find the route of the segments *left*, from number *at* on."""
        if at == len(left):
            return self.route
        written = self.written.get(left[at])
        found = written.find(left, at + 1) if written is not None else None
        if found is None and self.any is not None:
            return self.any.find(left, at + 1)
        return found

    def put(self, claim: list[str], route: Route | None) -> bool:
        """Set whose template ends after the segments of *claim*; None removes it. False: this node is empty now."""
        if not claim:
            self.route = route
        else:
            first, *rest = claim
            next_one = self.any if first == NAME else self.written.get(first)
            next_one = next_one or _Node()
            kept = next_one if next_one.put(rest, route) else None
            if first == NAME:
                self.any = kept
            elif kept is not None:
                self.written[first] = kept
            else:
                self.written.pop(first, None)
        return bool(self.written) or self.any is not None or self.route is not None


class Paths:
    """The paths of all routes in force, by their claims."""

    def __init__(self) -> None:
        self._by_claim: dict[str, Route] = {}
        self._named = _Node()  # those with names in braces

    def __repr__(self) -> str:
        return f"<Paths {len(self._by_claim)}>"

    def at(self, path: str) -> Route | None:
        """Give the route whose literal path is *path*."""
        return self._by_claim.get(path)

    def like(self, path: str) -> Route | None:
        """Give the route whose template matches *path*, which is percent-encoded as it came."""
        if not self._named.written and self._named.any is None:
            return None
        found = segments(path)
        return None if found is None else self._named.find(found, 0)

    def holder(self, plan: Plan) -> Route | None:
        """Give the route in force that has the claim of *plan*."""
        return self._by_claim.get(plan.claim)

    def enter(self, route: Route) -> None:
        """Let the route listen at its path."""
        claim = route.plan.claim
        self._by_claim[claim] = route
        if NAME in claim:
            self._named.put(claim[1:].split("/"), route)

    def leave(self, route: Route) -> None:
        """Let the route listen no more; whoever has it in hand sees that it is not in force."""
        route.standing.in_force = False
        claim = route.plan.claim
        del self._by_claim[claim]
        if NAME in claim:
            self._named.put(claim[1:].split("/"), None)
