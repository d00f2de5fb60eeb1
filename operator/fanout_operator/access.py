"""How the operator shows who it is: to the API server, and to the report ports of dispatchers.

An `Access` makes HTTP sessions that carry our token. A pod's token is rotated on disk by the kubelet, so it is read
again with every request that comes after it may have changed. A `ReportAccess` is the same for the dispatchers' report
ports, whose CA may be renewed too. Files are read in a thread. Sessions never use a proxy from the environment.
"""

import asyncio
import ssl
import typing
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import msgspec

from fanout_crds import apiserver
from fanout_operator.options import Unstartable

TOKEN_AGE: typing.Final = 30.0  # seconds; the kubelet rotates an hour's token well before its end

Token = Callable[[], Awaitable[str]]


class TokenFile:
    """A bearer token in a file that somebody else rotates."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._read_at = -TOKEN_AGE
        self._token = ""

    async def __call__(self) -> str:
        """The token as it is now, or was a moment ago. Raises OSError."""
        now = self._now()
        if now - self._read_at >= TOKEN_AGE or not self._token:
            self._token = await asyncio.to_thread(self._read)
            self._read_at = now
        return self._token

    def _read(self) -> str:
        text = self._path.read_text(encoding="utf-8", errors="replace").strip()
        if not text.isascii() or not text.isprintable() or not text or " " in text:
            raise OSError(f"{self._path} does not hold a token: one line of visible ASCII")
        return text

    def __repr__(self) -> str:
        return f"<TokenFile {self._path}>"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An API server's address, how it proves itself, and how we do."""

    server: str
    tls: ssl.SSLContext | None
    token: Token | None

    def session(
        self, *extra: aiohttp.ClientMiddlewareType, requests: type[aiohttp.ClientRequest] = aiohttp.ClientRequest
    ) -> aiohttp.ClientSession:
        """Open a session that sends our token with every request; the caller closes it."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self.tls or True)
        headers = {"User-Agent": "fanout-operator"}
        return aiohttp.ClientSession(
            connector=connector,
            headers=headers,
            middlewares=(self._authorise, *extra),
            request_class=requests,
            trust_env=False,
        )

    async def _authorise(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self.token:
            request.headers["Authorization"] = f"Bearer {await self.token()}"
        return await handler(request)

    def __repr__(self) -> str:
        return f"<Access {self.server}>"


class ReportAccess(msgspec.Struct, frozen=True, kw_only=True):
    """How a dispatcher's report port proves itself, and how we do: asked anew with every connect."""

    authority: Path | None = None  # CA certificates; None: the system's
    token: Token | None = None

    async def tls(self) -> ssl.SSLContext | bool:
        """Whom to trust now, as aiohttp takes it. Raises OSError, which a certificate that is none is too."""
        if self.authority is None:
            return True
        return await asyncio.to_thread(ssl.create_default_context, cafile=str(self.authority))

    async def headers(self) -> dict[str, str]:
        """What shows who we are. Raises OSError."""
        return {"Authorization": f"Bearer {await self.token()}"} if self.token else {}


def find(kubeconfig: Path | None, environment: Mapping[str, str], now: Callable[[], float]) -> Access:
    """Find the API server. Raises Unstartable with a sentence."""
    try:
        found = apiserver.find(kubeconfig, environment)
    except apiserver.Unusable as fault:
        raise Unstartable(str(fault)) from fault
    return Access(server=found.server, tls=found.tls, token=_token(found, now))


def _token(found: apiserver.ApiServer, now: Callable[[], float]) -> Token | None:
    if found.token_file:
        return TokenFile(found.token_file, now)
    return _fixed(found.token) if found.token else None


def _fixed(token: str) -> Token:
    async def same() -> str:
        return token

    return same
