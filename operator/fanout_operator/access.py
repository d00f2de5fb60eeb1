"""How the operator gets to the API server: from a kubeconfig, or from what a pod is given.

An `Access` makes HTTP sessions that carry our token. A pod's token is rotated on disk by the kubelet, so it is read
again with every request that comes after it may have changed; nothing else is ever read twice. Sessions never use a
proxy from the environment.
"""

import base64
import os
import ssl
import tempfile
import typing
from collections.abc import Callable, Mapping
from pathlib import Path

import aiohttp
import msgspec
import yaml

SERVICE_ACCOUNT: typing.Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")
TOKEN_AGE: typing.Final = 30.0  # seconds; the kubelet rotates an hour's token well before its end

Settings = Mapping[str, typing.Any]


class NoAccess(Exception):
    """There is no way to an API server, and why."""


class TokenFile:
    """A bearer token in a file that somebody else rotates."""

    def __init__(self, path: Path, now: Callable[[], float]) -> None:
        self._path = path
        self._now = now
        self._read_at = -TOKEN_AGE
        self._token = ""

    def __call__(self) -> str:
        now = self._now()
        if now - self._read_at >= TOKEN_AGE or not self._token:
            self._token = self._path.read_text(encoding="ascii").strip()
            self._read_at = now
        return self._token

    def __repr__(self) -> str:
        return f"<TokenFile {self._path}>"


class Access(msgspec.Struct, frozen=True, kw_only=True):
    """An API server's address, how it proves itself, and how we do."""

    server: str
    tls: ssl.SSLContext | None
    token: Callable[[], str] | None

    def session(self, *extra: aiohttp.ClientMiddlewareType) -> aiohttp.ClientSession:
        """Open a session that sends our token with every request; the caller closes it."""
        connector = aiohttp.TCPConnector(limit=0, ssl=self.tls or True)
        headers = {"User-Agent": "fanout-operator"}
        return aiohttp.ClientSession(
            connector=connector, headers=headers, middlewares=(self._authorise, *extra), trust_env=False
        )

    async def _authorise(
        self, request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
    ) -> aiohttp.ClientResponse:
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token()}"
        return await handler(request)

    def __repr__(self) -> str:
        return f"<Access {self.server}>"


def in_cluster(environment: Mapping[str, str], now: Callable[[], float], folder: Path = SERVICE_ACCOUNT) -> Access:
    """Use the address and the ServiceAccount that Kubernetes gives to every pod."""
    host, port = environment.get("KUBERNETES_SERVICE_HOST"), environment.get("KUBERNETES_SERVICE_PORT")
    if not host or not port:
        raise NoAccess("neither a kubeconfig nor a pod of a cluster: use --kubeconfig FILE or KUBECONFIG")
    tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    address = f"[{host}]" if ":" in host else host
    return Access(server=f"https://{address}:{port}", tls=tls, token=TokenFile(folder / "token", now))


def from_kubeconfig(path: Path, now: Callable[[], float]) -> Access:
    """Use the current context of a kubeconfig. Tokens and client certificates are understood, exec plug-ins are not."""
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
        context = _named(config, "contexts", "context", config["current-context"])
        cluster = _named(config, "clusters", "cluster", context["cluster"])
        user = _named(config, "users", "user", context["user"])
        server = str(cluster["server"]).rstrip("/")
    except (OSError, yaml.YAMLError, KeyError, TypeError) as fault:
        raise NoAccess(f"{path}: not a kubeconfig that can be used: {fault!r}") from fault
    if "exec" in user or "auth-provider" in user:
        raise NoAccess(f"{path}: this user logs in through a plug-in; give the operator a token or a certificate")
    tls = _tls(cluster, user, path.parent) if server.startswith("https://") else None
    return Access(server=server, tls=tls, token=_token(user, path.parent, now))


def find(kubeconfig: Path | None, environment: Mapping[str, str], now: Callable[[], float]) -> Access:
    """Choose: the kubeconfig that is named, else the pod's own access, else KUBECONFIG or ~/.kube/config."""
    if kubeconfig:
        return from_kubeconfig(kubeconfig, now)
    if environment.get("KUBERNETES_SERVICE_HOST"):
        return in_cluster(environment, now)
    usual = Path(environment.get("KUBECONFIG") or Path.home() / ".kube" / "config")
    return from_kubeconfig(usual, now) if usual.exists() else in_cluster(environment, now)


def _named(config: Settings, group: str, item: str, name: str) -> Settings:
    for entry in config[group]:
        if entry["name"] == name:
            return typing.cast(Settings, entry[item])
    raise KeyError(f"{group} has no {name}")


def _token(user: Settings, folder: Path, now: Callable[[], float]) -> Callable[[], str] | None:
    if user.get("tokenFile"):
        return TokenFile(folder / user["tokenFile"], now)
    token = user.get("token")
    return (lambda: str(token)) if token else None


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
