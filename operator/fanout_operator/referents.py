"""What routes refer to, watched: Services and Secrets, the grants of their namespaces, and the Services' endpoints.

Of Services is kept what a plan depends on, of Secrets only the versions: what is in them is read when a route is
reconciled (reads.py). A change wakes exactly the routes that use what changed (dependants.py). A Service whose
endpoints come or go is no news for its plan, and goes to the status alone; where they listen is news for the routes
that had to ask. Nothing here decides anything about a route.
"""

import asyncio
import contextlib
import random
import typing
from collections.abc import Callable, Collection

from fanout_operator import reads
from fanout_operator.dependants import Dependants, thing_of
from fanout_operator.endpoints import Endpoints, reduced
from fanout_operator.grants import Grants, Permission, permissions
from fanout_operator.kube import ENDPOINT_SLICES, GRANTS, SECRETS, SERVICES, Document, Kind, Kube, scopes
from fanout_operator.reflector import Reflector

PATIENCE: typing.Final = 5.0  # seconds a start waits for the lists of Services and all that goes with them

T = typing.TypeVar("T")


class Hearers(typing.NamedTuple):
    """Who is told. The first three get the key of a route."""

    wake: Callable[[str], None]  # what it refers to is another
    endpoints_came: Callable[[str], None]  # a Service that it sends to has a ready endpoint again
    endpoints_went: Callable[[str], None]  # or has none any more
    endpoints_listed: Callable[[], None]
    service_deleted: Callable[[str], None]  # gets the key of the Service, whoever uses it


class Referents:
    """All that routes may refer to, in the namespaces that we may watch (none named: everywhere)."""

    def __init__(self, kube: Kube, namespaces: Collection[str], hearers: Hearers, *, rng: random.Random) -> None:
        self._kube = kube
        self._namespaces = namespaces
        self._hearers = hearers
        self._rng = rng
        self.dependants = Dependants()
        self.services: dict[str, bytes] = {}  # by namespace/name, as reads.reduced has them
        self.secrets: dict[str, str] = {}  # their versions
        self.grants = Grants(self._permission_changed)
        self.endpoints = Endpoints(self._endpoints_changed, self._endpoints_moved)
        self.reflectors = tuple(self._reflectors())

    def __repr__(self) -> str:
        return f"<Referents {self.dependants!r} {self.grants!r} {self.endpoints!r}>"

    def granted(self) -> bool:
        """Whether all grants are known; of their versions the cluster has one at a time."""
        return self._known(GRANTS)

    def endpoints_known(self) -> bool:
        """Whether all EndpointSlices are known."""
        return self._known((ENDPOINT_SLICES,))

    def has_endpoints(self, service: str) -> bool:
        """Whether a Service has a ready endpoint; while nobody knows, none is said to be missing."""
        return self.endpoints.ready(service) or not self.endpoints_known()

    async def listed(self) -> None:
        """Wait a little for what need not be known: they hold nothing up for long.

        Without the lists of Services and Secrets each is asked for, by each route that needs it; without endpoints
        nothing is said that was said before.
        """
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE):
                for one in self.reflectors:
                    if one.scope.kind in {SERVICES, SECRETS, ENDPOINT_SLICES}:
                        await one.synced.wait()

    # --- events -------------------------------------------------------------------------------------------------------

    def _noted(self, kind: Kind, known: dict[str, T]) -> Callable[[str, T | None, T | None], None]:
        def noted(key: str, _before: T | None, now: T | None) -> None:
            if now is None:
                known.pop(key, None)
            else:
                known[key] = now
            self._wake(thing_of(kind, key))
            if kind is SERVICES and now is None:
                self._hearers.service_deleted(key)

        return noted

    def _permission_changed(self, permission: Permission) -> None:
        self._wake(permission.thing)

    def _wake(self, thing: str) -> None:
        for route in self.dependants.of(thing):
            self._hearers.wake(route)

    def _endpoints_changed(self, service: str) -> None:
        tell = self._hearers.endpoints_came if self.endpoints.ready(service) else self._hearers.endpoints_went
        for route in self.dependants.of(thing_of(SERVICES, service)):
            tell(route)

    def _endpoints_moved(self, service: str) -> None:
        self._wake(thing_of(ENDPOINT_SLICES, service))

    # --- parts --------------------------------------------------------------------------------------------------------

    def _known(self, kinds: Collection[Kind]) -> bool:
        """Whether all there is of a kind, which may have several versions, has been listed."""
        return all(one.synced.is_set() for one in self.reflectors if one.scope.kind in kinds)

    def _reflectors(self) -> typing.Iterator[Reflector[typing.Any]]:
        service, secret = self._noted(SERVICES, self.services), self._noted(SECRETS, self.secrets)
        for scope in scopes(SERVICES, self._namespaces):
            yield Reflector(self._kube, scope, keep=reads.reduced, changed=service, rng=self._rng)
        for scope in scopes(SECRETS, self._namespaces, metadata_only=True):
            yield Reflector(self._kube, scope, keep=_version, changed=secret, rng=self._rng)
        for scope in scopes(GRANTS[0], self._namespaces):
            yield Reflector(self._kube, scope, keep=permissions, changed=self.grants.note, rng=self._rng, kinds=GRANTS)
        for scope in scopes(ENDPOINT_SLICES, self._namespaces):
            yield Reflector(
                self._kube,
                scope,
                keep=reduced,
                changed=self.endpoints.note,
                rng=self._rng,
                listed=self._hearers.endpoints_listed,
            )


def _version(document: Document) -> str:
    return str(document["metadata"]["resourceVersion"])
