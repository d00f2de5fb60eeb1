"""Three small HTTP targets, and a note of everything that reaches them.

    billing     answers at once
    crm         stumbles over the first two tries for each newly placed order, and rejects what it cannot read (422)
    warehouse   is down, until somebody opens it

Each is a real server on a port of its own. What a target notes is the other side's truth: the ledger compares it with
what was answered 202.
"""

import asyncio
import collections
import dataclasses
import json
import time
import typing

from aiohttp import web

PATH: typing.Final = "/events"
NAMES: typing.Final = ("billing", "crm", "warehouse")
OK: typing.Final = 200
BUSY: typing.Final = 503
UNREADABLE: typing.Final = 422
STUMBLES: typing.Final = 2  # tries

Order = dict[str, typing.Any]
Behaviour = typing.Callable[[Order, int], int]


@dataclasses.dataclass(kw_only=True)
class Arrival:
    """One request at a target: for which order, what it said of itself, and how it was answered (monotonic seconds)."""

    order: int
    attempt: str  # Fanout-Attempt
    key: str  # Idempotency-Key
    at: float
    status: int = 0  # 0: not answered yet


class Target:
    """A server that answers as its *behaviour* says, after *slow* seconds."""

    def __init__(self, name: str, port: int, behaviour: Behaviour) -> None:
        self.name = name
        self.port = port
        self.behaviour = behaviour
        self.slow = 0.0
        self.arrivals: list[Arrival] = []
        self._tries: collections.Counter[int] = collections.Counter()
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        return f"<Target {self.name} {'up' if self._runner else 'down'} :{self.port} {len(self.arrivals)} arrivals>"

    async def open(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post(PATH, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()

    async def close(self) -> None:
        """Listen no more."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        order = json.loads(await request.read())
        arrival = Arrival(
            order=order["id"],
            attempt=request.headers["Fanout-Attempt"],
            key=request.headers["Idempotency-Key"],
            at=time.monotonic(),
        )
        self.arrivals.append(arrival)
        self._tries[arrival.order] += 1
        await asyncio.sleep(self.slow)
        arrival.status = self.behaviour(order, self._tries[arrival.order])
        return web.Response(status=arrival.status)


def healthy(_order: Order, _tries: int) -> int:
    """Accept."""
    return OK


def stumbling(order: Order, tries: int) -> int:
    """Accept what can be read; a newly placed order only at the third try."""
    if not isinstance(order["total"], int):
        return UNREADABLE
    return BUSY if order["status"] == "placed" and tries <= STUMBLES else OK


def three(ports: typing.Mapping[str, int]) -> dict[str, Target]:
    """Make the three targets, not yet open."""
    behaviours = (healthy, stumbling, healthy)
    return {name: Target(name, ports[name], behaviour) for name, behaviour in zip(NAMES, behaviours, strict=True)}
