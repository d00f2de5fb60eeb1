"""Which route a request is for, by its path: as written out, or like one with names in braces.

A path that is written out is one look-up, and whatever other routes there are costs it nothing. Only what is found
there by nobody is held against the others, segment by segment: what is written out wins over a name, in the first
segment in which two differ. No step is taken twice, so that the work is bounded by the paths there are, and by 2 to the
power of the names that a path may have.
"""

from fanout_crds.plan import Plan
from fanout_dispatcher.engine.route import Route
from fanout_dispatcher.values.parameters import segments

NAME = "{}"  # a segment of a claim that stands for any


class _Place:
    """What the paths have in common up to one segment."""

    __slots__ = ("any", "route", "written")

    def __init__(self) -> None:
        self.written: dict[str, _Place] = {}
        self.any: _Place | None = None
        self.route: Route | None = None  # whose path ends here

    def find(self, left: tuple[str, ...], at: int) -> Route | None:
        if at == len(left):
            return self.route
        written = self.written.get(left[at])
        found = written.find(left, at + 1) if written is not None else None
        if found is None and self.any is not None:
            return self.any.find(left, at + 1)
        return found

    def put(self, claim: list[str], route: Route | None) -> bool:
        """Say whose the path is that goes on by *claim*; whether there is anything left from here on."""
        if not claim:
            self.route = route
        else:
            first, *rest = claim
            next_one = self.any if first == NAME else self.written.get(first)
            next_one = next_one or _Place()
            kept = next_one if next_one.put(rest, route) else None
            if first == NAME:
                self.any = kept
            elif kept is not None:
                self.written[first] = kept
            else:
                self.written.pop(first, None)
        return bool(self.written) or self.any is not None or self.route is not None


class Paths:
    """Every path that a route of this engine listens at, by its claim."""

    def __init__(self) -> None:
        self._by_claim: dict[str, Route] = {}
        self._named = _Place()  # those with names in braces

    def __repr__(self) -> str:
        return f"<Paths {len(self._by_claim)}>"

    def at(self, path: str) -> Route | None:
        """The route whose path is *path*, written out."""
        return self._by_claim.get(path)

    def like(self, path: str) -> Route | None:
        """The route whose path with names in braces fits *path*, as it came."""
        if not self._named.written and self._named.any is None:
            return None
        found = segments(path)
        return None if found is None else self._named.find(found, 0)

    def holder(self, plan: Plan) -> Route | None:
        """The route that has what the path of *plan* claims."""
        return self._by_claim.get(plan.claim)

    def enter(self, route: Route) -> None:
        """The route listens."""
        claim = route.plan.claim
        self._by_claim[claim] = route
        if NAME in claim:
            self._named.put(claim[1:].split("/"), route)

    def leave(self, route: Route) -> None:
        """The route does not listen any more."""
        claim = route.plan.claim
        del self._by_claim[claim]
        if NAME in claim:
            self._named.put(claim[1:].split("/"), None)
