"""A list and a watch on one kind of object, kept up for ever: the raw protocol, without a client library.

Measured: 5,000 ConfigMaps listed in 0.2 s, where the typed client takes 1.5. A watch that ends is taken up where it
ended; one that is silent longer than bookmarks would allow is dead and taken up too; only 410 Gone makes a new list. A
listener that is not sure about an absence gets a second list before the watch begins, and may have single objects
asked for by name: what a list lacks may be there all the same.
"""

import asyncio
import contextlib
import random
import typing

import aiohttp
import orjson

from fanout_crds.apiserver import ApiServer
from fanout_crds.lines import Splitter
from fanout_dispatcher.cluster import CONNECT, session

PAGE: typing.Final = 500
SILENCE: typing.Final = 90.0  # seconds; a bookmark comes every minute
ANSWER: typing.Final = 30.0  # seconds for one page of a list
LASTS: typing.Final = 300  # seconds after which the server ends a watch
REFUSAL: typing.Final = 1000  # bytes of an answer that is none
LINE: typing.Final = 8 << 20  # bytes; an object has at most 1.5 MiB
FIRST: typing.Final = 0.2  # seconds before the first retry
LONGEST: typing.Final = 15.0  # seconds between retries at most

Object = dict[str, typing.Any]


class Gone(Exception):
    """The server has forgotten our resource version: only a new list helps."""


class Away(Exception):
    """The API server answered with something that is no answer; a sentence."""


class Absent(Away):
    """The API server says that there is no such object."""


class Listener(typing.Protocol):
    """Hears what there is and how it changes. Never waits."""

    def listed(self, items: list[Object]) -> float | None:
        """Take a complete list. A number asks for a second one after that many seconds."""

    def doubted(self) -> typing.Collection[str]:
        """Names of objects that are to be asked for one by one, after a list that lacks them."""

    def asked(self, name: str, item: Object | None) -> None:
        """Take an object that was asked for by name; None: there is none."""

    def put(self, item: Object) -> None:
        """Take an object that is new or changed."""

    def gone(self, item: Object) -> None:
        """Take notice that an object was deleted."""

    def away(self, why: str | None) -> None:
        """The API server cannot be asked (None: it can again)."""


class Reflector:
    """Mirrors the objects at *path* that *selector* picks to a listener."""

    def __init__(
        self,
        cluster: ApiServer,
        path: str,
        selector: str,
        *,
        listener: Listener,
        rng: random.Random,
        silence: float = SILENCE,
    ) -> None:
        self._cluster = cluster
        self._url = cluster.server + path
        self._selector = selector
        self._listener = listener
        self._rng = rng
        self._silence = silence
        self._version: str | None = None
        self._failures = 0

    async def run(self) -> None:
        """List and watch until cancelled."""
        async with session(self._cluster) as api:
            while True:
                try:
                    if self._version is None:
                        self._version = await self._believed(api)
                    await self._watch(api, self._version)
                except Gone:
                    self._version = None
                except (aiohttp.ClientError, TimeoutError, OSError, ValueError, Away) as error:
                    self._listener.away(str(error) or type(error).__name__)
                await asyncio.sleep(self._backoff())

    def _backoff(self) -> float:
        """Full jitter, so that many dispatchers do not come back together; nothing at all after a good watch."""
        if not self._failures:
            self._failures = 1
            return 0.0
        most = min(LONGEST, FIRST * 2 ** min(self._failures, 16))
        self._failures += 1
        return self._rng.uniform(FIRST, most)

    def _well(self) -> None:
        self._failures = 0
        self._listener.away(None)

    async def _believed(self, api: aiohttp.ClientSession) -> str:
        """List until the listener believes what it saw; the version from which to watch."""
        while True:
            items, version = await self._list(api)
            self._well()
            again = self._listener.listed(items)
            for name in self._listener.doubted():
                self._listener.asked(name, await self._one(api, name))
            if again is None:
                return version
            await asyncio.sleep(again)

    async def _list(self, api: aiohttp.ClientSession) -> tuple[list[Object], str]:
        items: list[Object] = []
        following = ""
        while True:
            query = {"labelSelector": self._selector, "limit": str(PAGE)} | (
                {"continue": following} if following else {}
            )
            async with asyncio.timeout(ANSWER), self._get(api, query) as response:
                page, version, following = _page(await response.read())
            items += page
            if not following:
                return items, version

    async def _one(self, api: aiohttp.ClientSession, name: str) -> Object | None:
        try:
            async with asyncio.timeout(ANSWER), self._get(api, {}, f"/{name}") as response:
                return _named(await response.read(), name)
        except Absent:
            return None

    async def _watch(self, api: aiohttp.ClientSession, version: str) -> None:
        query = {
            "labelSelector": self._selector,
            "watch": "1",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(LASTS),
        }
        async with self._get(api, query) as response:
            lines = Splitter(LINE)
            async for piece in response.content.iter_any():
                for line in lines.feed(piece):
                    self._well()
                    self._take(*_event(line))

    @contextlib.asynccontextmanager
    async def _get(
        self, api: aiohttp.ClientSession, query: dict[str, str], under: str = ""
    ) -> typing.AsyncIterator[aiohttp.ClientResponse]:
        """GET with the token as it is now. Raises Gone and Away for what is no success."""
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=CONNECT, sock_read=self._silence)
        async with api.get(self._url + under, params=query, timeout=timeout, allow_redirects=False) as response:
            if response.status == 410:
                raise Gone
            if response.status != 200:
                text = await response.content.read(REFUSAL)
                kind = Absent if response.status == 404 and _says_not_found(text) else Away
                raise kind(f"the API server answered {response.status}: {text.decode(errors='replace')}")
            try:
                yield response
            finally:
                if response.connection and response.connection.transport:
                    response.connection.transport.abort()  # not read to its end: a dead peer answers no goodbye either

    def _take(self, kind: str, item: Object, version: str) -> None:
        self._version = version
        if kind == "DELETED":
            self._listener.gone(item)
        elif kind != "BOOKMARK":
            self._listener.put(item)


def _page(body: bytes) -> tuple[list[Object], str, str]:
    """Read a page of a list: its items, the version, and where it goes on."""
    try:
        page = orjson.loads(body)
        metadata = page["metadata"]
        return list(page.get("items") or []), str(metadata["resourceVersion"]), str(metadata.get("continue") or "")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Away(f"the API server answered what is no list ({error})") from None


def _named(body: bytes, name: str) -> Object:
    """Read the object of that name."""
    try:
        item = orjson.loads(body)
        if item["metadata"]["name"] == name:
            return dict(item)
    except (KeyError, TypeError, ValueError):
        pass
    raise Away(f"the API server answered something else than {name}")


def _says_not_found(body: bytes) -> bool:
    """Whether a 404 is about the object: a proxy that knows no way to the API server answers 404 too."""
    try:
        return bool(orjson.loads(body)["reason"] == "NotFound")
    except (KeyError, TypeError, ValueError):
        return False


def _event(line: bytes) -> tuple[str, Object, str]:
    """Read an event of a watch: its kind, the object and the version. Raises Gone for what is an error 410."""
    try:
        event = orjson.loads(line)
        kind, item = event["type"], event["object"]
        if kind != "ERROR":
            return kind, item, str(item["metadata"]["resourceVersion"])
        code, message = item.get("code"), item.get("message", "no reason given")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise Away(f"the watch said what is no event ({error})") from None
    if code == 410:
        raise Gone
    raise Away(f"the watch failed: {message}")
