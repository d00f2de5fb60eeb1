"""Which methods a route is asked with (RFC 9110 §9), besides the POST that brings an event.

A GET brings nothing: what it asks for is in its path and query. HEAD is taken where GET is, and its answer is that of
the GET without the body. OPTIONS is answered by what is allowed, and nothing comes of it; so is any other method.
"""

import typing

from fanout_dispatcher.ingress import problems
from fanout_dispatcher.ingress.engine import Route
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request

BODILESS: typing.Final = frozenset({b"GET", b"HEAD"})


def judge(request: Request, route: Route) -> Refusal | None:
    """Judge a request for *route* that is no POST, or one that is and that the route does not take."""
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
        request.fields.pop(b"content-type", None)  # of nothing
    return None


def _allowed(methods: tuple[str, ...]) -> bytes:
    """Give what is allowed, as the header Allow lists it."""
    more = ("HEAD", "OPTIONS") if "GET" in methods else ("OPTIONS",)
    return ", ".join((*methods, *more)).encode("ascii")
