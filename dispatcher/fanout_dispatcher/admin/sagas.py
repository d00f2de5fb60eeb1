"""Stuck sagas at the admin port: list, resume, abandon.

As with dead letters, at most `limit` at once, the oldest first, and the answer says whether more remain.
"""

import typing

import msgspec
from aiohttp import web

from fanout_dispatcher.admin import wire
from fanout_dispatcher.admin.problems import Problem
from fanout_dispatcher.values.desk import Desk
from fanout_dispatcher.values.views import SagaFilter


class Meant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON filter of resume and abandon: `receipts`, or `route`, or `all`: true."""

    receipts: typing.Annotated[tuple[str, ...], msgspec.Meta(max_length=wire.MOST)] = ()
    route: str | None = None
    all: bool = False
    limit: typing.Annotated[int, msgspec.Meta(ge=1, le=wire.MOST)] = wire.LIMIT


class Sagas:
    """The handlers over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Put the handlers in their places."""
        app.router.add_get("/v1/sagas", self.list)
        app.router.add_post("/v1/sagas/resume", self.resume)
        app.router.add_post("/v1/sagas/abandon", self.abandon)

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of stuck sagas, oldest first."""
        asked = wire.query(request, "route", "after", "limit")
        limit = wire.limit(asked.pop("limit", None))
        wire.narrowed(asked.get("route"))
        wanted = msgspec.convert({**asked, "limit": limit + 1}, SagaFilter)
        found = await self._desk.sagas(wanted)
        page = found[:limit]
        then = self._desk.cursor(wanted.after, [one.receipt for one in page]) if len(found) > limit else None
        return wire.respond({"items": [wire.of_saga(one) for one in page], "next": then})

    async def resume(self, request: web.Request) -> web.Response:
        """Have what is stuck of those that are meant tried again."""
        wanted = await _meant(request)
        return await self._done(wanted, await self._desk.resume(wanted))

    async def abandon(self, request: web.Request) -> web.Response:
        """Make dead letters of what is stuck of those that are meant."""
        wanted = await _meant(request)
        return await self._done(wanted, await self._desk.abandon(wanted))

    async def _done(self, wanted: SagaFilter, receipts: tuple[str, ...]) -> web.Response:
        remaining = await self._desk.sagas(msgspec.structs.replace(wanted, limit=1))
        return wire.respond({"receipts": [*receipts], "remaining": bool(remaining)})


async def _meant(request: web.Request) -> SagaFilter:
    """Read which sagas are meant. An empty filter would mean all of them, so it must say `all`."""
    found = await wire.body(request, Meant)
    if (bool(found.receipts), found.route is not None, found.all).count(True) != 1:
        raise Problem(400, 'say which sagas: "receipts", or "route", or "all": true')
    wire.narrowed(found.route)
    bound = len(found.receipts) or found.limit  # each one that was named is meant
    return SagaFilter(route=found.route, receipts=found.receipts, limit=bound)
