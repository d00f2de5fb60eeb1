"""Three small HTTP targets, and a note of everything that reaches them.

    billing     answers at once
    crm         stumbles over the first two tries for each newly placed order, and rejects what it cannot read (422)
    warehouse   is down, until somebody opens it

Each is a real server on a port of its own. What a target notes is the other side's truth: the ledger compares it with
what was answered 202. A request that is not of this demo is answered 404 and noted nowhere.
"""

import asyncio
import collections
import dataclasses
import json
import socket
import time
import typing

from aiohttp import web

NAMES: typing.Final = ("billing", "crm", "warehouse")
OK: typing.Final = 200
BUSY: typing.Final = 503
UNREADABLE: typing.Final = 422
UNKNOWN: typing.Final = 404
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
    """A server that answers as its *behaviour* says, after *slow* seconds; at *door*, a bound socket, and at *path*."""

    def __init__(self, name: str, door: socket.socket, path: str, behaviour: Behaviour) -> None:
        self.name = name
        self.port: int = door.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}{path}"
        self.behaviour = behaviour
        self.slow = 0.0
        self.arrivals: list[Arrival] = []
        self._door = door
        self._path = path
        self._tries: collections.Counter[int] = collections.Counter()
        self._runner: web.AppRunner | None = None

    def __repr__(self) -> str:
        return f"<Target {self.name} {'up' if self._runner else 'down'} :{self.port} {len(self.arrivals)} arrivals>"

    async def open(self) -> None:
        """Listen."""
        app = web.Application()
        app.router.add_post(self._path, self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.SockSite(self._runner, self._door).start()

    async def close(self) -> None:
        """Listen no more."""
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _answer(self, request: web.Request) -> web.Response:
        order = read(await request.read())
        attempt, key = request.headers.get("Fanout-Attempt"), request.headers.get("Idempotency-Key")
        if order is None or attempt is None or key is None:
            return web.Response(status=UNKNOWN)
        arrival = Arrival(order=order["id"], attempt=attempt, key=key, at=time.monotonic())
        self.arrivals.append(arrival)
        self._tries[arrival.order] += 1
        await asyncio.sleep(self.slow)
        arrival.status = self.behaviour(order, self._tries[arrival.order])
        return web.Response(status=arrival.status)


def read(body: bytes) -> Order | None:
    """Read an order as `stage.order` makes them; None for anything else."""
    try:
        order = json.loads(body)
    except (ValueError, RecursionError):
        return None
    if not isinstance(order, dict) or order.keys() != {"id", "status", "total"}:
        return None
    return order if type(order["id"]) is int and isinstance(order["status"], str) else None


def healthy(_order: Order, _tries: int) -> int:
    """Accept."""
    return OK


def stumbling(order: Order, tries: int) -> int:
    """Accept what can be read; a newly placed order only at the third try."""
    if not isinstance(order["total"], int):
        return UNREADABLE
    return BUSY if order["status"] == "placed" and tries <= STUMBLES else OK


def three(doors: typing.Mapping[str, socket.socket], *, path: str) -> dict[str, Target]:
    """Make the three targets, not yet open."""
    behaviours = (healthy, stumbling, healthy)
    return {name: Target(name, doors[name], path, behaviour) for name, behaviour in zip(NAMES, behaviours, strict=True)}
