"""Which Services have somebody to send to: EndpointSlices, each reduced to its Service and whether one is ready.

A Service without a ready endpoint is no fault of the route: its references resolve, and deliveries are tried again
until somebody is there. But a person who looks should see it, so it is a word in the status. Nothing else hangs on it,
and while it is not known nobody is said to be missing.
"""

import typing
from collections.abc import Callable

from fanout_operator.kube import Reading

SERVICE_NAME: typing.Final = "kubernetes.io/service-name"  # the label that says whose slice it is


class Slice(typing.NamedTuple):
    """One EndpointSlice: of ``namespace/name``, with or without a ready endpoint."""

    service: str
    ready: bool


class Endpoints:
    """Of each Service how many slices have a ready endpoint; those with none are not kept."""

    def __init__(self, changed: Callable[[str], None]) -> None:
        """`changed` is told a Service that has ready endpoints now and had none, or the other way round."""
        self._changed = changed
        self._ready: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Endpoints services={len(self._ready)}>"

    def ready(self, service: str) -> bool:
        """Whether any endpoint of a Service is ready."""
        return service in self._ready

    def note(self, _key: str, before: Slice | None, now: Slice | None) -> None:
        """A slice was made, changed or removed."""
        for one, more in ((now, 1), (before, -1)):  # in this order: one that only changed is never at zero
            if one and one.ready:
                self._count(one.service, more)

    def _count(self, service: str, more: int) -> None:
        before = self._ready.pop(service, 0)
        if before + more:
            self._ready[service] = before + more
        if not before or not before + more:
            self._changed(service)


def reduced(slice_: Reading) -> Slice:
    """Keep what is needed of a slice; an unset `ready` means ready (EndpointSlice API)."""
    metadata = slice_["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME, "")
    endpoints = slice_.get("endpoints") or ()
    ready = any((one.get("conditions") or {}).get("ready") is not False for one in endpoints)
    return Slice(f"{metadata['namespace']}/{name}", ready)
