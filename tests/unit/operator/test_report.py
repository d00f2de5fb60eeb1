"""Following a report stream over real HTTP."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp import web
from structlog.testing import capture_logs

from fanout_crds.report import FORMAT, LONGEST_LINE, PATH
from fanout_operator import picture, report
from fanout_operator.access import ReportAccess
from fanout_operator.backoff import Backoff
from fanout_operator.fleet import Fleet
from fanout_operator.report import Follower, ReportPort
from tests.unit.operator.made import rng

ROUTE = {"kind": "route", "route": "shop/orders", "revision": "r1", "generation": 1, "targets": []}
Speak = Callable[["Speaker"], Coroutine[Any, Any, None]]


class Speaker:
    """The dispatcher's end of one stream."""

    def __init__(self, response: web.StreamResponse) -> None:
        self._response = response

    async def say(self, *lines: dict[str, Any] | bytes) -> None:
        for line in lines:
            await self._response.write(line if isinstance(line, bytes) else orjson.dumps(line) + b"\n")

    async def snapshot(self, *routes: dict[str, Any]) -> None:
        await self.say({"kind": "hello", "format": FORMAT, "epoch": "e"}, *routes, {"kind": "snapshotEnd"})


async def token() -> str:
    return "t"


class Scene:
    """A fleet that follows one dispatcher, and how often that was asked."""

    def __init__(self) -> None:
        self.changed = asyncio.Event()
        self.over = asyncio.Event()
        self.fleet = Fleet(lambda _routes: self.changed.set())
        self.asked: list[str] = []

    async def until(self, holds: Callable[[], object]) -> None:
        async with asyncio.timeout(5):
            while not holds():
                self.changed.clear()
                await self.changed.wait()

    def revision(self) -> str | None:
        reports = self.fleet.view("shop/orders").reports
        return reports[0][1].revision if reports and reports[0][1] else None


@asynccontextmanager
async def following(*streams: Speak) -> AsyncIterator[Scene]:
    """One stream after the other; the last stays open."""
    scene = Scene()
    scripts = list(streams)

    async def serve(request: web.Request) -> web.StreamResponse:
        scene.asked.append(request.headers.get("Authorization", ""))
        response = web.StreamResponse()
        await response.prepare(request)
        await scripts[0](Speaker(response))
        if len(scripts) == 1:
            await scene.over.wait()
        scripts.pop(0)
        return response

    app = web.Application()
    app.router.add_get(PATH, serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with aiohttp.ClientSession() as session:
        follower = Follower(
            "d0",
            ReportPort(url),
            session=session,
            access=ReportAccess(token=token),
            fleet=scene.fleet,
            rng=rng(),
        )
        scene.fleet.expect({"d0"})
        task = asyncio.create_task(follower.run())
        try:
            yield scene
        finally:
            scene.over.set()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await runner.cleanup()


async def test_a_snapshot_and_what_changes_after_it_reach_the_fleet_with_our_token_shown() -> None:
    async def speak(to: Speaker) -> None:
        await to.snapshot(ROUTE)
        await to.say(ROUTE | {"revision": "r2"}, {"kind": "heartbeat"}, {"kind": "of-a-later-version", "x": 1})

    async with following(speak) as scene:
        await scene.until(lambda: scene.revision() == "r2")

        assert scene.asked == ["Bearer t"]


async def test_lines_may_come_in_any_pieces() -> None:
    async def speak(to: Speaker) -> None:
        text = b"".join(
            orjson.dumps(line) + b"\n" for line in ({"kind": "hello", "format": FORMAT}, ROUTE, {"kind": "snapshotEnd"})
        )
        for byte in text:
            await to.say(bytes([byte]))

    async with following(speak) as scene:
        await scene.until(lambda: scene.revision() == "r1")


@pytest.mark.parametrize(
    "wrong",
    [
        b"this is no report\n",
        b'{"kind":"route","route":7}\n',
        b'{"kind":"hello","format":9}\n',
        b'{"kind":"heartbeat","x":' + b"[" * 9000 + b"]" * 9000 + b"}\n",
        b'{"kind":"route","route":"shop/orders","generation":-1}\n',
        b'{"kind":"route","route":"shop/orders","targets":[{"name":"crm","pending":%d}]}\n' % 2**63,
        b"x" * (LONGEST_LINE + 2),
        b'{"kind":"heartbeat","x":"' + b"x" * LONGEST_LINE + b'"}\n',
    ],
    ids=[
        "no JSON",
        "another shape",
        "another format",
        "endlessly nested",
        "a negative count",
        "an absurd count",
        "an endless line",
        "a long line that is whole",
    ],
)
async def test_a_stream_that_is_not_one_is_left_and_begun_anew(wrong: bytes) -> None:
    async def broken(to: Speaker) -> None:
        await to.snapshot(ROUTE)
        await to.say(wrong)

    async def whole(to: Speaker) -> None:
        await to.snapshot(ROUTE | {"revision": "r2"})

    async with following(broken, whole) as scene:
        await scene.until(lambda: scene.revision() == "r2")

        assert len(scene.asked) == 2


async def test_a_stream_that_ends_keeps_its_picture_until_the_next_snapshot() -> None:
    async def short(to: Speaker) -> None:
        await to.snapshot(ROUTE)

    async def changed(to: Speaker) -> None:
        begun.set()
        await go_on.wait()
        await to.snapshot(ROUTE | {"revision": "r2"})

    begun, go_on = asyncio.Event(), asyncio.Event()
    async with following(short, changed) as scene:
        await scene.until(lambda: scene.revision() == "r1")
        await begun.wait()
        between = scene.revision()
        go_on.set()
        await scene.until(lambda: scene.revision() == "r2")

    assert between == "r1"


async def test_a_dispatcher_that_says_nothing_is_silent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SILENCE", 0.2)

    async def mute(to: Speaker) -> None:
        await to.snapshot(ROUTE)

    async with following(mute) as scene:
        await scene.until(lambda: scene.revision() == "r1")
        await scene.until(lambda: scene.fleet.view("shop/orders").silent)


async def never_whole(to: Speaker) -> None:
    await to.say({"kind": "hello", "format": FORMAT}, ROUTE)
    await again_and_again(to, b'{"kind":"heartbeat"}\n')


async def never_a_line(to: Speaker) -> None:
    await to.snapshot(ROUTE)
    await again_and_again(to, b" ")


async def again_and_again(to: Speaker, piece: bytes) -> None:
    with contextlib.suppress(ConnectionResetError):
        while True:
            await to.say(piece)
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("speak", [never_whole, never_a_line])
async def test_a_dispatcher_that_never_comes_to_an_end_is_as_silent_as_one_that_says_nothing(
    speak: Speak, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "SILENCE", 0.2)

    async with following(speak) as scene:
        await scene.until(lambda: scene.fleet.view("shop/orders").silent)

        assert scene.fleet.complete


async def test_one_that_greets_and_leaves_again_and_again_is_silent_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SILENCE", 0.2)
    monkeypatch.setattr(report, "RETRY", Backoff(base=0.02, cap=0.02))

    async def greeting(to: Speaker) -> None:
        await to.say({"kind": "hello", "format": FORMAT})

    async with following(*[greeting] * 100) as scene:
        await scene.until(lambda: scene.fleet.view("shop/orders").silent)


@pytest.mark.parametrize("before", [(), ({"kind": "snapshotEnd"},)])
async def test_a_dispatcher_that_names_routes_without_end_is_left_and_fills_no_memory(
    before: tuple[dict[str, str], ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(picture, "LARGEST", 1 << 20)
    left = asyncio.Event()

    async def endless(to: Speaker) -> None:
        await to.say({"kind": "hello", "format": FORMAT}, *before)
        with contextlib.suppress(ConnectionError):
            for number in range(50_000):
                await to.say(ROUTE | {"route": f"shop/route-{number}"})
            return
        left.set()

    async def whole(to: Speaker) -> None:
        await to.snapshot(ROUTE)

    async with following(endless, whole) as scene:
        with capture_logs() as logs:
            await scene.until(lambda: scene.revision() == "r1")

        assert left.is_set()
    assert "reports more than 1 MiB of routes" in str([one["fault"] for one in logs if one["event"] == "report.broken"])


async def test_a_stream_that_does_not_begin_with_hello_is_left_and_begun_anew() -> None:
    async def headless(to: Speaker) -> None:
        await to.say({"kind": "of-a-later-version"}, ROUTE, {"kind": "snapshotEnd"})
        await scene_over.wait()

    async def whole(to: Speaker) -> None:
        await to.snapshot(ROUTE | {"revision": "r2"})

    scene_over = asyncio.Event()
    async with following(headless, whole) as scene:
        scene_over.set()
        await scene.until(lambda: scene.revision() == "r2")


async def test_a_dispatcher_that_cannot_be_reached_is_silent_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "SILENCE", 0.2)
    silent = asyncio.Event()
    fleet = Fleet(lambda _routes: silent.set())
    fleet.expect({"d0"})
    async with aiohttp.ClientSession() as session, asyncio.timeout(5):
        follower = Follower(
            "d0", ReportPort("http://127.0.0.1:9"), session=session, access=ReportAccess(), fleet=fleet, rng=rng()
        )
        task = asyncio.create_task(follower.run())
        await silent.wait()
        task.cancel()

    assert fleet.view("shop/orders").silent == ("d0",)
