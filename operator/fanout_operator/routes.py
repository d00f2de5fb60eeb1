"""The routes as the watch last told them.

Documents are kept as JSON bytes (about 2 KB a route), without managed fields, and read again when a key is worked on.
A document older than the one that is here is ignored: our own status write may be known before its event comes.
"""

import typing

import msgspec

from fanout_crds.route import CLASS_NAME
from fanout_operator.kube import Document
from fanout_operator.packed import pack, unpack
from fanout_operator.reflector import key_of


class Known(msgspec.Struct, frozen=True):
    """One route: what tells versions apart, and the document."""

    uid: str
    generation: int
    version: int
    created: str
    text: bytes

    def document(self) -> Document:
        """The route as JSON."""
        return unpack(self.text)

    def class_name(self) -> str:
        """Which installation the route asks for, even when its spec is not understood."""
        spec = self.document().get("spec")
        return str(spec.get("className", CLASS_NAME) if isinstance(spec, dict) else CLASS_NAME)


class Routes:
    """All routes of the cluster, of every class, by ``namespace/name``."""

    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._keys: dict[str, str] = {}  # by uid

    def __repr__(self) -> str:
        return f"<Routes {len(self._known)}>"

    def __len__(self) -> int:
        return len(self._known)

    def __iter__(self) -> typing.Iterator[str]:
        return iter(self._known)

    def get(self, key: str) -> Known | None:
        """The route, if there is one."""
        return self._known.get(key)

    def of_uid(self, uid: str) -> str | None:
        """The key of the route that has a uid, if it is there."""
        return self._keys.get(uid)

    def knows(self, document: Document) -> bool:
        """Whether this very version is here already: our own write, or what a list has told."""
        known, metadata = self._known.get(key_of(document)), document["metadata"]
        version = _version(metadata.get("resourceVersion", ""))
        return known is not None and (known.uid, known.version) == (metadata["uid"], version)

    def answered(self, key: str) -> bool:
        """Whether the status of a route is about its spec as it is now."""
        known = self._known[key]
        status = known.document().get("status")
        return isinstance(status, dict) and status.get("observedGeneration") == known.generation

    def by_age(self) -> list[str]:
        """All keys, the oldest route first; the name decides between equals."""
        return sorted(self._known, key=lambda key: (self._known[key].created, key))

    def note(self, document: Document) -> bool:
        """Take a document; answers whether its spec is another than before, and False for an old one."""
        key, metadata = key_of(document), document["metadata"]
        before, version = self._known.get(key), _version(metadata.get("resourceVersion", ""))
        if before and version < before.version and before.uid == metadata["uid"]:
            return False
        slim = {**document, "metadata": {name: value for name, value in metadata.items() if name != "managedFields"}}
        now = Known(
            metadata["uid"],
            metadata.get("generation", 0),
            version,
            metadata.get("creationTimestamp", ""),
            pack(slim),
        )
        if before:
            self._keys.pop(before.uid, None)
        self._known[key], self._keys[now.uid] = now, key
        return before is None or (before.uid, before.generation) != (now.uid, now.generation)

    def drop(self, key: str, uid: str | None = None) -> None:
        """Forget a route that was deleted, unless another one of its name is here already."""
        known = self._known.get(key)
        if known and uid in (None, known.uid):
            del self._known[key]
            self._keys.pop(known.uid, None)


def _version(text: str) -> int:
    """Resource versions are decimal numbers that grow (Kubernetes 1.35 promises it); anything else compares as new."""
    return int(text) if text.isdecimal() else 2**63
