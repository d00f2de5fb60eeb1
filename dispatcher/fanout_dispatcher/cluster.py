"""How to reach the Kubernetes API server: as the pod that this is, or as a kubeconfig says.

Small on purpose: an address, a TLS context and a token that is read anew for every request, since the kubelet rotates
it. Credential plugins are not run: a dispatcher has an account of its own, not a person's.
"""

import asyncio
import base64
import binascii
import dataclasses
import os
import pathlib
import ssl
import tempfile
import typing

import aiohttp
import yaml

from fanout_dispatcher.settings import Unstartable
from fanout_dispatcher.values.address import bracketed

POD: typing.Final = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")
CONNECT: typing.Final = 10.0  # seconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cluster:
    """An API server and who we are there."""

    server: str
    tls: ssl.SSLContext | None
    namespace: str
    token: str | None = dataclasses.field(default=None, repr=False)
    token_file: pathlib.Path | None = None

    async def headers(self) -> dict[str, str]:
        """Give the Authorization header of one request; the token's file is read each time."""
        token = self.token
        if self.token_file:
            token = (await asyncio.to_thread(self.token_file.read_text)).strip()
        return {"Authorization": f"Bearer {token}"} if token else {}

    def session(self) -> aiohttp.ClientSession:
        """Make a session: no proxy from the environment, no cookies, connecting is bounded."""
        return aiohttp.ClientSession(
            self.server,
            connector=aiohttp.TCPConnector(ssl=self.tls or True),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT),
        )


def connect(kubeconfig: pathlib.Path | None, environ: typing.Mapping[str, str] = os.environ) -> Cluster:
    """Find the API server. Raises Unstartable with a sentence."""
    if kubeconfig:
        return from_kubeconfig(kubeconfig)
    host, port = environ.get("KUBERNETES_SERVICE_HOST"), environ.get("KUBERNETES_SERVICE_PORT", "443")
    if host:
        return from_pod(host, port)
    named = (environ.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)[0]
    return from_kubeconfig(pathlib.Path(named).expanduser())


def from_pod(host: str, port: str, folder: pathlib.Path = POD) -> Cluster:
    """Reach the API server with the pod's service account."""
    try:
        namespace = (folder / "namespace").read_text().strip()
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except OSError as error:
        raise Unstartable(f"the pod has no service account token: {error}") from None
    return Cluster(
        server=f"https://{bracketed(host)}:{port}", tls=tls, namespace=namespace, token_file=folder / "token"
    )


def from_kubeconfig(path: pathlib.Path) -> Cluster:
    """Reach the API server as the current context of a kubeconfig says."""
    try:
        config = yaml.safe_load(path.read_text())
        context = _named(config, "contexts", config.get("current-context"))["context"]
        cluster = _named(config, "clusters", context["cluster"])["cluster"]
        user = _named(config, "users", context["user"])["user"]
        return _cluster(path.parent, context, cluster, user)
    except (OSError, yaml.YAMLError, ssl.SSLError, binascii.Error) as error:
        raise Unstartable(f"kubeconfig {path}: {error}") from None
    except (KeyError, TypeError, AttributeError) as error:
        raise Unstartable(f"kubeconfig {path}: it has no usable current context ({error})") from None


def _named(config: typing.Any, kind: str, name: str) -> typing.Any:
    return next((one for one in config[kind] if one["name"] == name), {})


def _cluster(folder: pathlib.Path, context: typing.Any, cluster: typing.Any, user: typing.Any) -> Cluster:
    if "exec" in user or "auth-provider" in user:
        raise Unstartable("the kubeconfig's user needs a credential plugin: use a token or a certificate")
    token_file = user.get("tokenFile")
    return Cluster(
        server=cluster["server"],
        tls=_tls(folder, cluster, user) if cluster["server"].startswith("https:") else None,
        namespace=context.get("namespace") or "default",
        token=user.get("token"),
        token_file=folder / token_file if token_file else None,
    )


def _tls(folder: pathlib.Path, cluster: typing.Any, user: typing.Any) -> ssl.SSLContext:
    authority = _pem(folder, cluster, "certificate-authority")
    tls = ssl.create_default_context(cadata=authority.decode() if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE  # the kubeconfig says so in as many words
    certificate, key = _pem(folder, user, "client-certificate"), _pem(folder, user, "client-key")
    if certificate and key:
        with tempfile.NamedTemporaryFile(suffix=".pem") as both:  # OpenSSL reads client keys from files only
            both.write(certificate + b"\n" + key)
            both.flush()
            tls.load_cert_chain(both.name)
    return tls


def _pem(folder: pathlib.Path, entry: typing.Any, name: str) -> bytes | None:
    if data := entry.get(f"{name}-data"):
        return base64.b64decode(data)
    return (folder / entry[name]).read_bytes() if entry.get(name) else None
