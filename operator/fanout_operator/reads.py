"""What a reconcile reads of the API server, and what it need not ask for since somebody has asked already.

A start looks at thousands of routes at once, and a request for each thing that each of them needs would be most of its
work. So reads are shared, wherever a watch vouches for what is kept:

- Services come from their watch. One that it does not tell of is asked for: a route and its Service are often applied
  together, and who comes first is chance.
- Secrets are read when a route needs them, never else. One that is small, as credentials are, is kept while its watch
  tells the version that was read, so that many routes with one credential read it once. The API server is asked for
  one that is no older than what the watch told, which spares it a question to etcd.
- What lies there of plans is listed once, when a start has all routes before it. Each object is handed out once, unless
  its watch has told of a change meanwhile; afterwards each is asked for.

What is asked one by one is never older than what a watch told, so nothing here can bring back what was.
"""

import collections
import typing
from collections.abc import Iterable, Mapping

import structlog

from fanout_operator.kube import (
    FAILURES,
    SECRETS,
    SERVICES,
    Document,
    Kind,
    Kube,
    NotFound,
    Reading,
    Scope,
    Unavailable,
)
from fanout_operator.packed import pack, unpack
from fanout_operator.reflector import key_of

SMALL: typing.Final = 16 << 10  # bytes of a Secret that is kept
KEPT: typing.Final = 1024  # Secrets: 16 MiB at most
FIELDS: typing.Final = ("type", "clusterIP", "externalName", "ports")  # of a Service, all that a plan depends on

log = structlog.get_logger()


class Reads:
    """Objects by name, asked for or known."""

    def __init__(self, kube: Kube, services: Mapping[str, bytes], secrets: Mapping[str, str]) -> None:
        """Both are by ``namespace/name`` and kept by watches: Services as `reduced` has them, versions of Secrets."""
        self._kube = kube
        self._services = services
        self._secrets = secrets
        self._kept: collections.OrderedDict[str, tuple[str, bytes]] = collections.OrderedDict()
        self._listed: dict[tuple[Kind, str], bytes] = {}
        self._changed: set[tuple[Kind, str]] | None = None  # while a list is on its way

    def __repr__(self) -> str:
        return f"<Reads services={len(self._services)} secrets={len(self._kept)} listed={len(self._listed)}>"

    async def referent(self, kind: Kind, namespace: str, name: str) -> Document | None:
        """A Service or a Secret that a route refers to; None when there is none."""
        key = f"{namespace}/{name}"
        known = self._services.get(key) if kind == SERVICES else self._secret(key)
        if known is not None:
            return unpack(known)
        if kind != SECRETS:
            return await self._get(kind, namespace, name)
        found = await self._get(kind, namespace, name, since=self._secrets.get(key, ""))
        if found is not None:
            self._keep(key, found)
        return found

    async def ours(self, kind: Kind, namespace: str, name: str) -> Document | None:
        """A plan's ConfigMap, or the Secret that goes with it; None when there is none."""
        listed = self._listed.pop((kind, f"{namespace}/{name}"), None)
        return unpack(listed) if listed is not None else await self._get(kind, namespace, name)

    async def list_ours(self, scopes: Iterable[Scope]) -> None:
        """List what lies there of plans. Without it all is found one by one, so a failure is no more than slow."""
        self._changed = set()
        try:
            for scope in scopes:
                async for page in self._kube.pages(scope):
                    for one in page.items:
                        self._listed[scope.kind, key_of(one)] = pack(one)
        except FAILURES as fault:
            log.warning("reads.unlisted", fault=f"{type(fault).__name__}: {fault}")
        for changed in self._changed:
            self._listed.pop(changed, None)
        self._changed = None

    def changed(self, kind: Kind, key: str) -> None:
        """A watch has told of a change to one of ours."""
        self._listed.pop((kind, key), None)
        if self._changed is not None:
            self._changed.add((kind, key))

    def started(self) -> None:
        """All that a start had before it is done; what was listed and not asked for is nobody's."""
        self._listed.clear()

    def _secret(self, key: str) -> bytes | None:
        version, text = self._kept.get(key, ("", b""))
        if not version or version != self._secrets.get(key):
            return None
        self._kept.move_to_end(key)
        return text

    def _keep(self, key: str, secret: Reading) -> None:
        metadata = {name: secret["metadata"][name] for name in ("namespace", "name")}
        text = pack({"metadata": metadata, "data": secret.get("data")})
        self._kept.pop(key, None)
        if len(text) <= SMALL:
            self._kept[key] = (str(secret["metadata"]["resourceVersion"]), text)
        while len(self._kept) > KEPT:
            self._kept.popitem(last=False)

    async def _get(self, kind: Kind, namespace: str, name: str, since: str = "") -> Document | None:
        try:
            return await self._kube.get(kind, namespace, name, since=since)
        except NotFound:
            return None
        except Unavailable:
            if not since:
                raise
            return await self._get(kind, namespace, name)  # after a restore there may never be such a version


def reduced(service: Reading) -> bytes:
    """Keep of a Service what a plan depends on, so that whatever else changes about it wakes nobody."""
    metadata = {name: service["metadata"][name] for name in ("namespace", "name")}
    spec = {name: value for name, value in service["spec"].items() if name in FIELDS}
    return pack({"metadata": metadata, "spec": spec})
