"""Which Services have somebody to send to, and where those listen: EndpointSlices, each reduced to these two.

A Service without a ready endpoint is no fault of the route: its references resolve, and deliveries are tried again
until somebody is there. But a person who looks should see it, so it is a word in the status, and while it is not known
nobody is said to be missing.

Where they listen matters for a headless Service whose target port has a name: each pod says itself which number that
is, and only the slices tell. While a rollout changes it they tell two. A name in DNS has one port, so it is the number
at which most ready endpoints listen: the others refuse the connection, and whoever connects tries the next address.
Unless some of them have another port there, which would answer in its place. While nobody is there, what was told last
still holds, so that a restart of the pods changes no plan.
"""

import typing
from collections.abc import Callable, Iterable, Mapping

from fanout_operator.kube import Reading

SERVICE_NAME: typing.Final = "kubernetes.io/service-name"  # the label that says whose slice it is

Ports = frozenset[tuple[str, int]]  # the name of a port, as its Service has it, and the number that is listened on

NOWHERE: typing.Final[Ports] = frozenset()


class Heard(typing.NamedTuple):
    """Where a Service's endpoints are to be asked for one of its ports."""

    number: int | None = None  # None: nobody has told
    clash: str = ""  # another port, which some of them have at this number


UNKNOWN: typing.Final = Heard()


class Slice(typing.NamedTuple):
    """One EndpointSlice: of ``namespace/name``, with so many ready endpoints."""

    service: str
    ready: int
    ports: Ports = NOWHERE  # TCP only; none while it has no endpoint


class Endpoints:
    """Of each Service how many slices have a ready endpoint (those with none are not kept), and where all listen."""

    def __init__(self, changed: Callable[[str], None], moved: Callable[[str], None]) -> None:
        """`changed` is told a Service that has ready endpoints now and had none, or the other way round.

        `moved` is told one whose endpoints are to be asked elsewhere now.
        """
        self._changed = changed
        self._moved = moved
        self._ready: dict[str, int] = {}
        self._slices: dict[str, dict[str, Slice]] = {}
        self._heard: dict[str, Mapping[str, Heard]] = {}

    def __repr__(self) -> str:
        return f"<Endpoints services={len(self._ready)}>"

    def ready(self, service: str) -> bool:
        """Whether any endpoint of a Service is ready."""
        return service in self._ready

    def listens(self, service: str, port: str) -> Heard:
        """Where to ask a Service's endpoints for one of its ports, by the port's name."""
        return self._heard.get(service, {}).get(port, UNKNOWN)

    def note(self, key: str, before: Slice | None, now: Slice | None) -> None:
        """A slice was made, changed or removed."""
        for one, more in ((now, 1), (before, -1)):  # in this order: one that only changed is never at zero
            if one and one.ready:
                self._count(one.service, more)
        if before and (now is None or now.service != before.service):
            self._slices[before.service].pop(key)
            self._hear(before.service)
        if now:
            self._slices.setdefault(now.service, {})[key] = now
            self._hear(now.service)

    def _hear(self, service: str) -> None:
        """Take what all slices of a Service tell; those of nobody tell nothing, but that there is none does."""
        slices = self._slices[service]
        if not slices:
            del self._slices[service]
        before = self._heard.get(service, {})
        now = where(slices.values(), before)
        if now == before or (slices and not now):
            return
        self._heard[service] = now
        if not now:
            del self._heard[service]
        self._moved(service)

    def _count(self, service: str, more: int) -> None:
        before = self._ready.pop(service, 0)
        if before + more:
            self._ready[service] = before + more
        if not before or not before + more:
            self._changed(service)


def where(slices: Iterable[Slice], before: Mapping[str, Heard]) -> dict[str, Heard]:
    """By a port's name where most ready endpoints listen; of as many here and there, where they were asked before."""
    ready: dict[tuple[str, int], int] = {}
    for one in slices:
        for port in one.ports:
            ready[port] = ready.get(port, 0) + one.ready

    def weight(port: tuple[str, int]) -> tuple[int, bool, int]:
        name, number = port
        return ready[port], number == before.get(name, UNKNOWN).number, -number

    best = dict(sorted(ready, key=weight))  # the last of a name stays
    return {name: Heard(number, _clash(name, number, ready)) for name, number in best.items()}


def _clash(name: str, number: int, ports: Iterable[tuple[str, int]]) -> str:
    return min((other for other, used in ports if used == number and other != name), default="")


def reduced(slice_: Reading) -> Slice:
    """Keep what is needed of a slice; an unset `ready` means ready (EndpointSlice API)."""
    metadata = slice_["metadata"]
    name = (metadata.get("labels") or {}).get(SERVICE_NAME, "")
    endpoints = slice_.get("endpoints") or ()
    ready = sum((one.get("conditions") or {}).get("ready") is not False for one in endpoints)
    return Slice(f"{metadata['namespace']}/{name}", ready, _ports(slice_) if endpoints else NOWHERE)


def _ports(slice_: Reading) -> Ports:
    """A port without a number means all of them, which is none to connect to."""
    ports = (one for one in slice_.get("ports") or () if one.get("port") and one.get("protocol") in {None, "TCP"})
    return frozenset((one.get("name") or "", one["port"]) for one in ports)
