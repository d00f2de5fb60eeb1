"""The methods of a route other than POST (RFC 9110 §9).

A GET has no body: what it asks for is in path and query. HEAD is accepted where GET is, and its answer is that of the
GET without the body. OPTIONS is answered 204 with Allow, and any other method 405 with Allow; neither makes an event.
"""

import typing

from fanout_dispatcher.ingress import problems
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request

BODILESS: typing.Final = frozenset({b"GET", b"HEAD"})


def judge(request: Request, route: Route) -> Refusal | None:
    """Say what is wrong with a request for *route*, if anything. Not asked for a POST to a route that accepts it.

    After an OPTIONS the request has no route any more: it is answered without making an event.
    """
    allowed = _allowed(route.plan.methods)
    if request.method == b"OPTIONS":
        request.echo += b"allow: %b\r\n" % allowed
        request.route = None
        return None
    if request.method not in allowed.split(b", "):
        taken = ", ".join(route.plan.methods)
        return problems.METHOD(f"events are sent here by {taken}", headers=((b"allow", allowed),))
    if request.method in BODILESS:
        if request.length != 0:
            return problems.MALFORMED(f"a {request.method.decode()} brings no body: ask by path and query")
        request.fields.pop(b"content-type", None)  # there is no content that it could be the type of
    return None


def _allowed(methods: tuple[str, ...]) -> bytes:
    """Give what is allowed, as the header Allow lists it."""
    more = ("HEAD", "OPTIONS") if "GET" in methods else ("OPTIONS",)
    return ", ".join((*methods, *more)).encode("ascii")
