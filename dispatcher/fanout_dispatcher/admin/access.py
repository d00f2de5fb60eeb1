"""Who may use the admin port.

With a token, only who shows it (compared in constant time; a missing one costs the same as a wrong one). Without one
the port listens on loopback only, and then the danger is a web page in a browser on this machine: a name that an
attacker points at 127.0.0.1 (DNS rebinding), or a form posted from elsewhere. So Host must be a loopback name, and an
Origin, where there is one, must be this port itself. Probes ask /livez and /readyz without a token.
"""

import hmac
import typing

import yarl
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from fanout_dispatcher.admin.problems import Problem
from fanout_dispatcher.values.address import is_loopback

OPEN: typing.Final = frozenset({"/livez", "/readyz"})


def middleware(*, token: str | None, loopback: bool) -> Middleware:
    """Let in who may come in; *loopback* says that only this machine can reach the port."""

    @web.middleware
    async def access(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path not in OPEN:
            if loopback:
                _check_host(request)
            _check_origin(request)
            if token is not None:
                _check_token(request, token)
        return await handler(request)

    return access


def bearer(request: web.Request) -> str:
    """Give the bearer token that *request* shows, empty when it shows none."""
    scheme, _, shown = request.headers.get("Authorization", "").partition(" ")
    return shown.strip() if scheme.lower() == "bearer" else ""


def _check_token(request: web.Request, token: str) -> None:
    if not hmac.compare_digest(bearer(request).encode(errors="surrogateescape"), token.encode()):
        raise Problem(401, "this port needs its bearer token", WWW_Authenticate="Bearer")


def _check_host(request: web.Request) -> None:
    name = _host(f"http://{request.headers.get('Host', '')}")
    if name is None or not is_loopback(name):
        raise Problem(421, "this port only answers to localhost: the Host header names another machine")


def _check_origin(request: web.Request) -> None:
    """Refuse pages of other sites. Browsers send Origin with everything but plain navigation and images."""
    origin = request.headers.get("Origin")
    if origin is None:
        return
    scheme, _, rest = origin.partition("://")
    if scheme not in ("http", "https") or rest != request.headers.get("Host"):
        raise Problem(403, "this port does not answer to pages of other sites")


def _host(url: str) -> str | None:
    try:
        return yarl.URL(url).host
    except ValueError:
        return None
