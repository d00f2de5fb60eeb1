"""Asking a route's turnstile for a request: whose key it comes under, and what its answer tells of the limit.

Every answer of a route that has a limit tells what is left of it, also the 202, in the fields RateLimit-Policy and
RateLimit (draft-ietf-httpapi-ratelimit-headers-10): ``q`` requests at once after a quiet time, which come back within
``w`` seconds; ``r`` of them are left now, all of them in ``t`` seconds. On a 429 ``t`` is Retry-After.
"""

import hashlib
import typing

from fanout_crds import plan
from fanout_dispatcher.ingress import problems
from fanout_dispatcher.ingress.problems import Refusal
from fanout_dispatcher.ingress.request import Request
from fanout_dispatcher.policies.turnstile import Passage, Turnstile, whole
from fanout_dispatcher.values.answers import Turned
from fanout_dispatcher.values.desk import RouteMeter

REASON: typing.Final = "RateLimited"
LONGEST_KEY: typing.Final = 64  # bytes; of a longer header its digest stands for it


def ask(request: Request, turnstile: Turnstile, meter: RouteMeter, now: float) -> Refusal | None:
    """Let *request* in or turn it away; either way its answer will tell what is left."""
    passage = turnstile.ask(_key(request, turnstile.rule), now)
    request.echo += _told(turnstile.rule, passage)
    if not passage.wait:
        return None
    meter.turned[REASON] = meter.turned.get(REASON, 0) + 1
    seconds = whole(passage.wait)
    detail = f"more than {_limit(turnstile.rule)} came in: try again in {seconds}s"
    return problems.turned(Turned(status=429, reason=REASON, detail=detail, retry_after=seconds))


def _key(request: Request, rule: plan.AcceptRate) -> bytes:
    if rule.key == "Route":
        return b""
    if rule.key == "Client":
        return request.peer.encode()
    name = rule.header.encode()
    value = b",".join(value for found, value in request.lines if found == name)
    return value if len(value) <= LONGEST_KEY else hashlib.blake2b(value, digest_size=LONGEST_KEY).digest()


def _told(rule: plan.AcceptRate, passage: Passage) -> bytes:
    name = rule.key.lower().encode()
    window, left = whole(rule.burst * rule.per / rule.requests), passage.left
    until = whole(passage.wait or passage.full)
    return b'ratelimit-policy: "%b";q=%d;w=%d\r\nratelimit: "%b";r=%d;t=%d\r\n' % (
        *(name, rule.burst, window),
        *(name, left, until),
    )


def _limit(rule: plan.AcceptRate) -> str:
    """Say the limit as its manifest does."""
    who = {"Route": "", "Client": " from one address", "Header": f" with one {rule.header}"}[rule.key]
    return f"{rule.requests} requests in {rule.per:g}s{who}"
