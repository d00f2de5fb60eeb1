"""A Kubernetes API in a dict: the twin of rest.Rest, held to the same contract (tests/controlplane/test_kube_contract).

It knows what the operator relies on: versions that grow, watches that start anywhere, uid preconditions, metadata-only
reads, server-side apply of whole objects. `fail` makes the next calls go wrong.
"""

import asyncio
import copy
from collections.abc import AsyncIterator, Callable, Sequence

from fanout_operator.kube import (
    FIELD_MANAGER,
    Conflict,
    Document,
    Event,
    Kind,
    NotFound,
    Page,
    Refused,
    Scope,
    Unavailable,
)

Address = tuple[str, str, str]  # plural, namespace, name
METADATA = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadata"}


class Cluster:
    """All objects, and everything that ever happened to them."""

    def __init__(self) -> None:
        self.objects: dict[Address, Document] = {}
        self.calls: list[str] = []
        self.absent: set[Kind] = set()  # kinds whose definition is not there
        self.fail: Callable[[str], Exception | None] = lambda _call: None
        self._version = 0
        self._history: list[tuple[int, Kind, Event]] = []
        self._changed = asyncio.Event()

    def put(self, kind: Kind, document: Document, fields: Document | None = None) -> Document:
        """Create or replace an object as a person would; spec changes raise its generation.

        `fields`: what its applier owns from now on; else whoever had applied it keeps what was not changed.
        """
        metadata = document["metadata"]
        address = (kind.plural, metadata.get("namespace", ""), metadata["name"])
        before = self.objects.get(address)
        if before and _forbidden(before, document):
            raise Refused(f"{metadata['name']} is invalid: field is immutable")
        self._version += 1
        known: Document = before["metadata"] if before else {"uid": f"uid-{self._version}", "generation": 0}
        generation = known["generation"] + (before is None or before.get("spec") != document.get("spec"))
        system = {
            "uid": known["uid"],
            "generation": generation,
            "creationTimestamp": known.get("creationTimestamp", f"2026-01-01T00:00:{self._version:02}Z"),
            "resourceVersion": str(self._version),
        }
        made = {"apiVersion": kind.api_version, "kind": kind.name, **copy.deepcopy(document)}
        made["metadata"] |= {"creationTimestamp": system["creationTimestamp"], **system} | {
            key: value for key, value in metadata.items() if key == "creationTimestamp"
        }
        if kept := fields or _unchanged(before, made):
            made["metadata"]["managedFields"] = [
                {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": copy.deepcopy(kept)}
            ]
        self.objects[address] = made
        self._tell(kind, Event("MODIFIED" if before else "ADDED", made))
        return copy.deepcopy(made)

    def remove(self, kind: Kind, namespace: str, name: str) -> Document:
        """Delete an object as a person would."""
        gone = self.objects.pop((kind.plural, namespace, name))
        self._version += 1
        gone = copy.deepcopy(gone)
        gone["metadata"]["resourceVersion"] = str(self._version)
        self._tell(kind, Event("DELETED", gone))
        return gone

    # --- Kube ---------------------------------------------------------------------------------------------------------

    async def served(self, kinds: Sequence[Kind]) -> Kind | None:
        await self._called(f"DISCOVER {kinds[0].plural}")
        return next((kind for kind in kinds if kind not in self.absent), None)

    async def get(self, kind: Kind, namespace: str | None, name: str, *, since: str = "") -> Document:
        if int(since or "0") > self._version:
            raise Unavailable("Too large resource version")
        await self._called(f"GET {kind.plural} {namespace or ''}/{name}")
        return copy.deepcopy(self._at(kind, namespace, name))

    async def pages(self, scope: Scope) -> AsyncIterator[Page]:
        await self._called(f"LIST {scope.kind.plural}")
        if scope.kind in self.absent:
            raise NotFound(f"the server could not find {scope.kind.plural}")
        items = tuple(_seen(scope, one) for one in self.objects.values() if _within(scope, one))
        yield Page(items, str(self._version))

    async def watch(self, scope: Scope, version: str) -> AsyncIterator[Event]:
        await self._called(f"WATCH {scope.kind.plural}")
        since = int(version)
        while True:
            for at, kind, event in list(self._history):
                if at > since and kind == scope.kind and _within(scope, event.object):
                    since = at
                    yield Event(event.type, _seen(scope, event.object))
            self._changed.clear()
            await self._changed.wait()

    async def apply(self, kind: Kind, document: Document) -> Document:
        metadata = document["metadata"]
        await self._called(f"PATCH {kind.plural} {metadata['namespace']}/{metadata['name']}")
        before = self.objects.get((kind.plural, metadata["namespace"], metadata["name"]))
        fields = _fields(document)
        if before is not None and _merged(before, document) == before and _applied(before) == fields:
            return _metadata(before)
        return _metadata(self.put(kind, _merged(before, document) if before else document, fields))

    async def patch_status(self, kind: Kind, namespace: str, name: str, patch: Document) -> Document:
        await self._called(f"PATCH {kind.plural}/status {namespace}/{name}")
        found = self._at(kind, namespace, name)
        version = found["metadata"]["resourceVersion"]
        if patch.get("metadata", {}).get("resourceVersion", version) != version:
            raise Conflict("another version")
        status = {**found.get("status", {}), **patch["status"]}
        return self.put(kind, {**found, "status": {key: value for key, value in status.items() if value is not None}})

    async def create(self, kind: Kind, document: Document) -> Document:
        metadata = document["metadata"]
        await self._called(f"POST {kind.plural} {metadata['namespace']}/{metadata['name']}")
        if (kind.plural, metadata["namespace"], metadata["name"]) in self.objects:
            raise Conflict("already exists")
        return self.put(kind, document)

    async def replace(self, kind: Kind, document: Document) -> Document:
        metadata = document["metadata"]
        await self._called(f"PUT {kind.plural} {metadata['namespace']}/{metadata['name']}")
        known = self._at(kind, metadata["namespace"], metadata["name"])["metadata"]
        if known["resourceVersion"] != metadata.get("resourceVersion"):
            raise Conflict("another version")
        return self.put(kind, document)

    async def delete(
        self, kind: Kind, namespace: str, name: str, uid: str | None = None, *, version: str | None = None
    ) -> None:
        await self._called(f"DELETE {kind.plural} {namespace}/{name}")
        metadata = self._at(kind, namespace, name)["metadata"]
        if uid not in {None, metadata["uid"]} or version not in {None, metadata["resourceVersion"]}:
            raise Conflict("another uid or version")
        self.remove(kind, namespace, name)

    def _at(self, kind: Kind, namespace: str | None, name: str) -> Document:
        try:
            return self.objects[kind.plural, namespace or "", name]
        except KeyError:
            raise NotFound(f"{kind.plural} {name} not found") from None

    async def _called(self, call: str) -> None:
        self.calls.append(call)
        await asyncio.sleep(0)
        fault = self.fail(call)
        if fault:
            raise fault

    def _tell(self, kind: Kind, event: Event) -> None:
        self._history.append((self._version, kind, copy.deepcopy(event)))
        self._changed.set()


def _forbidden(before: Document, document: Document) -> bool:
    """Whether what cannot be changed would be: the data of what is immutable, and the type of a Secret."""
    fields = ("type", "data", "immutable") if before.get("immutable") else ("type",)
    return any(before.get(field) != document.get(field) for field in fields)


def _within(scope: Scope, document: Document) -> bool:
    metadata = document["metadata"]
    labels = metadata.get("labels") or {}
    wanted = dict(pair.split("=") for pair in scope.labels.split(",") if pair)
    return (
        document["kind"] == scope.kind.name
        and scope.namespace in {None, metadata.get("namespace")}
        and wanted.items() <= labels.items()
    )


def _seen(scope: Scope, document: Document) -> Document:
    if scope.metadata_only:
        return _metadata(document)
    return copy.deepcopy(document)


def _metadata(document: Document) -> Document:
    return copy.deepcopy({**METADATA, "metadata": document["metadata"]})


def _groups(document: Document) -> dict[tuple[str, ...], Document]:
    """Where an object's labels, annotations and data are, as managed fields name such places."""
    metadata = document["metadata"]
    return {
        ("f:data",): document.get("data") or {},
        ("f:metadata", "f:annotations"): metadata.get("annotations") or {},
        ("f:metadata", "f:labels"): metadata.get("labels") or {},
    }


def _fields(document: Document, unlike: Document | None = None) -> Document:
    """The managed fields of all in these groups, or of what is the same in another object."""
    found: Document = {}
    for place, group in _groups(document).items():
        others = _groups(unlike)[place] if unlike else group
        names = [name for name in group if name in others and others[name] == group[name]]
        at = found.setdefault("f:metadata", {}) if len(place) > 1 else found
        at[place[-1]] = {f"f:{name}": {} for name in names}
    return found


def _applied(document: Document) -> Document:
    managed = document["metadata"].get("managedFields") or [{}]
    fields: Document = managed[0].get("fieldsV1", {})
    return fields


def _unchanged(before: Document | None, made: Document) -> Document:
    """What stays of an applier's fields."""
    if before is None or not (owned := _applied(before)):
        return {}
    return _within_both(owned, _fields(before, made))


def _within_both(one: Document, other: Document) -> Document:
    return {key: _within_both(one[key], other[key]) for key in one if key in other}


def _merged(before: Document, document: Document) -> Document:
    """All fields of a plan are ours, so applying it replaces all but what the API server keeps."""
    return {**before, **document, "metadata": {**before["metadata"], **document["metadata"]}}
