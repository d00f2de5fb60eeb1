"""Which dispatchers there are, and one follower for each.

In a cluster the ready addresses of the report Service's EndpointSlices say so; elsewhere they are named on the command
line (slices cannot hold loopback addresses). A dispatcher that comes back under another address gets a new follower and
keeps its place in the fleet; one that does not come back is forgotten after a while.
"""

import asyncio
import random
import typing
from collections.abc import Iterable, Mapping

import aiohttp
import structlog

from fanout_operator.access import ReportAccess
from fanout_operator.fleet import REMEMBERED, Fleet
from fanout_operator.kube import ENDPOINT_SLICES, Document, Kube, Scope
from fanout_operator.options import Options
from fanout_operator.reflector import Reflector
from fanout_operator.report import Follower, ReportPort

PORT: typing.Final = "report"  # the name of the Service's port

log = structlog.get_logger()

ReportPorts = Mapping[str, ReportPort]  # by dispatcher: its pod's name, or its URL
Found = tuple[tuple[str, ReportPort], ...]  # in one slice


class Followers:
    """Keeps exactly one follower running per dispatcher that is ready."""

    def __init__(
        self,
        fleet: Fleet,
        session: aiohttp.ClientSession,
        access: ReportAccess,
        rng: random.Random,
    ) -> None:
        self._fleet = fleet
        self._session = session
        self._access = access
        self._rng = rng
        self._running: dict[str, tuple[ReportPort, asyncio.Task[None]]] = {}
        self._away: dict[str, asyncio.TimerHandle] = {}  # when those who are not ready any more are forgotten

    def __repr__(self) -> str:
        return f"<Followers {sorted(self._running)}>"

    def set(self, ports: ReportPorts) -> None:
        """Take the list of all dispatchers that are ready."""
        self._fleet.expect(ports.keys())
        for name in [name for name, (port, _) in self._running.items() if ports.get(name) != port]:
            self._running.pop(name)[1].cancel()
            if name not in ports:
                self._away[name] = asyncio.get_running_loop().call_later(REMEMBERED, self._forget, name)
        for name, port in ports.items():
            if back := self._away.pop(name, None):
                back.cancel()
            if name not in self._running:
                log.info("dispatcher.found", dispatcher=name, url=port.url)
                self._running[name] = (port, asyncio.create_task(self._follow(name, port)))

    async def close(self) -> None:
        """End all followers."""
        for forgetting in self._away.values():
            forgetting.cancel()
        tasks = [task for _, task in self._running.values()]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _forget(self, name: str) -> None:
        del self._away[name]
        log.info("dispatcher.forgotten", dispatcher=name)
        self._fleet.forget(name)

    async def _follow(self, name: str, port: ReportPort) -> None:
        follower = Follower(name, port, session=self._session, access=self._access, fleet=self._fleet, rng=self._rng)
        await follower.run()


def named(urls: Iterable[str]) -> ReportPorts:
    """Dispatchers by the addresses on the command line."""
    return {url: ReportPort(url) for url in urls}


def ready_in(slice_: Document, server_name: str) -> Found:
    """The ready dispatchers of one EndpointSlice; an unset `ready` means ready (EndpointSlice API)."""
    ports = [one["port"] for one in slice_.get("ports") or () if one.get("name") == PORT and one.get("port")]
    if not ports:
        return ()
    return tuple(
        (_name(one), ReportPort(f"https://{_address(one['addresses'][0])}:{ports[0]}", server_name))
        for one in slice_.get("endpoints") or ()
        if (one.get("conditions") or {}).get("ready") is not False
    )


def discovery(options: Options, kube: Kube, followers: Followers, rng: random.Random) -> Reflector[Found] | None:
    """What keeps *followers* at the dispatchers of the report Service; None where dispatchers are named."""
    if options.dispatchers:
        return None
    found: dict[str, Found] = {}
    name = f"{options.report_service}.{options.namespace}.svc"

    def tell() -> None:
        followers.set(dict(port for slice_ in found.values() for port in slice_))

    def changed(key: str, _before: Found | None, now: Found | None) -> None:
        found.pop(key, None)
        if now:
            found[key] = now
        tell()

    scope = Scope(
        kind=ENDPOINT_SLICES,
        namespace=options.namespace,
        labels=f"kubernetes.io/service-name={options.report_service}",
    )
    return Reflector(kube, scope, keep=lambda document: ready_in(document, name), changed=changed, rng=rng, listed=tell)


def _name(endpoint: Document) -> str:
    return str((endpoint.get("targetRef") or {}).get("name") or endpoint["addresses"][0])


def _address(address: str) -> str:
    return f"[{address}]" if ":" in address else address
