"""A dispatcher for commands to talk to: a real admin port over a fake desk, on a thread with a loop of its own."""

import asyncio
import contextlib
import threading
import typing

from aiohttp import web

from fanout_dispatcher.admin.app import application
from fanout_dispatcher.admin.listen import Listening, listen
from fanout_dispatcher.values.render import plain
from tests.unit.dispatcher.admin.fakes import LOOPBACK, FakeDesk, FakeHolder, log


class FakeDispatcher:
    """Two ports: admin, and a data port that accepts everything and keeps what it got."""

    def __init__(self, token: str | None = None) -> None:
        self.desk = FakeDesk()
        self.holder = FakeHolder()
        self.token = token
        self.admin = ""
        self.listen = ""
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.answers: list[web.Response] = []  # instead of 202
        self.polls = 0

    async def accept(self, request: web.Request) -> web.Response:
        self.got.append((request.path, dict(request.headers), await request.read()))
        if self.answers:
            return self.answers.pop(0)
        return web.json_response({"receipt": "r1", "status": "/-/events/r1"}, status=202)

    async def status(self, _request: web.Request) -> web.Response:
        """The next of what the desk knows of r1; the last for ever."""
        self.polls += 1
        view = self.desk.known.pop(0) if len(self.desk.known) > 1 else self.desk.known[0]
        return web.json_response(plain(view))

    async def open(self) -> list[Listening]:
        data = web.Application()
        data.router.add_get("/-/events/r1", self.status)
        data.router.add_route("*", "/{path:.*}", self.accept)
        port = await listen(data, LOOPBACK)
        self.listen = f"http://{port.address}"
        admin = await listen(
            application(self.desk, log(), token=self.token, loopback=True, public=self.listen, holder=self.holder),
            LOOPBACK,
        )
        self.admin = f"http://{admin.address}"
        return [port, admin]


@contextlib.contextmanager
def running(token: str | None = None) -> typing.Iterator[FakeDispatcher]:
    """A dispatcher that answers while the block runs."""
    fake, started, loop = FakeDispatcher(token), threading.Event(), asyncio.new_event_loop()

    async def serve(over: asyncio.Event) -> None:
        ports = await fake.open()
        started.set()
        await over.wait()
        for port in ports:
            await port.close()

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(over),))
    thread.start()
    try:
        assert started.wait(10)
        yield fake
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()
