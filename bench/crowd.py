"""Many routes in a real API server: making them, editing some of them at a rate, and knowing when an edit is in force.

Everything here goes over the API as a user's would. One watch of all routes tells when each of them is Programmed, so
that asking costs the API server no more than one reader.
"""

import asyncio
import contextlib
import ssl
import time
import typing
from collections.abc import AsyncIterator, Iterator

import aiohttp
import orjson

from bench import referred
from tests.harness.apiserver import ApiServer

NAMESPACES: typing.Final = 50  # a cluster of so many teams
MAKERS: typing.Final = 8  # routes being made at the same time
PATIENCE: typing.Final = 60.0  # seconds for the last of the edits
AGAIN: typing.Final = 0.1  # seconds until routes are listed again

ROUTES: typing.Final = "/apis/fanout.dev/v1alpha1/fanoutroutes"

Route = dict[str, typing.Any]


class WatchEnded(Exception):
    """The API server wants a new list."""


class Crowd:
    """All routes of one class, in namespaces of their own. Use inside `watching`."""

    def __init__(self, session: aiohttp.ClientSession, namespaces: tuple[str, ...], class_name: str) -> None:
        self._session = session
        self._namespaces = namespaces
        self._class_name = class_name
        self._programmed: dict[str, int] = {}  # by namespace/name: the generation that every dispatcher runs
        self._changed = asyncio.Event()
        self._asked: dict[str, tuple[int, float]] = {}  # the generation that is waited for, and since when
        self._took: list[float] = []
        self._numbers = 0
        self._edits = 0

    async def make(self, count: int) -> None:
        """Create so many more routes, each after all that it refers to."""
        first, self._numbers = self._numbers, self._numbers + count
        numbers = iter(range(first, self._numbers))
        async with asyncio.TaskGroup() as group:
            for _ in range(MAKERS):
                group.create_task(self._make(numbers))

    async def programmed(self, patience: float) -> None:
        """Wait until every route is."""
        async with asyncio.timeout(patience):
            while len(self._programmed) < self._numbers:
                self._changed.clear()
                await self._changed.wait()

    async def edit(self, *, rate: float, seconds: float) -> list[float]:
        """Edit one route after another, so many a second; answers how many ms each took to be in force, sorted."""
        self._took = []
        begun, count = time.perf_counter(), int(rate * seconds)
        async with asyncio.TaskGroup() as group:
            for number in range(count):
                await asyncio.sleep(begun + number / rate - time.perf_counter())
                group.create_task(self._edit((number * 7) % self._numbers))
        async with asyncio.timeout(PATIENCE):
            while len(self._took) < count:
                self._changed.clear()
                await self._changed.wait()
        return sorted(self._took)

    async def follow(self, ready: asyncio.Event) -> None:
        """Know of all routes until cancelled: by a list, then by a watch; a busy API server may refuse either."""
        while True:
            with contextlib.suppress(aiohttp.ClientError, WatchEnded):
                version = await self._list()
                ready.set()
                await self._watch(version)
            await asyncio.sleep(AGAIN)

    async def _list(self) -> str:
        async with self._session.get(ROUTES) as answer:
            answer.raise_for_status()
            found = orjson.loads(await answer.read())
        for route in found["items"]:
            self._take(route)
        return str(found["metadata"]["resourceVersion"])

    async def _watch(self, version: str) -> None:
        parameters = {"watch": "true", "resourceVersion": version}
        async with self._session.get(ROUTES, params=parameters, timeout=aiohttp.ClientTimeout(total=None)) as lines:
            async for line in lines.content:
                event = orjson.loads(line)
                if event["type"] == "ERROR":
                    raise WatchEnded(event["object"].get("message"))
                self._take(event["object"])

    def _take(self, route: Route) -> None:
        key = f"{route['metadata']['namespace']}/{route['metadata']['name']}"
        generation = _programmed(route)
        if generation is None:
            return
        self._programmed[key] = generation
        wanted, since = self._asked.get(key, (generation + 1, 0.0))
        if generation >= wanted:
            self._took.append((time.perf_counter() - since) * 1000)
            del self._asked[key]
        self._changed.set()

    async def _make(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            namespace, name = self._place(number)
            targets = [referred.target(name, one) for one in referred.TARGETS]
            route = {
                "apiVersion": "fanout.dev/v1alpha1",
                "kind": "FanoutRoute",
                "metadata": {"name": name, "namespace": namespace},
                "spec": {"className": self._class_name, "targets": targets},
            }
            for path, document in [*referred.of(namespace, name), (_path(namespace), route)]:
                async with self._session.post(path, json=document) as answer:
                    answer.raise_for_status()

    async def _edit(self, number: int) -> None:
        namespace, name = self._place(number)
        key = f"{namespace}/{name}"
        self._asked[key] = (self._programmed[key] + 1, time.perf_counter())
        self._edits += 1  # each another path, or the generation would stay
        changed = f"/changed-{self._edits}"
        async with self._session.patch(
            _path(namespace, name),
            data=orjson.dumps([{"op": "replace", "path": "/spec/targets/0/service/path", "value": changed}]),
            headers={"Content-Type": "application/json-patch+json"},
        ) as answer:
            answer.raise_for_status()

    def _place(self, number: int) -> tuple[str, str]:
        return self._namespaces[number % len(self._namespaces)], f"route-{number}"


@contextlib.asynccontextmanager
async def watching(server: ApiServer, namespaces: tuple[str, ...], class_name: str) -> AsyncIterator[Crowd]:
    """A crowd without routes, watched until the block ends."""
    tls = ssl.create_default_context(cafile=str(server.ca_file))
    async with aiohttp.ClientSession(
        server.url,
        connector=aiohttp.TCPConnector(ssl=tls),
        headers={"Authorization": f"Bearer {server.admin_token}"},
        read_bufsize=1 << 20,
    ) as session:
        crowd, ready = Crowd(session, namespaces, class_name), asyncio.Event()
        async with asyncio.TaskGroup() as group:  # what ends the following ends the block
            task = group.create_task(crowd.follow(ready))
            await ready.wait()
            yield crowd
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


def _programmed(route: Route) -> int | None:
    """The generation that a route says it is Programmed in; None while it does not."""
    for one in route.get("status", {}).get("conditions", ()):
        if one["type"] == "Programmed" and one["status"] == "True":
            return int(one["observedGeneration"])
    return None


def _path(namespace: str, name: str = "") -> str:
    return f"/apis/fanout.dev/v1alpha1/namespaces/{namespace}/fanoutroutes" + (f"/{name}" if name else "")
