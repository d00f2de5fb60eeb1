"""Dead letters at the admin port: list, show, replay, remove.

Replay and remove take at most `limit` at once and say whether more remain, so that nobody replays a million by accident
and a client can stop between two steps. The oldest go first; one that dies again after a replay is a new dead letter,
at the end.
"""

import msgspec
from aiohttp import web

from fanout_dispatcher.admin import wire
from fanout_dispatcher.admin.problems import Problem
from fanout_dispatcher.values.desk import Desk
from fanout_dispatcher.values.views import DeadLetterFilter


class DeadLetters:
    """The handlers over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        """Put the handlers in their places."""
        app.router.add_get("/v1/dead-letters", self.list)
        app.router.add_post("/v1/dead-letters/replay", self.replay)
        app.router.add_post("/v1/dead-letters/remove", self.remove)
        app.router.add_get("/v1/dead-letters/{id}", self.show)
        app.router.add_delete("/v1/dead-letters/{id}", self.drop)

    async def list(self, request: web.Request) -> web.Response:
        """Answer a page of dead letters, oldest first, without bodies."""
        asked = wire.query(request, "route", "target", "reason", "after", "limit")
        limit = wire.limit(asked.pop("limit", None))
        wire.narrowed(asked.get("route"), asked.get("reason"))
        wanted = msgspec.convert({**asked, "limit": limit + 1}, DeadLetterFilter)
        found = await self._desk.dead_letters(wanted)
        page = found[:limit]
        then = self._desk.cursor(wanted.after, [one.id for one in page]) if len(found) > limit else None
        return wire.respond({"items": [wire.of_dead_letter(one) for one in page], "next": then})

    async def show(self, request: web.Request) -> web.Response:
        """Answer one dead letter with its headers and original bytes."""
        found = await self._desk.dead_letter(request.match_info["id"])
        if found is None:
            raise _unknown()
        return wire.respond(wire.of_dead_letter(msgspec.structs.replace(found, body=found.body or b"")))

    async def replay(self, request: web.Request) -> web.Response:
        """Send those that are meant again, each to the target that failed."""
        wanted = await wire.meant(request)
        receipts = await self._desk.replay(wanted)
        return wire.respond({"receipts": list(receipts), "remaining": await self._remaining(wanted)})

    async def remove(self, request: web.Request) -> web.Response:
        """Drop those that are meant for good."""
        wanted = await wire.meant(request)
        removed = await self._desk.remove(wanted)
        return wire.respond({"removed": removed, "remaining": await self._remaining(wanted)})

    async def drop(self, request: web.Request) -> web.Response:
        """Drop one for good."""
        if not await self._desk.remove(DeadLetterFilter(ids=(request.match_info["id"],), limit=1)):
            raise _unknown()
        return web.Response(status=204)

    async def _remaining(self, wanted: DeadLetterFilter) -> bool:
        return bool(await self._desk.dead_letters(msgspec.structs.replace(wanted, limit=1)))


def _unknown() -> Problem:
    return Problem(404, "no dead letter has this id: it may have been replayed, removed, or kept long enough")
