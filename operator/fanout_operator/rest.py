"""A real Kubernetes API over HTTP: `Kube` by aiohttp and orjson.

Small on purpose. One request per call, no retries (the work queue has them), no cache. Whatever goes wrong on the way
is one of kube.py's errors when it leaves here. Lists come in pages; a watch ends silently when the server's time is
up and raises Unavailable when it falls silent, bookmarks included.
"""

import typing
from collections.abc import AsyncIterator, Mapping, Sequence

import aiohttp
import orjson

from fanout_crds.lines import LineTooLong, Splitter
from fanout_operator.kube import (
    FIELD_MANAGER,
    Document,
    Event,
    Gone,
    Kind,
    NotFound,
    Page,
    Scope,
    Unavailable,
    failure,
)

PAGE: typing.Final = 500
WATCH_SECONDS: typing.Final = 290  # the server ends a watch after this; the next one goes on from its last version
SILENCE: typing.Final = 90.0  # bookmarks come every minute: a quieter stream is dead
LONGEST_WAIT: typing.Final = 60.0  # seconds: what we obey of a Retry-After
ANSWER: typing.Final = aiohttp.ClientTimeout(total=20)
LONGEST_LINE: typing.Final = 8 << 20  # bytes; an object has at most 1.5 MiB, its JSON may be some more
STREAM: typing.Final = aiohttp.ClientTimeout(total=None, connect=20, sock_read=SILENCE)

_JSON: typing.Final = "application/json"
_METADATA: typing.Final = "application/json;as={kind};g=meta.k8s.io;v=v1"
_BROKEN: typing.Final = (aiohttp.ClientError, TimeoutError, OSError, orjson.JSONDecodeError, LineTooLong)

_VERSION: typing.Final = ("resourceVersion",)
_NAME_AND_VERSION: typing.Final = ("name", *_VERSION)
_EVENTS: typing.Final = frozenset({"ADDED", "MODIFIED", "DELETED", "BOOKMARK"})

Parameters = Mapping[str, str]


class Rest:
    """The API at `server`, through a session that knows how to log in."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server
        self.calls: dict[str, int] = {}  # by HTTP method, for the metrics: idle means no PATCH

    def __repr__(self) -> str:
        return f"<Rest {self._server} {self.calls}>"

    async def served(self, kinds: Sequence[Kind]) -> Kind | None:
        for kind in kinds:
            try:
                found = await self._ask("GET", kind.root)
            except NotFound:
                continue
            if any(one.get("name") == kind.plural for one in found.get("resources") or ()):
                return kind
        return None

    async def get(self, kind: Kind, namespace: str | None, name: str, *, since: str = "") -> Document:
        return _whole(await self._ask("GET", kind.path(namespace, name), {"resourceVersion": since} if since else None))

    async def pages(self, scope: Scope) -> AsyncIterator[Page]:
        parameters = {**_selection(scope), "limit": str(PAGE)}
        while True:
            page = await self._ask("GET", scope.kind.path(scope.namespace), parameters, accept=_accept(scope, "List"))
            metadata = page.get("metadata") or {}
            more = metadata.get("continue")
            if not more and not metadata.get("resourceVersion"):
                raise Unavailable(f"{scope.kind.plural}: what came is no list")
            yield Page(tuple(_whole(one) for one in page.get("items") or ()), metadata.get("resourceVersion", ""))
            if not more:
                return
            parameters = {**parameters, "continue": more}

    async def watch(self, scope: Scope, version: str) -> AsyncIterator[Event]:
        parameters = {
            **_selection(scope),
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(WATCH_SECONDS),
        }
        url = self._server + scope.kind.path(scope.namespace)
        headers = {"Accept": _accept(scope, "")}
        self._count("WATCH")
        try:
            async with self._session.get(url, params=parameters, headers=headers, timeout=STREAM) as answer:
                if answer.status != 200:
                    raise _said(answer, await answer.read())
                lines = Splitter(LONGEST_LINE)
                async for piece in answer.content.iter_any():
                    for line in lines.feed(piece):
                        yield _event(line)
                if not lines.between:
                    raise Unavailable("the stream ended in the middle of a line")
        except _BROKEN as fault:
            raise Unavailable(f"watch of {scope.kind.plural} broke off: {fault!r}") from fault

    async def apply(self, kind: Kind, document: Document) -> Document:
        metadata = document["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"])
        parameters = {"fieldManager": FIELD_MANAGER, "force": "true"}
        return _whole(
            await self._ask(
                "PATCH",
                path,
                parameters,
                body=document,
                kind_of_body="application/apply-patch+yaml",
                accept=_METADATA.format(kind="PartialObjectMetadata"),
            )
        )

    async def patch_status(self, kind: Kind, namespace: str, name: str, patch: Document) -> Document:
        path = kind.path(namespace, name, "status")
        parameters = {"fieldManager": FIELD_MANAGER}
        return _whole(
            await self._ask("PATCH", path, parameters, body=patch, kind_of_body="application/merge-patch+json")
        )

    async def create(self, kind: Kind, document: Document) -> Document:
        path = kind.path(document["metadata"].get("namespace"))
        return _whole(await self._ask("POST", path, {"fieldManager": FIELD_MANAGER}, body=document))

    async def replace(self, kind: Kind, document: Document) -> Document:
        metadata = document["metadata"]
        path = kind.path(metadata.get("namespace"), metadata["name"])
        return _whole(await self._ask("PUT", path, {"fieldManager": FIELD_MANAGER}, body=document))

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str | None = None, *, version: str | None = None
    ) -> None:
        conditions = {key: value for key, value in (("uid", uid), ("resourceVersion", version)) if value}
        body = {"kind": "DeleteOptions", "apiVersion": "v1", "preconditions": conditions} if conditions else None
        await self._ask("DELETE", kind.path(namespace, name), body=body)

    async def _ask(
        self,
        method: str,
        path: str,
        parameters: Parameters | None = None,
        *,
        body: Document | None = None,
        kind_of_body: str = _JSON,
        accept: str = _JSON,
    ) -> Document:
        headers = {"Accept": accept, **({"Content-Type": kind_of_body} if body is not None else {})}
        data = orjson.dumps(body) if body is not None else None
        self._count(method)
        try:
            async with self._session.request(
                method, self._server + path, params=parameters, headers=headers, data=data, timeout=ANSWER
            ) as answer:
                text = await answer.read()
                if answer.status >= 300:
                    raise _said(answer, text)
                return _document(text)
        except _BROKEN as fault:
            raise Unavailable(f"{method} {path}: {fault!r}") from fault

    def _count(self, method: str) -> None:
        self.calls[method] = self.calls.get(method, 0) + 1


def _selection(scope: Scope) -> dict[str, str]:
    return {"labelSelector": scope.labels} if scope.labels else {}


def _accept(scope: Scope, suffix: str) -> str:
    return _METADATA.format(kind=f"PartialObjectMetadata{suffix}") if scope.metadata_only else _JSON


def _said(answer: aiohttp.ClientResponse, text: bytes) -> Exception:
    """Turn an answer that is a no into an error; Kubernetes explains itself in a Status object."""
    try:
        message = orjson.loads(text)["message"]
    except (orjson.JSONDecodeError, KeyError, TypeError):
        message = text[:200].decode("utf-8", "replace")
    waits = answer.headers.get("Retry-After", "")
    return failure(answer.status, message, min(float(waits), LONGEST_WAIT) if waits.isdecimal() else 1.0)


def _event(line: bytes) -> Event:
    found = orjson.loads(line)
    if not isinstance(found, dict) or not isinstance(said := found.get("object"), dict) or "type" not in found:
        raise Unavailable(f"a line of a watch that is no event: {line[:200]!r}")
    if found["type"] == "ERROR":
        if said.get("code") == 410:
            raise Gone(said.get("message", ""))
        raise failure(int(said.get("code") or 500), said.get("message", ""))
    if found["type"] not in _EVENTS:
        raise Unavailable(f"an event of a kind that there is not: {line[:200]!r}")
    return Event(found["type"], _whole(said, _VERSION if found["type"] == "BOOKMARK" else _NAME_AND_VERSION))


def _document(text: bytes) -> Document:
    """An answer as it should be: what stands between us and the API server may answer in its own words, with a 200."""
    found = orjson.loads(text)
    if not isinstance(found, dict):
        raise Unavailable(f"an answer that is no object: {text[:200]!r}")
    return found


def _whole(document: typing.Any, fields: Sequence[str] = _NAME_AND_VERSION) -> Document:
    """An object that has what each has: whoever reads it need not ask."""
    metadata = document.get("metadata") if isinstance(document, dict) else None
    if not isinstance(metadata, dict) or not all(isinstance(metadata.get(field), str) for field in fields):
        raise Unavailable("an object without a name or a version")
    return typing.cast(Document, document)
