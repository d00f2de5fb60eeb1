"""The admin port: an aiohttp application over a `Desk`. It decides nothing; it reads, asks the desk and writes.

    /livez /readyz /metrics
    GET    /v1/routes  /v1/routes/{namespace}/{name}
    GET    /v1/events?route=&after=&limit=  /v1/events/{receipt}
    GET    /v1/dead-letters?route=&target=&reason=&after=&limit=  /v1/dead-letters/{id}
    POST   /v1/dead-letters/replay  /v1/dead-letters/remove        which ones: see `wire.Meant`
    DELETE /v1/dead-letters/{id}
    GET    /v1/sagas?route=&after=&limit=                          those that are stuck
    POST   /v1/sagas/resume  /v1/sagas/abandon                     which ones: see `sagas.Meant`
    GET    /v1/held                                                routes that stay because many vanished at once
    POST   /v1/held/let-go                                         which ones: see `held.LetGo`
    POST   /v1/journal/backup                                      a tar

Lists answer {"items": […], "next": cursor or null}; `next` goes back as `after`.
"""

import typing

from aiohttp import web
from aiohttp.typedefs import Handler
from structlog.typing import FilteringBoundLogger

from fanout_dispatcher.admin import access, backup, dead_letters, health, held, problems, sagas, wire
from fanout_dispatcher.admin.problems import Problem
from fanout_dispatcher.values.desk import Desk, PortMeter
from fanout_dispatcher.values.sink import Holder

BODY: typing.Final = 64 << 10  # bytes; a filter with 1000 ids fits


def application(
    desk: Desk,
    log: FilteringBoundLogger,
    *,
    token: str | None,
    loopback: bool,
    public: str | None = None,
    port: PortMeter | None = None,
    holder: Holder | None = None,
) -> web.Application:
    """Make the admin port's application.

    *token* None asks for none: only with *loopback*, which says that the port cannot be reached from outside. *public*
    is the base URL of the data port, from which routes get their `url`; *port* has that port's counters, for /metrics.
    *holder* is the source of plans, which may hold routes.
    """
    if token is None and not loopback:
        raise ValueError("an admin port that can be reached from outside needs a token")
    app = web.Application(
        client_max_size=BODY,
        middlewares=[
            _headers,
            problems.middleware(log),
            access.middleware(token=token, loopback=loopback),  # inside problems: what it raises is answered as one
        ],
    )
    health.add(app, desk, port, holder)
    _Routes(desk, public).add(app)
    _Events(desk).add(app)
    dead_letters.DeadLetters(desk).add(app)
    sagas.Sagas(desk).add(app)
    if holder is not None:
        held.Held(holder).add(app)
    backup.Backups(desk).add(app)
    return app


@web.middleware
async def _headers(request: web.Request, handler: Handler) -> web.StreamResponse:
    response = await handler(request)
    response.headers["Cache-Control"] = "no-store"
    response.headers["X-Content-Type-Options"] = "nosniff"  # a dead letter's body is whatever a producer sent
    return response


class _Routes:
    def __init__(self, desk: Desk, public: str | None) -> None:
        self._desk = desk
        self._public = public

    def add(self, app: web.Application) -> None:
        app.router.add_get("/v1/routes", self.list)
        app.router.add_get("/v1/routes/{namespace}/{name}", self.show)

    async def list(self, request: web.Request) -> web.Response:
        wire.query(request)
        return wire.respond({"items": [self._written(wire.of_route(one)) for one in self._desk.routes()], "next": None})

    async def show(self, request: web.Request) -> web.Response:
        key = f"{request.match_info['namespace']}/{request.match_info['name']}"
        found = self._desk.route(key)
        if found is None:
            raise Problem(404, f"no route {key} is in force here")
        return wire.respond(self._written(wire.of_route(found)))

    def _written(self, route: wire.Json) -> wire.Json:
        if self._public is None or not route["path"]:  # a route that was never in force listens nowhere
            return route
        return route | {"url": self._public + route["path"]}


class _Events:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def add(self, app: web.Application) -> None:
        app.router.add_get("/v1/events", self.list)
        app.router.add_get("/v1/events/{receipt}", self.show)

    async def list(self, request: web.Request) -> web.Response:
        asked = wire.query(request, "route", "after", "limit")
        limit = wire.limit(asked.get("limit"))
        after = asked.get("after")
        wire.narrowed(asked.get("route"))
        found = await self._desk.events(asked.get("route"), after, limit + 1)
        page = found[:limit]
        then = self._desk.cursor(after, [one.receipt for one in page]) if len(found) > limit else None
        return wire.respond({"items": [wire.of_event(one) for one in page], "next": then})

    async def show(self, request: web.Request) -> web.Response:
        found = await self._desk.event(request.match_info["receipt"])
        if found is None:
            raise Problem(404, "no event has this receipt, or its history is over")
        return wire.respond(wire.of_event(found))
