"""How views look as JSON on these ports, and how queries and filters are read.

Times and names are `values.render`'s, as on the data port. Here are added what only operators see (a dead letter's
body) and the caps that give a line of the report stream a bound.
"""

import asyncio
import base64
import re
import typing

import msgspec
import orjson
from aiohttp import web

from fanout_dispatcher.admin.problems import Problem, invalid
from fanout_dispatcher.values.outcome import Reason
from fanout_dispatcher.values.render import plain
from fanout_dispatcher.values.views import DeadLetterFilter, DeadLetterView, EventView, RouteView, SagaView

LIMIT: typing.Final = 100  # items in a page unless asked otherwise
MOST: typing.Final = 1000
ROUTE: typing.Final = re.compile(r"[^/]+/[^/]+")
REASONS: typing.Final = tuple(str(one) for one in Reason if one is not Reason.CIRCUIT_OPEN)  # of dead letters
BODY_SECONDS: typing.Final = 30.0  # until the last byte of a request's body, however steadily it drips
SHOWN: typing.Final = 300  # characters of a text that came from outside (an error, a refusal) in views of routes

Json = dict[str, typing.Any]
Asked = typing.TypeVar("Asked", bound=msgspec.Struct)


def of_route(view: RouteView) -> Json:
    """Write a route and its targets; texts from outside are cut, so that a line of the report has a bound."""
    made = _written(view)
    made["refused"] = _cut(made["refused"])
    for one in (*made["targets"], *([made["source"]] if made["source"] else [])):
        one["lastError"] = _cut(one["lastError"])
    return made


def of_event(view: EventView) -> Json:
    """Write an event and its deliveries."""
    return _written(view)


def of_saga(view: SagaView) -> Json:
    """Write a stuck saga."""
    return _written(view)


def of_dead_letter(view: DeadLetterView) -> Json:
    """Write a dead letter; its body, when it is shown, as `body` (UTF-8 text) or `bodyBase64` (anything else)."""
    made = _written(msgspec.structs.replace(view, body=None))
    del made["body"]
    if view.body is None:
        del made["headers"]
        return made
    made["headers"] = [{"name": name, "value": value} for name, value in view.headers]
    return made | _body(view.body)


def _written(view: msgspec.Struct) -> Json:
    return typing.cast("Json", plain(view))


def _cut(text: str | None) -> str | None:
    return text if text is None or len(text) <= SHOWN else text[: SHOWN - 1] + "…"


def _body(raw: bytes) -> Json:
    """Write bytes as text where they are text."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        text = "\0"
    return {"bodyBase64": base64.b64encode(raw).decode()} if "\0" in text else {"body": text}


def respond(made: Json, status: int = 200) -> web.Response:
    """Answer with JSON."""
    return web.Response(status=status, body=orjson.dumps(made), content_type="application/json")


# --- reading ----------------------------------------------------------------------------------------------------------


def limit(text: str | None) -> int:
    """Read how many items are wanted: 1 to 1000, 100 when not said."""
    if text is None:
        return LIMIT
    if not re.fullmatch(r"[1-9][0-9]{0,3}", text) or int(text) > MOST:
        raise Problem(400, f'limit: expected a number from 1 to {MOST}, got "{text[:20]}"')
    return int(text)


def narrowed(route: str | None, reason: str | None = None) -> None:
    """Refuse a filter that can match nothing, whatever there is: its empty answer would look like good news."""
    if route is not None and not ROUTE.fullmatch(route):
        raise Problem(400, f'route: expected NAMESPACE/NAME such as shop/order-placed, got "{route[:80]}"')
    if reason is not None and reason not in REASONS:
        raise Problem(400, f'reason: expected one of {", ".join(REASONS)}, got "{reason[:40]}"')


def query(request: web.Request, *known: str) -> dict[str, str]:
    """Read the query; an unknown or repeated parameter is an error, since silence would answer another question."""
    read: dict[str, str] = {}
    for name, value in request.query.items():
        if name not in known:
            there_are = f"there are {', '.join(known)}" if known else "there are none here"
            raise Problem(400, f'unknown parameter "{name[:40]}": {there_are}')
        if name in read:
            raise Problem(400, f"{name}: given twice")
        read[name] = value
    return read


class Meant(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The JSON filter of replay and remove: `ids`, or any of route, target and reason, or `all`: true."""

    ids: typing.Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST)] = ()
    route: str | None = None
    target: str | None = None
    reason: str | None = None
    all: bool = False
    limit: typing.Annotated[int, msgspec.Meta(ge=1, le=MOST)] = LIMIT


async def meant(request: web.Request) -> DeadLetterFilter:
    """Read which dead letters are meant. An empty filter would mean all of them, so it must say `all`."""
    found = await body(request, Meant)
    by_field = (found.route, found.target, found.reason) != (None, None, None)
    if (bool(found.ids), by_field, found.all).count(True) != 1:
        raise Problem(400, 'say which dead letters: "ids", or any of "route", "target" and "reason", or "all": true')
    narrowed(found.route, found.reason)
    bound = len(found.ids) or found.limit  # each id that was named is meant
    return DeadLetterFilter(route=found.route, target=found.target, reason=found.reason, ids=found.ids, limit=bound)


async def body(request: web.Request, of: type[Asked]) -> Asked:
    """Read a request's body as JSON of this shape."""
    try:
        return msgspec.json.decode(await _received(request), type=of)
    except msgspec.MsgspecError as error:
        raise invalid(error) from None


async def _received(request: web.Request) -> bytes:
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError:
        raise Problem(408, f"the body of the request did not arrive within {BODY_SECONDS:g} s") from None
