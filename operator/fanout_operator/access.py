"""How the operator gets to the API server: from a kubeconfig, or from what a pod is given.

An `Access` makes HTTP sessions that carry our token. A pod's token is rotated on disk by the kubelet, so it is read
again with every request that comes after it may have changed. A `ReportAccess` is the same for the dispatchers' report
ports, whose CA may be renewed too. Files are read in a thread. Sessions never use a proxy from the environment.
"""

import asyncio
import base64
import os
import ssl
import tempfile
import typing
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

import aiohttp
import msgspec
import yaml

from fanout_operator.options import Unstartable

SERVICE_ACCOUNT: typing.Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_AGE: typing.Final = 30.0  # seconds; the kubelet rotates an hour's token well before its end

Settings = Mapping[str, typing.Any]
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


def in_cluster(environment: Mapping[str, str], now: Callable[[], float], folder: Path = SERVICE_ACCOUNT) -> Access:
    """Use the address and the ServiceAccount that Kubernetes gives to every pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise Unstartable("neither a kubeconfig nor a pod of a cluster: use --kubeconfig FILE or KUBECONFIG")
    try:
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except OSError as fault:
        raise Unstartable(f"{folder / 'ca.crt'}: the pod's service account cannot be used: {fault}") from fault
    address = f"[{host}]" if ":" in host else host
    return Access(server=f"https://{address}:{port}", tls=tls, token=TokenFile(folder / "token", now))


def from_kubeconfig(path: Path, now: Callable[[], float]) -> Access:
    """Use the current context of a kubeconfig. Tokens and client certificates are understood, exec plug-ins are not."""
    try:
        return _from_kubeconfig(yaml.safe_load(path.read_text(encoding="utf-8")), path.parent, now)
    except (OSError, yaml.YAMLError, ValueError) as fault:  # what ssl says is an OSError, base64 and UTF-8 a ValueError
        raise Unstartable(f"{path}: not a kubeconfig that can be used: {fault}") from fault
    except (KeyError, TypeError, AttributeError) as fault:
        raise Unstartable(f"{path}: has no current context that can be used: {fault!r}") from fault


def find(kubeconfig: Path | None, environment: Mapping[str, str], now: Callable[[], float]) -> Access:
    """Choose: the kubeconfig that is named, else the pod's own access, else KUBECONFIG or ~/.kube/config."""
    if kubeconfig:
        return from_kubeconfig(kubeconfig, now)
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environment, now)
    usual = Path(environment.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    return from_kubeconfig(usual, now) if usual.exists() else in_cluster(environment, now)


def _from_kubeconfig(config: Settings, folder: Path, now: Callable[[], float]) -> Access:
    context = _named(config, "contexts", "context", config["current-context"])
    cluster = _named(config, "clusters", "cluster", context["cluster"])
    user = _named(config, "users", "user", context["user"])
    if "exec" in user or "auth-provider" in user:
        raise ValueError("its user logs in through a plug-in; give the operator a token or a certificate")
    server = str(cluster["server"]).rstrip("/")
    tls = _tls(cluster, user, folder) if server.startswith("https://") else None
    return Access(server=server, tls=tls, token=_token(user, folder, now))


def _named(config: Settings, group: str, item: str, name: str) -> Settings:
    for entry in config[group]:
        if entry["name"] == name:
            return typing.cast(Settings, entry[item])
    raise KeyError(f"{group} has no {name}")


def _token(user: Settings, folder: Path, now: Callable[[], float]) -> Token | None:
    if user.get("tokenFile"):
        return TokenFile(folder / user["tokenFile"], now)
    return _fixed(str(user["token"])) if user.get("token") else None


def _fixed(token: str) -> Token:
    async def same() -> str:
        return token

    return same


def _tls(cluster: Settings, user: Settings, folder: Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    certificate, key = _pem(user, "client-certificate", folder), _pem(user, "client-key", folder)
    if certificate and key:
        with tempfile.NamedTemporaryFile() as both:  # ssl reads certificates from files only; mode 0600, gone at once
            both.write(certificate + b"\n" + key)
            both.flush()
            context.load_cert_chain(both.name)
    return context


def _pem(settings: Settings, field: str, folder: Path) -> bytes | None:
    if settings.get(f"{field}-data"):
        return base64.b64decode(settings[f"{field}-data"])
    return (folder / os.fspath(settings[field])).read_bytes() if settings.get(field) else None
