"""A proxy before a real API server that does to requests what networks, API servers and load balancers do to them.

    with faulty(server) as api:
        api.meet(watches("fanoutroutes"), gone_in_the_stream)
        operator.start()          # with api.kubeconfig_for(…)

It listens on a loopback port in a thread of its own, passes everything on and counts it, and hands each request that
some `meet` matches to that ailment, once or as often as was said. What is being watched can be `silence`d: the
connections stay and no byte comes any more.
"""

import asyncio
import logging
import os
import signal
import ssl
import threading
import typing
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import aiohttp
import orjson
import yaml
from aiohttp import web

from tests.harness.apiserver import ApiServer
from tests.support.listening import shut

QUIET = logging.getLogger("tests.faulty_api")
QUIET.disabled = True  # connections that break are what it is for
READS = frozenset({"GET"})
NOT_FORWARDED = frozenset({"host", "content-length", "transfer-encoding", "connection", "accept-encoding"})

Matches = Callable[[web.BaseRequest], bool]


class Pass:
    """One request on its way: what an ailment may use."""

    def __init__(self, api: "FaultyApi", request: web.BaseRequest) -> None:
        self.api = api
        self.request = request

    async def on(self) -> web.StreamResponse:
        """Pass it on, unharmed."""
        return await self.api.forward(self.request)

    async def answer(self) -> tuple[int, bytes, str]:
        """Pass it on, and keep the whole answer here: status, body, content type."""
        async with self.api.asking(self.request) as answer:
            return answer.status, await answer.read(), answer.content_type

    def reset(self) -> typing.NoReturn:
        """Drop the client's connection."""
        transport = self.request.transport
        if transport:
            transport.abort()
        raise ConnectionResetError


Ailment = Callable[[Pass], Awaitable[web.StreamResponse]]


class FaultyApi:
    """What stands between an operator and the API server."""

    def __init__(self, server: ApiServer, session: aiohttp.ClientSession) -> None:
        self.server = server
        self.url = ""
        self.counts: Counter[str] = Counter()  # by method, a watch counted as WATCH
        self.met = 0  # how often an ailment was applied
        self._session = session
        self._loop = asyncio.get_running_loop()
        self._watched: set[asyncio.Transport] = set()
        self._ailments: list[tuple[Matches, Ailment, int]] = []
        self._born = 0
        self._silent = 0  # watches that were opened until then say nothing more
        self._lock = threading.Lock()

    # --- for the tests ------------------------------------------------------------------------------------------------

    def meet(self, matches: Matches, ailment: Ailment, times: int = 1) -> None:
        """Do this to the next so many requests that match."""
        with self._lock:
            self._ailments.append((matches, ailment, times))

    def heal(self) -> None:
        """Pass on everything from now on; what is silent stays silent."""
        with self._lock:
            self._ailments.clear()

    def silence(self) -> None:
        """Let all watches that are open die without a word."""
        self._silent = self._born

    def cut(self) -> None:
        """Reset the connections of all watches that are open, so that they have to be asked for anew."""
        self._loop.call_soon_threadsafe(self._cut)

    def _cut(self) -> None:
        for transport in self._watched:
            transport.abort()

    def total(self) -> int:
        """How many requests came so far."""
        return self.counts.total()

    def writes(self) -> int:
        """How many of them were to change something."""
        return sum(count for method, count in self.counts.items() if method not in {"GET", "WATCH"})

    def kubeconfig_for(self, namespace: str, account: str) -> Path:
        """A kubeconfig that acts as a ServiceAccount, through here."""
        direct = self.server.kubeconfig_for(namespace, account)
        content = yaml.safe_load(direct.read_text())
        content["clusters"][0]["cluster"] = {"server": self.url}
        path = direct.with_suffix(".faulty")
        path.touch(mode=0o600)
        path.write_text(yaml.safe_dump(content))
        return path

    # --- what it does with a request ----------------------------------------------------------------------------------

    async def take(self, request: web.BaseRequest) -> web.StreamResponse:
        """Count a request, and pass it on or do to it what was ordered."""
        self.counts["WATCH" if "watch" in request.query else request.method] += 1
        ailment = self._ailment_for(request)
        if ailment is None:
            return await self.forward(request)
        self.met += 1
        return await ailment(Pass(self, request))

    def _ailment_for(self, request: web.BaseRequest) -> Ailment | None:
        with self._lock:
            for place, (matches, ailment, times) in enumerate(self._ailments):
                if matches(request):
                    self._ailments[place : place + 1] = [(matches, ailment, times - 1)] if times > 1 else []
                    return ailment
        return None

    async def forward(self, request: web.BaseRequest) -> web.StreamResponse:
        """Pass a request on and its answer back, piece by piece."""
        async with self.asking(request) as answer:
            response = web.StreamResponse(status=answer.status)
            for name in ("Content-Type", "Retry-After"):
                if name in answer.headers:
                    response.headers[name] = answer.headers[name]
            await response.prepare(request)
            if "watch" in request.query:
                await self._follow(request, answer, response)
            else:
                await response.write(await answer.read())
            await response.write_eof()
            return response

    async def _follow(
        self, request: web.BaseRequest, answer: aiohttp.ClientResponse, response: web.StreamResponse
    ) -> None:
        self._born += 1
        born, transport = self._born, request.transport
        assert transport is not None
        self._watched.add(transport)
        try:
            async for piece in answer.content.iter_any():
                if born <= self._silent:
                    await asyncio.Event().wait()  # until the client has had enough
                await response.write(piece)
        finally:
            self._watched.discard(transport)

    def asking(self, request: web.BaseRequest) -> "aiohttp.client._RequestContextManager":
        """The same request to the real API server."""
        headers = {name: value for name, value in request.headers.items() if name.lower() not in NOT_FORWARDED}
        url = self.server.url + request.raw_path
        return self._session.request(
            request.method, url, headers=headers, data=request.content if request.can_read_body else None
        )


# --- which requests ---------------------------------------------------------------------------------------------------


def watches(plural: str) -> Matches:
    """Watches of a collection."""
    return lambda request: "watch" in request.query and request.path.endswith(f"/{plural}")


def lists(plural: str) -> Matches:
    """Lists of a collection."""
    return lambda request: "watch" not in request.query and request.path.endswith(f"/{plural}")


def writes(request: web.BaseRequest) -> bool:
    """Whatever changes something."""
    return request.method not in READS


def statuses(request: web.BaseRequest) -> bool:
    """Writes of a status."""
    return request.method not in READS and request.path.endswith("/status")


def everything(_: web.BaseRequest) -> bool:
    """Any request."""
    return True


# --- what is done to them ---------------------------------------------------------------------------------------------


def refuse(status: int, **headers: str) -> Ailment:
    """Answer with an error of Kubernetes, and do nothing."""

    async def refused(way: Pass) -> web.StreamResponse:
        said = {"kind": "Status", "status": "Failure", "code": status, "message": "by the faulty proxy", "reason": "X"}
        headed = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.json_response(said, status=status, headers=headed)

    return refused


async def reset(way: Pass) -> web.StreamResponse:
    """Drop the connection before anything is passed on."""
    way.reset()


async def lose_the_answer(way: Pass) -> web.StreamResponse:
    """Let it be done, and drop the connection instead of an answer."""
    await way.answer()
    way.reset()


async def truncate(way: Pass) -> web.StreamResponse:
    """Answer with half of the JSON, well framed."""
    status, text, content_type = await way.answer()
    return web.Response(status=status, body=text[: len(text) // 2], content_type=content_type)


async def empty_list(way: Pass) -> web.StreamResponse:
    """Answer a list as if there were nothing, well formed and of the right version."""
    status, text, _ = await way.answer()
    listed = orjson.loads(text)
    return web.json_response(listed | {"items": [], "metadata": {**listed["metadata"], "continue": ""}}, status=status)


async def half_a_line(way: Pass) -> web.StreamResponse:
    """End a watch in the middle of an event."""
    return await _lines(way, b'{"type":"MODIFIED","object":{"metadata":{"na')


def error_in_the_stream(code: int) -> Ailment:
    """Say an error in a watch, and end it."""

    async def said(way: Pass) -> web.StreamResponse:
        status = {"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "message": "too old"}
        return await _lines(way, orjson.dumps({"type": "ERROR", "object": status}) + b"\n")

    return said


async def _lines(way: Pass, text: bytes) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(way.request)
    await response.write(text)
    await response.write_eof()
    return response


def kill(pid: Callable[[], int], *, done: bool) -> Ailment:
    """Kill a process by SIGKILL, before the request is passed on, or when it was `done` and not yet answered."""

    async def killed(way: Pass) -> web.StreamResponse:
        if done:
            await way.answer()
        os.kill(pid(), signal.SIGKILL)
        way.reset()

    return killed


# --- its life ---------------------------------------------------------------------------------------------------------


@contextmanager
def faulty(server: ApiServer) -> Iterator[FaultyApi]:
    """A proxy before `server`, until the block ends."""
    started, stop, made = threading.Event(), asyncio.Event(), []
    loop = asyncio.new_event_loop()

    async def live() -> None:
        trust = ssl.create_default_context(cafile=str(server.ca_file))
        connector = aiohttp.TCPConnector(ssl=trust, limit=0)
        timeout = aiohttp.ClientTimeout(total=None)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout, auto_decompress=True) as session:
            api = FaultyApi(server, session)
            runner = web.ServerRunner(
                web.Server(_safely(api), access_log=None, logger=QUIET), handler_cancellation=True, shutdown_timeout=0.1
            )
            await runner.setup()
            assert runner.server is not None
            listening = await loop.create_server(runner.server, "127.0.0.1", 0)
            api.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}"
            made.append(api)
            started.set()
            await stop.wait()
            await shut(listening)
            await runner.cleanup()
            await _end_all()
        await asyncio.sleep(0.05)

    thread = threading.Thread(target=loop.run_until_complete, args=(live(),), daemon=True)
    thread.start()
    assert started.wait(10)
    try:
        yield made[0]
    finally:
        loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        loop.close()


async def _end_all() -> None:
    """End what `cleanup` cancels and does not wait for: of each task that is left a closed loop says that it was."""
    under_way = [one for one in asyncio.all_tasks() if one is not asyncio.current_task()]
    for one in under_way:
        one.cancel()
    await asyncio.gather(*under_way, return_exceptions=True)


def _safely(api: FaultyApi) -> Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]:
    """An API server that is away is a connection that breaks."""

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        try:
            return await api.take(request)
        except aiohttp.ClientError:
            if request.transport:
                request.transport.abort()
            raise ConnectionResetError from None

    return take
