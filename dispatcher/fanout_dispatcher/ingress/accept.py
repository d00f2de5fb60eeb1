"""From a request to its answer: which route, whether it may come in, and what the engine said.

Called twice per request. ``open`` sees the head alone, so that what cannot be accepted is refused before its body
is read; ``begin`` has the body and gives the event to the engine, or hands the request on where another worker owns
the route. The checks stand in the order in which a client can mend them: the place, the method, the coding, the size,
the pace, and only then the event itself.

Between the two a body may come slowly, and a request may wait for its turn behind others of its connection. When its
route was replaced or deleted meanwhile, it is judged again by what is in force now: an event is of the plan under which
it is accepted, and lanes of one that is gone may be gone too.
"""

import asyncio
import typing
import urllib.parse

import msgspec

from fanout_dispatcher.ingress import answer, batches, cloudevents, idempotency, limiting, methods, prefer, problems
from fanout_dispatcher.ingress.answer import STATUS
from fanout_dispatcher.ingress.attributes import Invalid
from fanout_dispatcher.ingress.cloudevents import HeadAndBody, NotJson
from fanout_dispatcher.ingress.engine import Engine, Route
from fanout_dispatcher.ingress.exchange import Exchange
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.ingress.settled import Shaping
from fanout_dispatcher.values.answers import AcceptedAll, Turned
from fanout_dispatcher.values.correlation import request_id
from fanout_dispatcher.values.event import Head
from fanout_dispatcher.values.parameters import Unreadable
from fanout_dispatcher.values.render import render
from fanout_dispatcher.values.views import EventView

OURS: typing.Final = "/-/"
_ALLOW_GET: typing.Final = ((b"allow", b"GET, HEAD"),)
_NO_STORE: typing.Final = ((b"cache-control", b"no-store"),)
_IDENTITY: typing.Final = ((b"accept-encoding", b"identity"),)
_FORMATS: typing.Final = b"application/cloudevents"

HandOn = typing.Callable[[int, Exchange], None]  # to the owner of the route, who answers


def nobody(owner: int, exchange: Exchange) -> None:
    """Refuse what there is nobody to hand on to."""
    why = f"worker {owner} takes the events of this route, and there is no way to it"
    exchange.refuse(problems.OWNER_AWAY(why, headers=problems.retry_after(1)))


class Acceptor:
    """Answers requests; one per data port."""

    __slots__ = ("asking", "engine", "hand_on", "loop", "reader")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        engine: Engine,
        ids: typing.Callable[[], str],
        hand_on: HandOn = nobody,
    ) -> None:
        self.loop = loop
        self.engine = engine
        self.hand_on = hand_on
        self.reader = cloudevents.Reader(ids)
        self.asking: set[asyncio.Task[EventView | Turned | None]] = set()

    def open(self, request: Request, *, let_in: bool = False) -> Refusal | None:
        """Judge the head: set ``route`` and ``limit``, or say no before the body is read.

        One that was *let_in* has been counted by a limit already.
        """
        if request.path.startswith(OURS):
            return _judge_ours(request)
        route = self.engine.route_at(_decoded(request.path) if "%" in request.path else request.path)
        if route is None and (route := self.engine.route_like(request.path)) is None:
            return problems.NO_ROUTE(f"no route listens at {request.path}")
        request.route = route
        if request.method != b"POST" or not route.posted:
            refusal = methods.judge(request, route)
            if refusal is not None or request.route is None:
                return refusal
        if (refusal := _judge_coding(request, batches_too=route.plan.batches)) is not None:
            return refusal
        limit = request.limit = route.plan.max_body_size
        length = request.length
        if length is not None and length > limit:
            return _too_large(length, limit)
        if route.parameters is not None:
            try:
                request.parameters = route.parameters.read(request.path, request.query)
            except Unreadable as wrong:
                return problems.INVALID_QUERY(f"{wrong}")
        if route.turnstile is not None and not let_in:
            return limiting.ask(request, route.turnstile, route.meter, self.loop.time())
        return None

    def begin(self, exchange: Exchange) -> None:
        """Answer a complete request, now or later."""
        request = exchange.request
        route = request.route
        if request.refusal is not None:
            exchange.refuse(request.refusal)
        elif route is None:
            self._aside(exchange)
        elif route.owner is not None or not route.standing.in_force:
            self._elsewhere(exchange, route)
        else:
            try:
                if route.plan.batches and batches.is_batch(request.fields.get(b"content-type", b"")):
                    return self._all(exchange, route, batches.read(request, route))
                head, body = self.reader.read(request, route)
            except Invalid as wrong:
                exchange.refuse(problems.INVALID_EVENT(f"{wrong}"))
            except NotJson as wrong:
                exchange.refuse(problems.INVALID_JSON(f"{wrong}"))
            else:
                _name(request, head)
                if route.plan.idempotency is not None:
                    self._once(exchange, route, head, body)
                elif route.plan.respond is None or prefer.asynchronous(request):
                    self.engine.accept(route, head, body, exchange.reply)
                else:
                    _shape(exchange, route, head, body)
                    exchange.caller = self.engine.accept_waiting(route, head, body, exchange.tell)
        return None

    def _elsewhere(self, exchange: Exchange, route: Route) -> None:
        """Hand on a request for *route* to its owner; or begin it anew by what is in force, if that is not."""
        if not route.standing.in_force:
            self._anew(exchange, route)
        elif route.owner is not None:
            self.hand_on(route.owner, exchange)

    def _anew(self, exchange: Exchange, before: Route) -> None:
        request = exchange.request
        request.route = request.parameters = None
        request.refusal = self.open(request, let_in=before.turnstile is not None)
        if request.refusal is None and (size := len(request.body)) > request.limit:
            request.refusal = _too_large(size, request.limit)
        self.begin(exchange)

    def _all(self, exchange: Exchange, route: Route, events: list[HeadAndBody]) -> None:
        """Give the engine a batch; an empty one is there already."""
        if events:
            self.engine.accept_all(route, events, exchange.reply_all)
        else:
            exchange.reply_all(AcceptedAll(()))

    def _once(self, exchange: Exchange, route: Route, head: Head, body: bytes) -> None:
        """Give the engine an event under its key."""
        keyed = idempotency.keyed(exchange.request, head, body, route)
        if isinstance(keyed, Refusal):
            exchange.refuse(keyed)
        elif route.plan.respond is None or prefer.asynchronous(exchange.request):
            self.engine.accept_once(route, keyed, exchange.reply)
        else:
            _shape(exchange, route, head, body)
            exchange.caller = self.engine.accept_waiting_once(route, keyed, exchange)

    def _aside(self, exchange: Exchange) -> None:
        """Answer what is no event."""
        if exchange.request.method == b"OPTIONS":
            exchange.respond(answer.nothing(exchange.request))
        else:
            self._tell(exchange)

    def _tell(self, exchange: Exchange) -> None:
        """Say what became of an event; the journal may have to be asked, so this alone is a task."""
        task = self.loop.create_task(self._view(exchange.request))
        self.asking.add(task)

        def told(done: asyncio.Task[EventView | Turned | None]) -> None:
            self.asking.discard(done)
            if done.cancelled() or (wrong := done.exception()) is not None:
                exchange.refuse(problems.INTERNAL("the event's state could not be read"))
                if not done.cancelled():
                    self.loop.call_exception_handler({"message": "status of an event", "exception": wrong})
            else:
                _show(exchange, done.result())

        task.add_done_callback(told)

    async def _view(self, request: Request) -> EventView | Turned | None:
        return await self.engine.event(request.path.removeprefix(STATUS))


def _too_large(size: int, limit: int) -> Refusal:
    return problems.BODY_TOO_LARGE(f"the body has {size} bytes; this route takes {limit}")


def _name(request: Request, head: Head) -> None:
    """Have the answer tell the X-Request-Id that targets are sent, where the client has not said one."""
    if not request.fields.get(b"x-request-id"):
        request.echo += b"x-request-id: %b\r\n" % request_id(head.id)


def _shape(exchange: Exchange, route: Route, head: Head, body: bytes) -> None:
    """Have the answer that the exchange is going to wait for in the shape that its route gives it."""
    if route.shape is not None:
        exchange.shaping = Shaping(route.shape, head, body)


def _show(exchange: Exchange, view: EventView | Turned | None) -> None:
    if view is None:
        exchange.refuse(problems.NO_EVENT("no event has this receipt, or it is past its time"))
    elif isinstance(view, Turned):
        exchange.refuse(problems.turned(view))
    else:
        exchange.respond(answer.answer(exchange.request, 200, render(_told(view)), headers=_NO_STORE))


def _told(view: EventView) -> EventView:
    """Leave out what is for people at the admin port: a producer has no need to know our addresses and expressions."""
    if not any(one.detail for one in view.deliveries):
        return view
    return msgspec.structs.replace(
        view, deliveries=tuple(msgspec.structs.replace(one, detail=None) for one in view.deliveries)
    )


def _judge_ours(request: Request) -> Refusal | None:
    """Judge a request to one of our own paths."""
    receipt = request.path.removeprefix(STATUS)
    if receipt == request.path or not receipt or "/" in receipt:
        return problems.NO_ROUTE(f"nothing is at {request.path}")
    if request.method not in {b"GET", b"HEAD"}:
        return problems.METHOD("an event's state is read by GET", headers=_ALLOW_GET)
    return None


def _judge_coding(request: Request, *, batches_too: bool) -> Refusal | None:
    """Judge content coding and event format: what would arrive at the targets is what came in, or nothing."""
    fields = request.fields
    if b"content-encoding" in fields:
        for name, value in request.lines:
            if name == b"content-encoding" and value.lower() != b"identity":
                return problems.CONTENT_ENCODING("send the body without Content-Encoding", headers=_IDENTITY)
    content_type = fields.get(b"content-type", b"")
    if content_type != b"application/json" and content_type[: len(_FORMATS)].lower() == _FORMATS:
        media = content_type.partition(b";")[0].strip().lower()
        if media == batches.MEDIA_TYPE and not batches_too:
            return problems.EVENT_FORMAT("batches are not accepted here: send one event per request")
        if media not in {cloudevents.STRUCTURED, batches.MEDIA_TYPE}:
            return problems.EVENT_FORMAT("of the event formats only JSON is understood, application/cloudevents+json")
    return None


def _decoded(path: str) -> str:
    """Undo percent-encoding, once; what hides a slash or is not text stays as it is, and matches no route."""
    try:
        plain = urllib.parse.unquote(path, errors="strict")
    except UnicodeDecodeError:
        return path
    return plain if plain.isprintable() and plain.count("/") == path.count("/") else path
