"""The API over HTTP, against a server that misbehaves on cue (good manners: tests/controlplane/test_kube_contract)."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import orjson
import pytest
from aiohttp import web

from fanout_operator import rest
from fanout_operator.kube import CONFIG_MAPS, LEASES, Event, Scope, Unavailable
from fanout_operator.rest import Rest

LINE = orjson.dumps({"type": "ADDED", "object": {"metadata": {"name": "a", "resourceVersion": "7"}}}) + b"\n"


@asynccontextmanager
async def saying(*pieces: bytes) -> AsyncIterator[Rest]:
    """An API server whose watch says these pieces and ends."""

    async def serve(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        for piece in pieces:
            await response.write(piece)
        return response

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with aiohttp.ClientSession() as session:
        yield Rest(session, f"http://127.0.0.1:{runner.addresses[0][1]}")
    await runner.cleanup()


async def watched(api: Rest) -> list[Event]:
    return [event async for event in api.watch(Scope(kind=CONFIG_MAPS, namespace="fanout"), "1")]


async def test_events_come_in_whatever_pieces_and_the_end_is_silent() -> None:
    async with saying(LINE[:5], LINE[5:] + LINE) as api:
        events = await watched(api)

    assert [event.object["metadata"]["name"] for event in events] == ["a", "a"]


async def test_a_watch_that_ends_in_the_middle_of_a_line_was_cut_off() -> None:
    async with saying(LINE, LINE[:5]) as api:
        with pytest.raises(Unavailable, match="in the middle of a line"):
            await watched(api)


async def test_a_line_without_an_end_is_not_collected_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rest, "LONGEST_LINE", 1000)
    async with saying(LINE, b"x" * 1001) as api:
        with pytest.raises(Unavailable, match="a line of more than 1000 bytes"):
            await watched(api)


@pytest.mark.parametrize(
    "line",
    [
        b'{"type":"ADDED","object":{}}',
        b'{"type":"MODIFIED","object":{"metadata":{"name":"a"}}}',
        b'{"type":"DELETED","object":{"metadata":null}}',
        b'{"type":"RENAMED","object":{"metadata":{"name":"a","resourceVersion":"7"}}}',
        b'{"type":"BOOKMARK","object":{"metadata":{}}}',
        b"[]",
        b"[" * 5000,
    ],
)
async def test_a_line_that_is_no_event_ends_the_watch_as_a_fault_and_not_the_operator(line: bytes) -> None:
    async with saying(line + b"\n") as api:
        with pytest.raises(Unavailable):
            await watched(api)


@pytest.mark.parametrize(
    "answer",
    [
        b"null",
        b"[]",
        b"{}",
        b'"ok"',
        b"<html>",
        b'{"metadata":{},"items":[]}',
        b'{"metadata":{"resourceVersion":"7"},"items":[{}]}',
        b'{"metadata":{"resourceVersion":"7"},"items":[null]}',
    ],
)
async def test_an_answer_that_is_no_list_is_a_fault_and_ends_no_operator(answer: bytes) -> None:
    async with saying(answer) as api:
        with pytest.raises(Unavailable):
            await anext(api.pages(Scope(kind=CONFIG_MAPS, namespace="fanout")))


async def test_an_answer_that_is_not_the_object_was_no_success_whoever_says_200() -> None:
    lease = {"metadata": {"namespace": "fanout", "name": "op"}}
    async with saying(b"{}") as api:
        for asked in (api.get(LEASES, "fanout", "op"), api.create(LEASES, lease), api.replace(LEASES, lease)):
            with pytest.raises(Unavailable):
                await asked
