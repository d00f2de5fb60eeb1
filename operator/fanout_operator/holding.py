"""Plans that stay although their route is gone: whether a missing route was deleted, and what to do until that is sure.

A definition that is going takes every route with it, and one that was made anew begins without any: neither says that
somebody wanted to delete a route, and what the dispatchers serve must not go with it. So a plan goes only while the
definition is whole and at least as old as the plan; else it is held, until the definition is another.

A person lets go of what is held by the annotation `LET_GO` on the definition: routes that are not there are not meant
to be there. It is gone with the definition that it stands on, so the next one is as careful as ever.
"""

import asyncio
import typing
from collections.abc import Callable, Iterable

import structlog

from fanout_crds.route import GROUP
from fanout_crds.schema import NAME
from fanout_operator.kept import Kept
from fanout_operator.kube import DEFINITIONS, FAILURES, Document, Kube, NotFound

EVERY: typing.Final = 10.0  # seconds between two looks at the definition while anything is held
LET_GO: typing.Final = f"{GROUP}/let-go"  # "true": the plans of routes that are not there may go

log = structlog.get_logger()


class Holding:
    """Which routes' plans are held, and the look at the definition of routes that ends it."""

    def __init__(self, kube: Kube, kept: Kept, wake: Callable[[str], None]) -> None:
        self._kube = kube
        self._kept = kept
        self._wake = wake
        self._arrived = asyncio.Event()

    def __repr__(self) -> str:
        return f"<Holding {self._kept!r}>"

    async def deleted(self, key: str, made: Iterable[str]) -> bool:
        """Whether a missing route was deleted; `made`: when each of its plans was. If not, its plans are held."""
        oldest = min(made, default=None)
        if oldest is None or lets_go(await self._definition(), oldest, held=key in self._kept):
            return True
        if key not in self._kept:
            log.warning("plan.held", route=key, why="the definition of routes is gone, going or made anew")
        self._kept.add(key)
        self._arrived.set()
        return False

    def drop(self, key: str) -> None:
        """It is there again, or its plans are gone."""
        self._kept.drop(key)

    async def run(self) -> None:
        """Wake whatever is held whenever the definition is another; until cancelled."""
        seen: object = None
        while True:
            await self._arrived.wait()
            await asyncio.sleep(EVERY)
            try:
                found = _of(await self._definition())
            except FAILURES as fault:
                log.warning("holding.failed", fault=f"{type(fault).__name__}: {fault}")
                continue
            if found != seen:
                for key in self._kept:
                    self._wake(key)
            seen = found
            if not len(self._kept):
                self._arrived.clear()

    async def _definition(self) -> Document | None:
        try:
            return await self._kube.get(DEFINITIONS, None, NAME)
        except NotFound:
            return None


def lets_go(definition: Document | None, plan_created: str, *, held: bool) -> bool:
    """Whether a route that is missing beside this definition was deleted, though there is a plan of that age.

    Both times are of whole seconds. Of the same second the definition came first, as when everything is installed at
    once; unless the plan is *held*: then it was there while the definition was not.
    """
    if definition is None or not _whole(definition):
        return False
    made = definition["metadata"]["creationTimestamp"]
    return made < plan_created or (made == plan_created and not held) or _let_go(definition)


def _whole(definition: Document) -> bool:
    said = (definition.get("status") or {}).get("conditions") or ()
    established = any(one.get("type") == "Established" and one.get("status") == "True" for one in said)
    return established and not definition["metadata"].get("deletionTimestamp")


def _let_go(definition: Document) -> bool:
    return (definition["metadata"].get("annotations") or {}).get(LET_GO) == "true"


def _of(definition: Document | None) -> tuple[object, ...]:
    """All of a definition that can change the judgement."""
    return (definition["metadata"]["uid"], _whole(definition), _let_go(definition)) if definition else ()
