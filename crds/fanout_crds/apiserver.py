"""How to reach the Kubernetes API server: as the pod that this is, or as a kubeconfig says.

Both planes, and `fanout validate --server`, find it here and in the same order: the kubeconfig that is named, else the
pod's own account, else KUBECONFIG or ~/.kube/config. What is found is an address, whom to trust and what shows who we
are; sessions are made of it by whoever asks. A token in a file is named and not read, since the kubelet rotates it.
Credential plug-ins are not run: who asks has an account of its own, not a person's.
"""

import base64
import dataclasses
import os
import pathlib
import ssl
import typing

import yaml

from fanout_crds import clientcert

POD: typing.Final = pathlib.Path("/var/run/secrets/kubernetes.io/serviceaccount")

Settings = typing.Mapping[str, typing.Any]


class Unusable(Exception):
    """There is no API server that can be asked; the sentence says what stands in the way, and where."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class ApiServer:
    """An API server and who we are there.

    ``server`` may have a path, of a proxy that stands before several, and ends without a slash.
    """

    server: str
    tls: ssl.SSLContext | None
    namespace: str
    token: str | None = dataclasses.field(default=None, repr=False)
    token_file: pathlib.Path | None = None


def find(kubeconfig: pathlib.Path | None, environment: typing.Mapping[str, str]) -> ApiServer:
    """Choose. Raises Unusable."""
    if kubeconfig:
        return from_kubeconfig(kubeconfig)
    if host := environment.get("KUBERNETES_SERVICE_HOST"):
        return from_pod(host, environment.get("KUBERNETES_SERVICE_PORT", "443"))
    named = (environment.get("KUBECONFIG") or "~/.kube/config").split(os.pathsep)[0]
    usual = pathlib.Path(named).expanduser()
    if not usual.exists():
        raise Unusable(f"this is no pod of a cluster, and there is no {usual}: use --kubeconfig FILE or KUBECONFIG")
    return from_kubeconfig(usual)


def from_pod(host: str, port: str, folder: pathlib.Path = POD) -> ApiServer:
    """Use the account that Kubernetes gives to every pod."""
    try:
        namespace = (folder / "namespace").read_text(encoding="utf-8").strip()
        tls = ssl.create_default_context(cafile=str(folder / "ca.crt"))
    except OSError as fault:
        raise Unusable(f"{folder}: the pod's service account cannot be used: {fault}") from fault
    address = f"[{host}]" if ":" in host else host
    return ApiServer(server=f"https://{address}:{port}", tls=tls, namespace=namespace, token_file=folder / "token")


def from_kubeconfig(path: pathlib.Path) -> ApiServer:
    """Use the current context of a kubeconfig: tokens, token files and client certificates are understood."""
    try:
        return _current(yaml.safe_load(path.read_text(encoding="utf-8")), path.parent)
    except (OSError, yaml.YAMLError, ValueError) as fault:  # what ssl says is an OSError, base64 and UTF-8 a ValueError
        raise Unusable(f"kubeconfig {path} cannot be used: {fault}") from fault
    except (KeyError, TypeError, AttributeError) as fault:
        raise Unusable(f"kubeconfig {path} has no current context that can be used: {fault!r}") from fault


def _current(config: Settings, folder: pathlib.Path) -> ApiServer:
    context = _named(config, "contexts", "context", config["current-context"])
    cluster = _named(config, "clusters", "cluster", context["cluster"])
    user = _named(config, "users", "user", context["user"])
    if "exec" in user or "auth-provider" in user:
        raise ValueError("its user logs in through a plug-in: use a token or a certificate")
    server = str(cluster["server"]).rstrip("/")
    token_file = user.get("tokenFile")
    return ApiServer(
        server=server,
        tls=_tls(cluster, user, folder) if server.startswith("https://") else None,
        namespace=context.get("namespace") or "default",
        token=str(user["token"]) if user.get("token") else None,
        token_file=folder / token_file if token_file else None,
    )


def _named(config: Settings, group: str, item: str, name: str) -> Settings:
    for entry in config[group]:
        if entry["name"] == name:
            return typing.cast(Settings, entry[item])
    raise KeyError(f"{group} has no {name}")


def _tls(cluster: Settings, user: Settings, folder: pathlib.Path) -> ssl.SSLContext:
    authority = _pem(cluster, "certificate-authority", folder)
    context = ssl.create_default_context(cadata=authority.decode("ascii") if authority else None)
    if cluster.get("insecure-skip-tls-verify"):
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE  # the kubeconfig says so in as many words
    certificate, key = _pem(user, "client-certificate", folder), _pem(user, "client-key", folder)
    if certificate and key:
        try:
            clientcert.show(context, certificate + b"\n" + key)
        except ssl.SSLError:
            raise ValueError(
                "its user's certificate and key are no pair that can be read (PEM, not encrypted)"
            ) from None
    return context


def _pem(settings: Settings, field: str, folder: pathlib.Path) -> bytes | None:
    if data := settings.get(f"{field}-data"):
        return base64.b64decode(data)
    return (folder / os.fspath(settings[field])).read_bytes() if settings.get(field) else None
