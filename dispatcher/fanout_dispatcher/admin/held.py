"""Held routes at the admin port: those that stay in force though no manifest and no plan has them any more.

Many vanished at once, which looks like a fault; a person who knows better lets go of them here, by name or all. Of what
is not held nothing is let go: a route that somebody still asks for is ended by whoever asks for it.

    GET  /v1/held
    POST /v1/held/let-go        {"routes": ["shop/order-placed"]} or {"all": true}
"""

import msgspec
from aiohttp import web

from fanout_dispatcher.admin import wire
from fanout_dispatcher.admin.problems import Problem
from fanout_dispatcher.values.sink import Holder


class LetGo(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which ones: by name, or `all`: true."""

    routes: tuple[str, ...] = ()
    all: bool = False


class Held:
    """The handlers over a plan source."""

    def __init__(self, holder: Holder) -> None:
        self._holder = holder

    def add(self, app: web.Application) -> None:
        """Put the handlers in their places."""
        app.router.add_get("/v1/held", self.list)
        app.router.add_post("/v1/held/let-go", self.let_go)

    async def list(self, request: web.Request) -> web.Response:
        """Answer the routes that are held."""
        wire.query(request)
        return wire.respond({"items": [{"route": route} for route in self._holder.held()], "next": None})

    async def let_go(self, request: web.Request) -> web.Response:
        """End those that are meant, as if each had been deleted; all of them are held, or none goes."""
        meant = await wire.body(request, LetGo)
        if bool(meant.routes) == meant.all:
            raise Problem(400, 'say which routes: "routes" by namespace/name, or "all": true')
        held = self._holder.held()
        if others := sorted(set(meant.routes) - set(held)):
            raise Problem(409, f"not held: {', '.join(others[:5])}; nothing was let go (GET /v1/held lists what is)")
        gone = held if meant.all else meant.routes
        self._holder.let_go(gone)
        return wire.respond({"routes": list(gone)})
