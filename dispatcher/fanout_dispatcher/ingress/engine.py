"""What the ingress asks of the engine: which route serves a path, to take an event, and what became of one."""

import typing

from fanout_crds.expressions import Expression
from fanout_crds.plan import Plan
from fanout_dispatcher.policies.shape import Shape
from fanout_dispatcher.policies.turnstile import Turnstile
from fanout_dispatcher.values.answers import Client, Reply, ReplyAll, Tell, Turned
from fanout_dispatcher.values.desk import RouteMeter
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.keyed import Keyed
from fanout_dispatcher.values.parameters import Parameters
from fanout_dispatcher.values.standing import Standing
from fanout_dispatcher.values.views import EventView


class Route(typing.Protocol):
    """A route in force, with what the ingress would otherwise work out per request."""

    @property
    def plan(self) -> Plan:
        """The plan as it came."""

    @property
    def forwardable(self) -> frozenset[bytes]:
        """Lower-case names of the producer's headers that at least one target asks for."""

    @property
    def forward_prefixes(self) -> tuple[bytes, ...]:
        """Lower-case prefixes of such names."""

    @property
    def posted(self) -> bool:
        """Whether POST is among its methods: a look-up for the common case, `plan.methods` has them all."""

    @property
    def source(self) -> str | None:
        """The source of an event that comes without one; None: the path that it was sent to."""

    @property
    def parameters(self) -> Parameters | None:
        """What is kept of path and query; None: nothing."""

    @property
    def meter(self) -> RouteMeter:
        """Counters of its front door."""

    @property
    def shape(self) -> Shape | None:
        """How answers of targets are written; None: as they are, by name."""

    @property
    def turnstile(self) -> Turnstile | None:
        """What limits how fast events come in; None without a limit."""

    @property
    def owner(self) -> int | None:
        """Who takes its events, of several workers; None: whoever reads them."""

    @property
    def keyed_by(self) -> Expression | None:
        """What gives an event's idempotency key; None: what it came with does."""

    @property
    def standing(self) -> Standing:
        """Whether it is in force still: a request may wait long between its head and its event."""


class Caller(typing.Protocol):
    """A client that waits for targets, as the engine knows it."""

    def leave(self) -> None:
        """The client has hung up: nobody is told any more."""


class Engine(typing.Protocol):
    """The engine as the data port sees it."""

    def route_at(self, path: str) -> Route | None:
        """The route whose literal path is *path*; None when there is none."""

    def route_like(self, path: str) -> Route | None:
        """The route whose path with names in braces matches *path*, percent-encoded as it came; None: there is none.

        Called when `route_at` has found none.
        """

    def accept(self, route: Route, head: Head, body: bytes, reply: Reply) -> None:
        """Take an event; *reply* is called once, on the loop, perhaps before this returns. Never raises."""

    def accept_waiting(self, route: Route, head: Head, body: bytes, tell: Tell) -> Caller | None:
        """Accept an event whose caller waits for its targets; *tell* is called once, later. Never raises.

        None: the caller was turned away, and has been told.
        """

    def accept_once(self, route: Route, keyed: Keyed, reply: Reply) -> None:
        """Accept an event unless its key is known: then *reply* gets the first answer. Else as `accept`."""

    def accept_waiting_once(self, route: Route, keyed: Keyed, client: Client) -> Caller | None:
        """Accept an event whose caller waits, unless its key is known; *client* is told once. Never raises.

        None: the client has been told already, that it is turned away or its key in use, or the kept answer.
        """

    def accept_all(self, route: Route, events: list[tuple[Head, bytes]], reply: ReplyAll) -> None:
        """Accept all of *events* (heads with their bodies, one at least) or none of them. Else as `accept`."""

    async def event(self, receipt: str) -> EventView | Turned | None:
        """What became of an event; None for a receipt that is not ours, Turned where nobody can say it now."""
