"""Plans stay as we wrote them: what the watches tell of plans and their credentials, and which routes that wakes.

Our own writes are in the inventories before the watch tells of them, and wake nobody. Whatever somebody else edits
shows in the metadata, since the API server takes what he changed from our field manager (plans.Written.owned), and is
put back by a reconcile of the route that the plan was written for. An object that another hand marked with another
route is still the first one's: marks are never believed against an inventory.
"""

from collections.abc import Callable

from fanout_operator.plans import Inventory, Written


class Custody:
    """Keeps the inventories of what lies in the cluster."""

    def __init__(self, plans: Inventory, credentials: Inventory, put_back: Callable[[str], None]) -> None:
        """`put_back` gets the route whose plan is not what it was."""
        self._plans = plans
        self._credentials = credentials
        self._put_back = put_back

    def __repr__(self) -> str:
        return f"<Custody plans={self._plans!r} credentials={self._credentials!r}>"

    def plan(self, _key: str, before: Written | None, now: Written | None) -> None:
        """A ConfigMap was made, changed or removed."""
        now = now if now and now.route else None  # marked for nobody: as good as removed
        if now and now in self._plans.of(now.route):
            return
        known = before is not None and before in self._plans.of(before.route)
        if now and not (known and before and before.route != now.route):
            self._plans.note(now)
            self._put_back(now.route)
        elif known and before:
            if now is None:
                self._plans.drop(before)
            self._put_back(before.route)

    def secret(self, _key: str, before: Written | None, now: Written | None) -> None:
        """A Secret was made, changed or removed. It should be of the revision that its plan has, and as it was."""
        now = now if now and now.route else None
        if now:
            self._credentials.note(now)
        elif before:
            self._credentials.drop(before)
        edited = now and before and now.revision == before.revision  # ours come with another one each time
        if now and not edited and now.revision in {one.revision for one in self._plans.of(now.route)}:
            return
        for route in {one.route for one in (before, now) if one}:
            self._put_back(route)
