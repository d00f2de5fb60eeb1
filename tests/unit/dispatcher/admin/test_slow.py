"""Clients of the admin and report ports that take their time are let go, as on the data port (promise P31)."""

import asyncio
import contextlib
import pathlib
import typing

import aiohttp
import pytest

from fanout_dispatcher.admin import backup, wire
from fanout_dispatcher.admin.app import application
from fanout_dispatcher.admin.listen import listen
from tests.unit.dispatcher.admin.fakes import LOOPBACK, FakeDesk, log

PATIENCE = 20.0  # s
GET = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n"
BACKUP = b"POST /v1/journal/backup HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"
LARGE = 64 << 20  # bytes: more than any socket buffers
POST = b"POST /v1/dead-letters/replay HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n"


@contextlib.asynccontextmanager
async def admin(head_seconds: float) -> typing.AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to an admin port."""
    app = application(FakeDesk(), log(), token=None, loopback=True)
    listening = await listen(app, LOOPBACK, head_seconds=head_seconds)
    reader, writer = await asyncio.open_connection(LOOPBACK.host, listening.address.port)
    try:
        yield reader, writer
    finally:
        writer.close()
        await listening.close()


async def drip(writer: asyncio.StreamWriter, data: bytes) -> None:
    """Send a little now and then, for as long as anybody listens."""
    try:
        while data:
            writer.write(data)
            await writer.drain()
            await asyncio.sleep(0.01)
    except ConnectionError:
        pass  # which is what the server is there for


@pytest.mark.parametrize(
    ("said", "dripped"),
    [
        (b"", b""),
        (b"GET /li", b""),
        (b"GET /", b"x"),
        (GET, b"x-1: y\r\n"),
        (GET + b"A: ", b"b"),
        (GET + b"\r\n", b""),
        (b"", b"\r\n"),
    ],
    ids=["nothing", "half a line", "a dripping line", "dripping headers", "a dripping header", "idle", "empty lines"],
)
async def test_who_owes_a_head_is_let_go(said: bytes, dripped: bytes) -> None:
    async with admin(head_seconds=0.2) as (reader, writer), asyncio.timeout(PATIENCE):
        writer.write(said)
        dripping = asyncio.create_task(drip(writer, dripped))
        with contextlib.suppress(ConnectionResetError):
            while await reader.read(65536):
                pass

        await dripping


async def test_a_body_that_drips_is_answered_with_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wire, "BODY_SECONDS", 0.2)
    async with admin(head_seconds=60.0) as (reader, writer), asyncio.timeout(PATIENCE):
        writer.write(POST)
        dripping = asyncio.create_task(drip(writer, b"x"))
        line = await reader.readline()
        dripping.cancel()

        assert line == b"HTTP/1.1 408 Request Timeout\r\n"


async def test_who_does_not_read_a_backup_is_let_go_and_others_may_have_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: pathlib.Path
) -> None:
    monkeypatch.setattr(backup, "PATIENCE", 0.2)
    desk, large, small = FakeDesk(), tmp_path / "large.db-backup", tmp_path / "small.db-backup"
    with large.open("wb") as copy:
        copy.truncate(LARGE)
    listening = await listen(application(desk, log(), token=None, loopback=True), LOOPBACK)
    reader, writer = await asyncio.open_connection(LOOPBACK.host, listening.address.port, limit=1024)
    async with asyncio.timeout(PATIENCE), aiohttp.ClientSession(f"http://{listening.address}") as other:
        desk.copies = [large]
        writer.write(BACKUP)
        assert await reader.readline() == b"HTTP/1.1 200 OK\r\n"
        while large.exists():  # noqa: ASYNC110 (nobody tells when the file goes)
            await asyncio.sleep(0.01)
        small.write_bytes(b"whole")
        desk.copies = [small]
        async with other.post("/v1/journal/backup") as answer:
            assert answer.status == 200
            assert b"whole" in await answer.read()

        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await reader.readexactly(LARGE)
    writer.close()
    await listening.close()
