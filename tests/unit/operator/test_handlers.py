"""kopf, as we embed it, in surroundings that a laptop does not have."""

import asyncio
import pwd

import pytest
from aiohttp import test_utils, web

from fanout_operator.access import Access
from fanout_operator.handlers import NOTHING, Pulse, watch
from fanout_operator.kube import ROUTES, Document
from tests.unit.operator.made import rng

NOBODY_LISTENS = Access(server="http://127.0.0.1:9", tls=None, token=None)


class Silent:
    """Wants to know nothing."""

    def route(self, document: Document) -> None:
        """A route is there."""

    def gone(self, document: Document) -> None:
        """A route was deleted."""


async def test_it_starts_as_a_user_that_has_no_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a pod: runAsUser is a number, and the image knows nobody by it."""

    def nameless(number: int) -> pwd.struct_passwd:
        raise KeyError(f"getpwuid(): uid not found: {number}")

    monkeypatch.setattr(pwd, "getpwuid", nameless)
    for variable in ("LOGNAME", "USER", "LNAME", "USERNAME", "POD_ID"):
        monkeypatch.delenv(variable, raising=False)
    started = asyncio.Event()

    async def there() -> None:
        """The definition of routes is."""

    watching = asyncio.create_task(
        watch(Silent(), NOBODY_LISTENS, Pulse(), namespaces=(), relist=there, started=started.set, rng=rng())
    )
    waiting = asyncio.create_task(started.wait())
    await asyncio.wait({watching, waiting}, return_when=asyncio.FIRST_COMPLETED)
    running = not watching.done()
    for task in (watching, waiting):
        task.cancel()
    await asyncio.gather(watching, waiting, return_exceptions=True)

    assert running, watching.exception()


async def test_kopfs_own_lists_find_nothing_and_are_told_while_its_watches_find_all() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(request.query.get("fieldSelector", "all"))
        return web.json_response({})

    app, pulse, told = web.Application(), Pulse(), []
    app.router.add_get("/{path:.*}", answer)
    async with test_utils.TestServer(app) as server:
        access = Access(server=str(server.make_url("")).rstrip("/"), tls=None, token=None)
        async with access.session(pulse) as session:
            for path in (ROUTES.path(None), ROUTES.path("shop"), ROUTES.path("shop") + "?watch=true", "/version"):
                async with session.get(access.server + path):
                    told.append(pulse.listed.is_set())
                    pulse.listed.clear()

    assert asked == [NOTHING, NOTHING, "all", "all"]
    assert told == [True, True, False, False]


async def test_a_watch_counts_until_it_ends() -> None:
    """Whether it was ended by the server or closed by kopf."""
    over = asyncio.Event()

    async def stream(request: web.Request) -> web.StreamResponse:
        answer = web.StreamResponse()
        await answer.prepare(request)
        await over.wait()
        return answer

    app, pulse = web.Application(), Pulse()
    app.router.add_get("/{path:.*}", stream)
    async with test_utils.TestServer(app) as server:
        url = server.make_url(ROUTES.path(None)).with_query(watch="true")
        access = Access(server=str(server.make_url("")).rstrip("/"), tls=None, token=None)
        async with access.session(pulse) as session:
            seen = [pulse.watches()]
            async with session.get(url):
                seen.append(pulse.watches())
            seen.append(pulse.watches())
            async with session.get(url) as watching:
                seen.append(pulse.watches())
                over.set()
                await watching.read()
                seen.append(pulse.watches())

    assert seen == [False, True, False, True, False]
