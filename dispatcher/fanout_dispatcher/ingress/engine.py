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
        """Whether it is asked by POST; its plan says by what else."""

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
    def keyed_by(self) -> Expression | None:
        """What gives an event's idempotency key; None: what it came with does."""


class Caller(typing.Protocol):
    """Somebody who waits for targets, as the engine knows them."""

    def leave(self) -> None:
        """They have hung up: nobody is told any more."""


class Engine(typing.Protocol):
    """The engine as the data port sees it."""

    def route_at(self, path: str) -> Route | None:
        """The route that listens at *path*, written out; None when there is none."""

    def route_like(self, path: str) -> Route | None:
        """The route whose path with names in braces fits *path*, percent-encoded as it came; None when there is none.

        Asked when nobody listens at the path as it is written out.
        """

    def accept(self, route: Route, head: Head, body: bytes, reply: Reply) -> None:
        """Take an event; *reply* is called once, on the loop, perhaps before this returns. Never raises."""

    def accept_waiting(self, route: Route, head: Head, body: bytes, tell: Tell) -> Caller | None:
        """Take an event whose caller waits for its targets; *tell* is called once, later. Never raises.

        Who is turned away is told before this returns None.
        """

    def accept_once(self, route: Route, keyed: Keyed, reply: Reply) -> None:
        """Take an event unless its key was taken before: then *reply* gets the first answer. Else as `accept`."""

    def accept_waiting_once(self, route: Route, keyed: Keyed, client: Client) -> Caller | None:
        """Take an event whose caller waits, unless its key was taken before; *client* is told once. Never raises.

        Who is turned away, or knows the answer already, is told before this returns None.
        """

    def accept_all(self, route: Route, events: list[tuple[Head, bytes]], reply: ReplyAll) -> None:
        """Take all of some events, or none: heads with their bodies, one at least. Else as `accept`."""

    async def event(self, receipt: str) -> EventView | Turned | None:
        """What became of an event; None for a receipt that is not ours, Turned where nobody can say it now."""
