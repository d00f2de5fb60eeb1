"""An engine that does as it is told and remembers what it was given; and a transport that keeps what is written."""

import asyncio
import collections

import msgspec

from fanout_crds.expressions import Expression
from fanout_crds.plan import Plan, Respond
from fanout_dispatcher.ingress.accept import Acceptor
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.port import Port
from fanout_dispatcher.ingress.protocol import Connection
from fanout_dispatcher.ingress.settings import Settings
from fanout_dispatcher.policies.shape import Shape, shaped
from fanout_dispatcher.policies.turnstile import Turnstile
from fanout_dispatcher.values.answers import Accepted, AcceptedAll, Answered, Client, Reply, ReplyAll, Tell, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.keyed import Keyed
from fanout_dispatcher.values.parameters import Parameters
from fanout_dispatcher.values.standing import Standing
from fanout_dispatcher.values.views import EventView

WALL = 1_795_395_840.0  # Mon, 23 Nov 2026 02:24:00 GMT


class StubRoute(msgspec.Struct, frozen=True):
    plan: Plan
    forwardable: frozenset[bytes] = frozenset()
    forward_prefixes: tuple[bytes, ...] = ()
    meter: RouteMeter = msgspec.field(default_factory=lambda: RouteMeter(route="shop/orders"))
    turnstile: Turnstile | None = None
    shape: Shape | None = None
    keyed_by: Expression | None = None
    posted: bool = True
    source: str | None = "/shop/orders"
    parameters: Parameters | None = None
    owner: int | None = None
    standing: Standing = msgspec.field(default_factory=Standing)


def route(
    path: str = "/shop/orders",
    *,
    max_body_size: int = 1024,
    forward: tuple[str, ...] = (),
    respond: Respond | None = None,
) -> StubRoute:
    plan = Plan(
        format=1,
        revision="r1",
        namespace="shop",
        name="orders",
        uid="u1",
        generation=1,
        path=path,
        max_body_size=max_body_size,
        durability="Journal",
        suspend=False,
        targets=(),
        respond=respond,
    )
    names = frozenset(one.encode() for one in forward if not one.endswith("*"))
    prefixes = tuple(one[:-1].encode() for one in forward if one.endswith("*"))
    return StubRoute(plan, names, prefixes, shape=shaped(respond))


class StubCaller:
    """Somebody who waits: the test says when and what they are told."""

    def __init__(self, tell: Tell) -> None:
        self.tell = tell
        self.gone = False

    def leave(self) -> None:
        self.gone = True


class StubEngine:
    """Answers at once with the receipts r1, r2, …; or, when *holding*, keeps the replies for the test to give."""

    def __init__(self, *routes: StubRoute) -> None:
        self.routes = {one.plan.path: one for one in routes or (route(),)}
        self.taken: list[tuple[Head, bytes]] = []
        self.replies: collections.deque[Reply] = collections.deque()
        self.callers: list[StubCaller] = []
        self.keyed: list[Keyed] = []
        self.clients: list[Client] = []
        self.holding = False
        self.outcome: Answered | None = None
        self.views: dict[str, EventView | Turned] = {}
        self.broken = False

    def route_at(self, path: str) -> StubRoute | None:
        return self.routes.get(path)

    def route_like(self, path: str) -> StubRoute | None:
        return next((one for one in self.routes.values() if "{" in one.plan.path), None)

    def accept(self, route: Route, head: Head, body: bytes, reply: Reply) -> None:
        self.taken.append((head, body))
        outcome = self.outcome or Accepted(f"r{len(self.taken)}")
        if self.holding:
            self.replies.append(lambda _: reply(outcome))
        else:
            reply(outcome)

    def accept_waiting(self, route: Route, head: Head, body: bytes, tell: Tell) -> "StubCaller":
        self.taken.append((head, body))
        self.callers.append(StubCaller(tell))
        return self.callers[-1]

    def accept_once(self, route: Route, keyed: Keyed, reply: Reply) -> None:
        self.keyed.append(keyed)
        self.accept(route, keyed.head, keyed.body, reply)

    def accept_waiting_once(self, route: Route, keyed: Keyed, client: Client) -> "StubCaller":
        self.keyed.append(keyed)
        self.clients.append(client)
        self.taken.append((keyed.head, keyed.body))
        return StubCaller(client.tell)

    def accept_all(self, route: Route, events: list[tuple[Head, bytes]], reply: ReplyAll) -> None:
        self.taken += events
        turned = self.outcome if isinstance(self.outcome, Turned) else None
        reply(turned or AcceptedAll(tuple(f"r{number}" for number, _ in enumerate(events, start=1))))

    def release(self) -> None:
        """Give the oldest answer that is held back."""
        self.replies.popleft()(Accepted(""))

    async def event(self, receipt: str) -> EventView | Turned | None:
        if self.broken:
            raise OSError("the disk is gone")
        return self.views.get(receipt)


class Wire(asyncio.Transport):
    """A transport without a socket."""

    def __init__(self) -> None:
        super().__init__({"peername": ("192.0.2.7", 4711)})
        self.written = b""
        self.closed = False
        self.reading = True

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.written += data

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.closed = True

    def close(self) -> None:
        self.closed = True

    def abort(self) -> None:
        self.closed = True

    def is_closing(self) -> bool:
        return self.closed

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


def connect(engine: StubEngine, settings: Settings | None = None) -> tuple[Connection, Wire, Port]:
    """Make a connection on a wire; the port's sweep must be stopped by closing it."""
    loop = asyncio.get_running_loop()
    port = Port(loop, Acceptor(loop, engine, lambda: "made-1"), settings or Settings(), lambda: WALL)
    connection, wire = Connection(port), Wire()
    connection.connection_made(wire)
    return connection, wire, port
