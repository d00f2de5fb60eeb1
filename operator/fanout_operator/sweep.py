"""The slow second look: plans whose route is gone though nobody told us, and routes whose event we missed.

Every so often all routes are listed (metadata only) and compared with what the watch told. A plan without a route is
put on the work queue, where the API server is asked again about that very route before anything is removed; and only
when it was missing from two lists in a row. Many at once are no deletion but a fault (an empty list, lost rights):
they are held and said, until every list of a long while agrees.
"""

import asyncio
import typing
from collections.abc import Callable, Collection, Iterable, Mapping

import structlog

from fanout_operator.kept import Kept
from fanout_operator.kube import FAILURES, Kube, Scope
from fanout_operator.plans import Inventory
from fanout_operator.reflector import key_of
from fanout_operator.routes import Routes

EVERY: typing.Final = 300.0  # seconds between two looks
SOON: typing.Final = 5.0  # after a start, and while somebody is missing: what was deleted while we were away goes soon
# So many plans may vanish at once, or half of all, whichever is more. A dispatcher lets only 2 go (plans.census): it
# believes its lists, while here the API server is asked for each route by name before its plan goes.
FEW: typing.Final = 10
LISTS: typing.Final = 2
LISTS_WHEN_MANY: typing.Final = 16

log = structlog.get_logger()


class Sweeper:
    """Looks for what events did not say."""

    def __init__(
        self,
        kube: Kube,
        scopes: Iterable[Scope],
        routes: Routes,
        inventories: Iterable[Inventory],  # plans and credentials: a write that was interrupted has left only these
        *,
        wake: Callable[[str], None],
        kept: Kept,
    ) -> None:
        self._kube = kube
        self._scopes = tuple(scopes)
        self._routes = routes
        self._inventories = tuple(inventories)
        self._wake = wake
        self._missing: dict[str, int] = {}  # how many lists in a row have lacked it
        self._woken: set[str] = set()  # the missing that were handed on; from then on they are the queue's
        self._hurry = asyncio.Event()
        self._kept = kept

    def __repr__(self) -> str:
        return f"<Sweeper missing={len(self._missing)} kept={len(self._kept)}>"

    async def run(self) -> None:
        """Look again and again until cancelled."""
        while True:
            await self._wait()
            try:
                self.look(await self._list())
            except FAILURES as fault:
                log.warning("sweep.failed", fault=f"{type(fault).__name__}: {fault}")

    def hurry(self) -> None:
        """Look soon: much may have gone by unseen."""
        self._hurry.set()

    async def _wait(self) -> None:
        """Until it is time again, or soon after somebody asked us to hurry."""
        try:
            async with asyncio.timeout(SOON if self._missing.keys() - self._woken else EVERY):
                await self._hurry.wait()
        except TimeoutError:
            return
        self._hurry.clear()
        await asyncio.sleep(SOON)

    def look(self, there: Mapping[str, str]) -> None:
        """Compare one complete list, the uid of each route, with what we know."""
        for key, uid in there.items():
            known = self._routes.get(key)
            if known is None or known.uid != uid:
                log.warning("sweep.missed", route=key)
                self._again(key)
        routes = {plan.route for inventory in self._inventories for plan in inventory}
        orphans = routes - there.keys()
        gone = orphans | {key for key in self._routes if key not in there}
        self._missing = {key: self._missing.get(key, 0) + 1 for key in gone}
        self._woken &= gone
        self._remove(orphans if len(orphans) > max(FEW, len(routes) // 2) else ())

    def _remove(self, many: Collection[str]) -> None:
        lists = LISTS_WHEN_MANY if many else LISTS
        for key in [key for key, times in self._missing.items() if times >= lists and key not in self._woken]:
            self._woken.add(key)
            self._again(key)
        self._kept.set([key for key in many if key not in self._woken])  # the next look may be long after they are gone
        if self._kept:
            log.error(
                "sweep.held", plans=len(self._kept), why="too many routes vanished at once: their plans stay for now"
            )

    def _again(self, key: str) -> None:
        """Have a route looked up anew; what the API server says then is what counts."""
        self._routes.drop(key)
        self._wake(key)

    async def _list(self) -> dict[str, str]:
        found: dict[str, str] = {}
        for scope in self._scopes:
            async for page in self._kube.pages(scope):
                found |= {key_of(one): one["metadata"]["uid"] for one in page.items}
        return found
