"""A desk that holds what a test puts into it, the port it is served on, and views with little in them."""

import asyncio
import contextlib
import io
import pathlib
import typing

import aiohttp
from aiohttp import web
from structlog.typing import FilteringBoundLogger

from fanout_dispatcher.admin.listen import listen
from fanout_dispatcher.settings import TlsFiles
from fanout_dispatcher.telemetry.logs import logger
from fanout_dispatcher.values.address import Address
from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, RouteMeter
from fanout_dispatcher.values.event import Attempt
from fanout_dispatcher.values.views import (
    DeadLetterFilter,
    DeadLetterView,
    DeliveryView,
    EventView,
    RouteView,
    SagaFilter,
    SagaView,
    TargetView,
)

NOON = 1_700_000_000.25  # 2023-11-14T22:13:20.250Z
LOOPBACK = Address("127.0.0.1", 0)


class FakeHolder:
    """A plan source that holds these routes."""

    def __init__(self, *routes: str) -> None:
        self.routes = list(routes)

    def held(self) -> tuple[str, ...]:
        return tuple(self.routes)

    def let_go(self, routes: typing.Collection[str]) -> None:
        self.routes = [route for route in self.routes if route not in routes]


class FakeDesk:
    """Satisfies `Desk` from plain lists; `asked` keeps the filters it got."""

    def __init__(self) -> None:
        self.views: dict[str, RouteView] = {}
        self.known: list[EventView] = []  # newest first
        self.letters: list[DeadLetterView] = []  # oldest first
        self.asked: list[DeadLetterFilter] = []
        self.stuck: set[str] = set()  # dead letters and sagas that no route in force can take
        self.undone: list[SagaView] = []  # stuck sagas, oldest first
        self.undone_asked: list[SagaFilter] = []
        self.why: str | None = None
        self.lanes: list[LaneMeter] = []
        self.doors: list[RouteMeter] = []
        self.journals: dict[str, JournalMeter] = {}
        self.watchers: list[typing.Callable[[str], None]] = []
        self.watched = asyncio.Event()
        self.unwatched = asyncio.Event()
        self.fault: Exception | None = None
        self.copies: list[pathlib.Path] = []  # of journals, for a backup

    def routes(self) -> list[RouteView]:
        return [self.views[key] for key in sorted(self.views)]

    def route(self, key: str) -> RouteView | None:
        if self.fault:
            raise self.fault
        return self.views.get(key)

    def refused(self) -> int:
        return sum(view.refused is not None for view in self.views.values())

    async def event(self, receipt: str) -> EventView | None:
        return next((one for one in self.known if one.receipt == receipt), None)

    async def events(self, route: str | None, after: str | None, limit: int) -> list[EventView]:
        found = [one for one in self.known if route in (None, one.route)]
        start = next((place + 1 for place, one in enumerate(found) if one.receipt == after), 0)
        return found[start : start + limit]

    def cursor(self, after: str | None, page: typing.Sequence[str]) -> str:
        return page[-1]

    async def dead_letters(self, wanted: DeadLetterFilter) -> list[DeadLetterView]:
        if self.fault:
            raise self.fault
        found = [one for one in self.letters if _meant(one, wanted)]
        return found[: wanted.limit]

    async def dead_letter(self, ident: str) -> DeadLetterView | None:
        return next((one for one in self.letters if one.id == ident), None)

    async def replay(self, wanted: DeadLetterFilter) -> tuple[str, ...]:
        return tuple(f"again-{one.id}" for one in await self._take(wanted, but=self.stuck))

    async def remove(self, wanted: DeadLetterFilter) -> int:
        return len(await self._take(wanted))

    async def sagas(self, wanted: SagaFilter) -> list[SagaView]:
        found = [one for one in self.undone if wanted.route in (None, one.route)]
        found = [one for one in found if not wanted.receipts or one.receipt in wanted.receipts]
        start = next((place + 1 for place, one in enumerate(found) if one.receipt == wanted.after), 0)
        return found[start : start + wanted.limit]

    async def resume(self, wanted: SagaFilter) -> tuple[str, ...]:
        return await self._undo(wanted)

    async def abandon(self, wanted: SagaFilter) -> tuple[str, ...]:
        return await self._undo(wanted)

    async def _undo(self, wanted: SagaFilter) -> tuple[str, ...]:
        self.undone_asked.append(wanted)
        done = [one for one in await self.sagas(wanted) if one.receipt not in self.stuck]
        self.undone = [one for one in self.undone if one not in done]
        return tuple(one.receipt for one in done)

    async def backup(self) -> tuple[str, ...]:
        if self.fault:
            raise self.fault
        return tuple(map(str, self.copies))

    async def _take(self, wanted: DeadLetterFilter, but: typing.Container[str] = ()) -> list[DeadLetterView]:
        self.asked.append(wanted)
        taken = [one for one in await self.dead_letters(wanted) if one.id not in but]
        self.letters = [one for one in self.letters if one not in taken]
        return taken

    def readiness(self) -> str | None:
        return self.why

    def lane_meters(self) -> list[LaneMeter]:
        return self.lanes

    def route_meters(self) -> list[RouteMeter]:
        return self.doors

    def journal_meters(self) -> dict[str, JournalMeter]:
        return self.journals

    def watch(self, changed: typing.Callable[[str], None]) -> typing.Callable[[], None]:
        self.watchers.append(changed)
        self.watched.set()
        return lambda: self._stop(changed)

    def _stop(self, changed: typing.Callable[[str], None]) -> None:
        self.watchers.remove(changed)
        self.unwatched.set()

    def change(self, view: RouteView) -> None:
        """Put a route and tell who watches."""
        self.views[view.route] = view
        self.tell(view.route)

    def tell(self, route: str) -> None:
        """Tell who watches that *route* changed."""
        for watcher in list(self.watchers):
            watcher(route)


def _meant(letter: DeadLetterView, wanted: DeadLetterFilter) -> bool:
    fields = ((wanted.route, letter.route), (wanted.target, letter.target), (wanted.reason, letter.reason))
    return (
        all(want in (None, have) for want, have in fields)
        and (not wanted.ids or letter.id in wanted.ids)
        and (wanted.after is None or int(letter.id) > int(wanted.after))
    )


def route_view(key: str = "shop/order", **changes: typing.Any) -> RouteView:
    """A route with one target, payment."""
    fields: dict[str, typing.Any] = {
        "route": key,
        "uid": f"uid-{key}",
        "path": f"/{key}",
        "revision": "r1",
        "generation": 1,
        "suspended": False,
    }
    return RouteView(**(fields | {"targets": (target_view(),)} | changes))


def target_view(**changes: typing.Any) -> TargetView:
    """A healthy target."""
    fields: dict[str, typing.Any] = {
        "name": "payment",
        "circuit": "Closed",
        "pending": 0,
        "in_flight": 0,
        "dead_letters": 0,
    }
    return TargetView(**(fields | changes))


def event_view(receipt: str, *states: str, route: str = "shop/order", **changes: typing.Any) -> EventView:
    """An event with one delivery per state."""
    deliveries = tuple(
        DeliveryView(target=f"t{place}", state=state, attempts=1, history=(Attempt(NOON + 1, "503", 0.25),))
        for place, state in enumerate(states)
    )
    settled = "Pending" not in states
    fields: dict[str, typing.Any] = {
        "receipt": receipt,
        "route": route,
        "generation": 1,
        "accepted": NOON,
        "settled": settled,
    }
    return EventView(**(fields | {"deliveries": deliveries} | changes))


def saga_view(receipt: str, *targets: str, **changes: typing.Any) -> SagaView:
    """A saga that is stuck at these compensations."""
    history = (Attempt(NOON + 1, "503", 0.25), Attempt(NOON + 2, "422", 0.25))
    stuck = tuple(
        DeliveryView(target=name, state="Pending", attempts=2, held="SagaStuck", history=history)
        for name in targets or ("payment.compensate",)
    )
    fields: dict[str, typing.Any] = {
        "receipt": receipt, "route": "shop/order", "accepted": NOON, "event_id": "e1", "type": "order.placed"
    }  # fmt: skip
    return SagaView(**(fields | {"stuck": stuck} | changes))


def dead_letter_view(number: int, **changes: typing.Any) -> DeadLetterView:
    """A dead letter of payment."""
    fields: dict[str, typing.Any] = {
        "id": str(number), "receipt": f"r{number}", "route": "shop/order", "target": "payment",
        "reason": "TargetRejected", "detail": "404", "at": NOON, "attempts": 1, "event_id": f"e{number}",
        "source": "/shop", "type": "order.placed", "size": 2, "history": (Attempt(NOON, "404", 0.1),),
    }  # fmt: skip
    return DeadLetterView(**(fields | changes))


def log() -> FilteringBoundLogger:
    """A log that nobody reads."""
    return logger(io.StringIO(), form="json")


@contextlib.asynccontextmanager
async def serving(app: web.Application, tls: TlsFiles | None = None) -> typing.AsyncIterator[str]:
    """The base URL of *app*, served on a free port."""
    listening = await listen(app, LOOPBACK, tls)
    try:
        yield f"{'https' if tls else 'http'}://{listening.address}"
    finally:
        await listening.close()


@contextlib.asynccontextmanager
async def asking(app: web.Application) -> typing.AsyncIterator[aiohttp.ClientSession]:
    """A client of *app*, served on a free port."""
    async with serving(app) as base, aiohttp.ClientSession(base) as client:
        yield client
