"""What the acts play on: a dispatcher's two ports, the three targets, the ledger and the screen."""

import asyncio
import contextlib
import dataclasses
import os
from collections.abc import AsyncIterator, Mapping

import httpx

from demo.admin import Admin, Json
from demo.errors import Unproven, prove
from demo.ledger import Ledger
from demo.process import Program
from demo.show import Show
from demo.targets import Target
from demo.watch import Watch

ROUTE = "shop/order-placed"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stage:
    """Everything an act needs."""

    http: httpx.AsyncClient
    url: str  # of the route, at the data port
    admin: Admin
    targets: Mapping[str, Target]
    ledger: Ledger
    watch: Watch
    show: Show
    dispatcher: Program

    def environment(self) -> dict[str, str]:
        """Give the environment in which `fanout` finds this dispatcher."""
        return {**os.environ, "FANOUT_ADMIN": self.admin.base}

    async def post(self, order: Json, headers: Mapping[str, str]) -> Json:
        """Post an order; gives the answer, which must be a 202, and notes it in the ledger."""
        try:
            answer = await self.http.post(self.url, json=order, headers=dict(headers))
        except httpx.TransportError as error:
            raise Unproven(f"order {order['id']} could not be posted: {error!r}") from None
        prove(answer.status_code == httpx.codes.ACCEPTED, f"order {order['id']}: {answer.status_code} {answer.text}")
        accepted: Json = answer.json()
        self.ledger.accepted(order["id"], accepted["receipt"])
        return accepted


@contextlib.asynccontextmanager
async def opened(
    show: Show, ledger: Ledger, *, targets: Mapping[str, Target], programs: tuple[Program, ...], door: str, admin: str
) -> AsyncIterator[Stage]:
    """Start the targets (but for warehouse) and the programs, the dispatcher first; however it ends, they are ended.

    *door* and *admin* are the addresses of its data and its admin port.
    """
    async with httpx.AsyncClient(trust_env=False) as http:
        looker = Admin(http, f"http://{admin}", ROUTE)
        stage = Stage(
            http=http,
            url=f"http://{door}/{ROUTE}",
            admin=looker,
            targets=targets,
            ledger=ledger,
            watch=Watch(looker, show),
            show=show,
            dispatcher=programs[0],
        )
        try:
            for name in ("billing", "crm"):
                await targets[name].open()
            for program in programs:
                show.output(program.line(), "")
            await asyncio.gather(*[program.start() for program in programs])
            yield stage
        finally:
            for program in reversed(programs):
                program.stop()
            for target in targets.values():
                await target.close()


def order(number: int, status: str) -> Json:
    """Make an order."""
    return {"id": number, "status": status, "total": 10 * number}


def cloudevent(number: int, status: str) -> dict[str, str]:
    """Make the headers that tell an order as a CloudEvent (binary mode)."""
    return {
        "ce-specversion": "1.0",
        "ce-type": f"order.{status}",
        "ce-source": "/shop/web",
        "ce-id": f"{number}-{status}",
    }
