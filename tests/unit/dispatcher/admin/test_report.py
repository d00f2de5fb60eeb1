"""The report stream over a real connection: snapshot, changes, what a slow reader costs, and who may read."""

import asyncio
import contextlib
import typing

import aiohttp
import orjson
import pytest

from fanout_crds.report import FORMAT, LONGEST_LINE, PATH
from fanout_dispatcher.admin import report
from fanout_dispatcher.admin.report import Pace, stream
from fanout_dispatcher.admin.review import Unchecked
from tests.unit.dispatcher.admin.fakes import FakeDesk, asking, log, route_view, serving, target_view

Line = dict[str, typing.Any]
QUICK = Pace(heartbeat=0.05, coalesce=0.01)
CALM = Pace(heartbeat=30.0, coalesce=0.01)  # no heartbeat comes between the lines of a test


class Reader:
    """Reads lines of one stream."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response

    async def line(self) -> Line:
        found: Line = orjson.loads(await self.response.content.readline())
        return found

    async def until(self, kind: str) -> list[Line]:
        """The lines up to and with the first of *kind*."""
        lines = [await self.line()]
        while lines[-1]["kind"] != kind:
            lines.append(await self.line())
        return lines


@contextlib.asynccontextmanager
async def reading(desk: FakeDesk, pace: Pace = CALM) -> typing.AsyncIterator[Reader]:
    app = stream(desk, log(), epoch="e1", allowed=None, pace=pace)
    async with asking(app) as client, client.get(PATH) as response:
        yield Reader(response)


async def test_a_reader_gets_hello_each_route_and_the_end_of_the_snapshot() -> None:
    desk = FakeDesk()
    desk.change(route_view("shop/a"))
    desk.change(route_view("shop/b", refused="format 9"))
    async with reading(desk) as reader:
        lines = await reader.until("snapshotEnd")

    assert lines[0] == {"kind": "hello", "format": FORMAT, "epoch": "e1"}
    assert [(one["kind"], one.get("route"), one.get("refused")) for one in lines[1:]] == [
        ("route", "shop/a", None),
        ("route", "shop/b", "format 9"),
        ("snapshotEnd", None, None),
    ]


async def test_a_change_arrives_as_a_line_of_its_route() -> None:
    desk = FakeDesk()
    desk.change(route_view())
    async with reading(desk) as reader:
        await reader.until("snapshotEnd")

        desk.change(route_view(targets=(target_view(circuit="Open", pending=3),)))

        line = await reader.line()
        assert line["targets"][0]["circuit"] == "Open"
        assert line["targets"][0]["pending"] == 3


async def test_many_changes_at_once_are_one_line_with_the_last_state() -> None:
    desk = FakeDesk()
    async with reading(desk) as reader:
        await reader.until("snapshotEnd")
        for number in range(500):
            desk.change(route_view(generation=number))
        desk.change(route_view("shop/z"))

        lines = [await reader.line(), await reader.line()]

        assert [(one["route"], one["generation"]) for one in lines] == [("shop/order", 499), ("shop/z", 1)]


async def test_a_route_that_went_is_gone_once() -> None:
    desk = FakeDesk()
    desk.change(route_view())
    async with reading(desk) as reader:
        await reader.until("snapshotEnd")
        del desk.views["shop/order"]
        desk.tell("shop/order")
        desk.tell("never/seen")

        assert await reader.line() == {"kind": "gone", "route": "shop/order"}


async def test_what_the_reader_knows_already_is_not_said_again() -> None:
    desk = FakeDesk()
    desk.change(route_view())
    async with reading(desk) as reader:
        await reader.until("snapshotEnd")
        desk.tell("shop/order")
        desk.change(route_view("shop/z"))

        assert (await reader.line())["route"] == "shop/z"


async def test_what_the_report_has_no_field_for_costs_no_line() -> None:
    desk = FakeDesk()
    desk.change(route_view())
    async with reading(desk) as reader:
        await reader.until("snapshotEnd")
        desk.change(route_view(targets=(target_view(in_flight=7, held="Window"),)))
        desk.change(route_view("shop/z"))

        assert (await reader.line())["route"] == "shop/z"


async def test_a_quiet_stream_beats() -> None:
    async with reading(FakeDesk(), QUICK) as reader:
        await reader.until("snapshotEnd")

        assert [await reader.line(), await reader.line()] == [{"kind": "heartbeat"}] * 2


async def test_a_line_of_the_largest_route_stays_below_its_cap() -> None:
    desk = FakeDesk()
    hostile = "\U0001f4a3" * 100_000
    targets = tuple(target_view(name=f"t{number}", last_error=hostile) for number in range(64))
    desk.change(route_view(targets=targets, refused=hostile))
    async with reading(desk) as reader:
        await reader.line()

        assert len(await reader.response.content.readuntil(b"\n")) <= LONGEST_LINE


async def test_a_reader_that_does_not_read_is_dropped_and_costs_nothing_more() -> None:
    desk = FakeDesk()
    for number in range(2000):
        targets = tuple(target_view(name=f"t{place}", last_error="x" * 300) for place in range(64))
        desk.change(route_view(f"shop/r{number}", targets=targets))  # 60 MB: more than any socket buffers
    pace = Pace(heartbeat=30.0, coalesce=0.01, patience=0.1)
    async with serving(stream(desk, log(), epoch="e1", allowed=None, pace=pace)) as base:
        host, port = base.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port), limit=1024)
        writer.write(f"GET {PATH} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        await desk.watched.wait()
        await desk.unwatched.wait()  # it was dropped

        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(1 << 30)
        writer.close()


async def test_one_reader_too_many_is_told_to_come_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "READERS", 1)
    app = stream(FakeDesk(), log(), epoch="e1", allowed=None, pace=CALM)
    async with asking(app) as client, client.get(PATH) as first:
        await Reader(first).until("snapshotEnd")

        async with client.get(PATH) as second:
            assert second.status == 503
            assert second.headers["Retry-After"] == "10"


async def test_who_may_not_read_takes_no_readers_place(monkeypatch: pytest.MonkeyPatch) -> None:
    async def allowed(token: str) -> bool:
        return token == "right"

    monkeypatch.setattr(report, "READERS", 1)
    app = stream(FakeDesk(), log(), epoch="e1", allowed=allowed, pace=CALM)
    async with asking(app) as client:
        refused = [await client.get(PATH, headers={"Authorization": "Bearer wrong"}) for _ in range(3)]

        async with client.get(PATH, headers={"Authorization": "Bearer right"}) as response:
            assert ([one.status for one in refused], response.status) == ([401] * 3, 200)


async def test_whose_token_cannot_be_checked_is_told_to_come_back_and_not_that_it_is_wrong() -> None:
    async def allowed(token: str) -> bool:
        raise Unchecked("the API server is away")

    app = stream(FakeDesk(), log(), epoch="e1", allowed=allowed, pace=CALM)
    async with asking(app) as client, client.get(PATH, headers={"Authorization": "Bearer ours"}) as response:
        assert (response.status, response.headers["Retry-After"]) == (503, "1")
        assert "the API server is away" in (await response.json())["detail"]


async def test_a_reader_that_leaves_is_forgotten() -> None:
    desk = FakeDesk()
    async with serving(stream(desk, log(), epoch="e1", allowed=None, pace=QUICK)) as base:
        async with aiohttp.ClientSession(base) as client, client.get(PATH) as response:
            await Reader(response).until("snapshotEnd")
            assert len(desk.watchers) == 1
        await desk.unwatched.wait()


async def test_closing_the_port_ends_the_streams_at_once() -> None:
    desk = FakeDesk()
    async with serving(stream(desk, log(), epoch="e1", allowed=None, pace=CALM)) as base:
        client = aiohttp.ClientSession(base)
        response = await client.get(PATH)
        await Reader(response).until("snapshotEnd")
    rest = await response.content.read()
    await client.close()

    assert rest == b""
    assert desk.watchers == []


@pytest.mark.parametrize(("header", "status"), [(None, 401), ("Bearer wrong", 401), ("Bearer right", 200)])
async def test_where_tokens_are_asked_for_only_the_right_one_reads(header: str | None, status: int) -> None:
    async def allowed(token: str) -> bool:
        return token == "right"

    app = stream(FakeDesk(), log(), epoch="e1", allowed=allowed, pace=CALM)
    headers = {"Authorization": header} if header else {}
    async with asking(app) as client, client.get(PATH, headers=headers) as response:
        assert response.status == status
