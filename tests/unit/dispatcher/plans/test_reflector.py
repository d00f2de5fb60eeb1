"""The reflector against an API server that misbehaves on cue: 410, silence, truncation, errors, pages, huge lines."""

import asyncio
import contextlib
import random
import typing

import orjson
import pytest
from aiohttp import web

from fanout_crds.apiserver import ApiServer
from fanout_dispatcher.plans.reflector import Object, Reflector
from tests.unit.dispatcher.admin.fakes import serving
from tests.unit.dispatcher.plans.fakes import News

Script = typing.Callable[[web.Request, web.StreamResponse], typing.Awaitable[None]]
OVER = web.AppKey("over", asyncio.Event)
PATH = "/api/v1/namespaces/fanout/configmaps"


def item(name: str, version: int, **data: str) -> Object:
    return {"metadata": {"name": name, "resourceVersion": str(version)}, "data": data}


def line(kind: str, thing: Object) -> bytes:
    return orjson.dumps({"type": kind, "object": thing}) + b"\n"


class Server:
    """Answers lists from `items` (in pages) and plays one script per watch; the last one is played for ever."""

    def __init__(self, *items: Object) -> None:
        self.items = list(items)
        self.version = 10
        self.page = 500
        self.scripts: list[Script] = [quiet]
        self.lists: list[dict[str, str]] = []
        self.watches: list[dict[str, str]] = []
        self.statuses: list[int] = []  # of the next answers, before anything else
        self.tokens: list[str] = []
        self.by_name: dict[str, list[web.Response]] = {}  # answers to who asks for an object

    async def one(self, request: web.Request) -> web.Response:
        return self.by_name[request.match_info["name"]].pop(0)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        self.tokens.append(request.headers.get("Authorization", ""))
        if self.statuses and (status := self.statuses.pop(0)) != 200:
            return web.json_response({"kind": "Status", "code": status}, status=status)
        return await self.watch(request) if "watch" in request.query else self.list(request)

    def list(self, request: web.Request) -> web.Response:
        self.lists.append(dict(request.query))
        start = int(request.query.get("continue") or 0)
        end = start + self.page
        following = str(end) if end < len(self.items) else ""
        metadata = {"resourceVersion": str(self.version), "continue": following}
        return web.json_response({"items": self.items[start:end], "metadata": metadata})

    async def watch(self, request: web.Request) -> web.StreamResponse:
        self.watches.append(dict(request.query))
        response = web.StreamResponse()
        await response.prepare(request)
        script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
        with contextlib.suppress(ConnectionError):
            await script(request, response)
        return response


async def quiet(request: web.Request, _response: web.StreamResponse) -> None:
    await request.app[OVER].wait()


def says(*lines: bytes, then: Script | None = None) -> Script:
    async def script(request: web.Request, response: web.StreamResponse) -> None:
        for one in lines:
            await response.write(one)
        if then:
            await then(request, response)

    return script


class Heard:
    """Satisfies `Listener`: keeps what it hears, and lets a test wait for it."""

    def __init__(self) -> None:
        self.lists: list[list[str]] = []
        self.changes: list[tuple[str, str]] = []
        self.troubles: list[str] = []
        self.doubts = 0  # how many lists are not believed at once
        self.doubting: tuple[str, ...] = ()
        self.answers: list[tuple[str, object]] = []
        self._news = News()
        self.until = self._news.until

    def listed(self, items: list[Object]) -> float | None:
        self.lists.append([one["metadata"]["name"] for one in items])
        self._news.come()
        self.doubts -= 1
        return 0.01 if self.doubts >= 0 else None

    def doubted(self) -> tuple[str, ...]:
        return self.doubting

    def asked(self, name: str, item: Object | None) -> None:
        self.answers.append((name, item and item["data"]))
        self._news.come()

    def put(self, item: Object) -> None:
        self.changes.append(("put", item["metadata"]["name"]))
        self._news.come()

    def gone(self, item: Object) -> None:
        self.changes.append(("gone", item["metadata"]["name"]))
        self._news.come()

    def away(self, why: str | None) -> None:
        if why:
            self.troubles.append(why)
            self._news.come()


@contextlib.asynccontextmanager
async def reflecting(
    server: Server, silence: float = 30.0, doubting: tuple[str, ...] = ()
) -> typing.AsyncIterator[Heard]:
    app = web.Application()
    app.router.add_get(PATH, server.answer)
    app.router.add_get(PATH + "/{name}", server.one)
    over = app[OVER] = asyncio.Event()
    heard = Heard()
    heard.doubting = doubting
    async with serving(app) as base:
        cluster = ApiServer(server=base, tls=None, namespace="fanout", token="t0ken")
        made = Reflector(cluster, PATH, "a=b", listener=heard, rng=random.Random(1), silence=silence)
        task = asyncio.create_task(made.run())
        try:
            yield heard
        finally:
            over.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_it_lists_then_watches_from_that_version_with_bookmarks_and_our_token() -> None:
    server = Server(item("a", 1), item("b", 2))
    server.scripts = [says(line("ADDED", item("c", 11)), line("DELETED", item("a", 12)), then=quiet)]
    async with reflecting(server) as heard:
        await heard.until(lambda: len(heard.changes) == 2)

    assert heard.lists == [["a", "b"]]
    assert heard.changes == [("put", "c"), ("gone", "a")]
    assert server.watches[0]["resourceVersion"] == "10"
    assert server.watches[0]["allowWatchBookmarks"] == "true"
    assert server.watches[0]["labelSelector"] == "a=b"
    assert set(server.tokens) == {"Bearer t0ken"}


async def test_a_long_list_is_read_page_by_page_and_heard_once() -> None:
    server = Server(*(item(f"i{number}", number) for number in range(25)))
    server.page = 10
    async with reflecting(server) as heard:
        await heard.until(lambda: heard.lists)

    assert heard.lists == [[f"i{number}" for number in range(25)]]
    assert [one.get("continue", "") for one in server.lists] == ["", "10", "20"]


async def test_a_list_that_is_not_believed_is_asked_for_again_before_the_watch() -> None:
    server = Server(item("a", 1))
    async with reflecting(server) as heard:
        heard.doubts = 1
        await heard.until(lambda: len(heard.lists) == 2)

    assert len(server.lists) == 2


NOT_FOUND = {"kind": "Status", "reason": "NotFound", "code": 404}


async def test_what_is_doubted_after_a_list_is_asked_for_by_name_before_the_watch() -> None:
    server = Server()
    server.by_name = {
        "there": [web.json_response(item("there", 3, plan="p"))],
        "gone": [web.json_response(NOT_FOUND, status=404)],
    }
    server.scripts = [says(line("ADDED", item("a", 11)), then=quiet)]
    async with reflecting(server, doubting=("there", "gone")) as heard:
        await heard.until(lambda: heard.changes)

    assert heard.answers == [("there", {"plan": "p"}), ("gone", None)]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"404 page not found"),
        (404, b"[]"),
        (403, b'{"reason": "Forbidden"}'),
        (500, b'{"reason": "NotFound"}'),
        (200, b'{"metadata": {"name": "another"}}'),
        (200, b"null"),
        (200, b"<html>"),
    ],
)
async def test_an_answer_that_does_not_say_whether_it_is_there_is_trouble_and_it_is_asked_for_again(
    status: int, body: bytes
) -> None:
    server = Server()
    server.by_name = {"a": [web.Response(status=status, body=body), web.json_response(NOT_FOUND, status=404)]}
    async with reflecting(server, doubting=("a",)) as heard:
        await heard.until(lambda: heard.answers)

    assert heard.answers == [("a", None)]
    assert len(heard.troubles) == 1
    assert len(server.lists) == 2


async def test_a_watch_that_ends_is_taken_up_where_it_ended_without_a_new_list() -> None:
    server = Server()
    ends = says(line("BOOKMARK", item("", 42)))
    server.scripts = [ends, says(line("ADDED", item("a", 43)), then=quiet)]
    async with reflecting(server) as heard:
        await heard.until(lambda: heard.changes)

    assert server.watches[1]["resourceVersion"] == "42"
    assert len(server.lists) == 1


@pytest.mark.parametrize("how", ["event", "status"])
async def test_gone_makes_a_new_list(how: str) -> None:
    server = Server(item("a", 1))
    if how == "event":
        server.scripts = [says(line("ERROR", {"kind": "Status", "code": 410})), quiet]
    else:
        server.statuses = [200, 410]
    async with reflecting(server) as heard:
        await heard.until(lambda: len(heard.lists) == 2)

    assert heard.troubles == []


async def test_a_silent_watch_is_dead_and_taken_up() -> None:
    server = Server()
    server.scripts = [quiet, says(line("ADDED", item("a", 11)), then=quiet)]
    async with reflecting(server, silence=0.05) as heard:
        await heard.until(lambda: heard.changes)

    assert len(server.watches) >= 2
    assert heard.troubles


@pytest.mark.parametrize(
    "bad",
    [b'{"type": "ADDED", "object": {"metada\n', b"[]\n", b'{"type": "ADDED"}\n', b"null\n", b"\xff\xfe\n", b"\n"],
)
async def test_a_line_that_makes_no_sense_is_trouble_and_the_watch_is_taken_up(bad: bytes) -> None:
    server = Server()
    server.scripts = [says(bad), says(line("ADDED", item("a", 11)), then=quiet)]
    async with reflecting(server) as heard:
        await heard.until(lambda: heard.changes)

    assert len(heard.troubles) == 1
    assert heard.lists == [[]]


@pytest.mark.parametrize("status", [401, 403, 429, 500, 503, 302])
async def test_a_server_that_answers_errors_is_asked_again_and_takes_nothing_away(status: int) -> None:
    server = Server(item("a", 1))
    server.statuses = [status, status]
    async with reflecting(server) as heard:
        await heard.until(lambda: heard.lists)

    assert heard.lists == [["a"]]
    assert str(status) in heard.troubles[0]


async def test_an_object_of_a_megabyte_that_comes_in_crumbs_is_one_change() -> None:
    server = Server()
    text = line("MODIFIED", item("big", 11, plan="x" * (1 << 20)))
    crumbs = [text[place : place + 9973] for place in range(0, len(text), 9973)]
    server.scripts = [says(*crumbs, then=quiet)]
    async with reflecting(server) as heard:
        await heard.until(lambda: heard.changes)

    assert heard.changes == [("put", "big")]


async def test_a_server_that_ends_every_watch_at_once_is_not_hammered() -> None:
    server = Server()
    server.scripts = [says()]
    async with reflecting(server) as heard:
        await heard.until(lambda: heard.lists)
        await asyncio.sleep(0.3)  # the point is what does not happen meanwhile

    assert len(server.watches) <= 4
