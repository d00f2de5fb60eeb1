"""A backup at the admin port: one tar with the journal of every worker, as of the moment when each copy was whole.

The copies are made beside the journals, read from there and removed, whatever becomes of whoever asked. One at a time:
so who takes nothing for `PATIENCE` seconds is let go, since others wait for their turn and the disk for its room.
"""

import asyncio
import pathlib
import tarfile
import typing

from aiohttp import web

from fanout_dispatcher.admin import wire
from fanout_dispatcher.admin.problems import Problem
from fanout_dispatcher.values.desk import Desk

PIECE: typing.Final = 1 << 20  # bytes
BLOCK: typing.Final = 512  # of a tar
PATIENCE: typing.Final = 30.0  # seconds that a write may take, of a piece at most


class Backups:
    """The handler over one desk."""

    def __init__(self, desk: Desk) -> None:
        self._desk = desk
        self._busy = False

    def add(self, app: web.Application) -> None:
        """Put the handler in its place."""
        app.router.add_post("/v1/journal/backup", self.make)

    async def make(self, request: web.Request) -> web.StreamResponse:
        """Answer a tar of all journals; it begins once the copies are whole."""
        wire.query(request)
        if self._busy:
            raise Problem(409, "a backup is being made already", Retry_After="5")
        self._busy = True
        try:
            return await self._answer(request, [pathlib.Path(file) for file in await self._desk.backup()])
        finally:
            self._busy = False

    async def _answer(self, request: web.Request, files: list[pathlib.Path]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/x-tar"})
        try:
            await response.prepare(request)
            for file in files:
                await _send(response, file)
            async with asyncio.timeout(PATIENCE):
                await response.write_eof(bytes(2 * BLOCK))  # the end of a tar
        except TimeoutError:
            if request.transport:
                request.transport.abort()  # what is buffered goes too, and nobody takes what there is for a whole tar
        finally:
            for file in files:
                await asyncio.to_thread(file.unlink, missing_ok=True)
        return response


async def _send(response: web.StreamResponse, file: pathlib.Path) -> None:
    """Write one file: its head, its bytes, and zeros up to the next block."""
    with await asyncio.to_thread(file.open, "rb") as stream:
        entry = tarfile.TarInfo(file.name.removesuffix("-backup"))
        found = await asyncio.to_thread(file.stat)
        entry.size, entry.mtime, entry.mode = found.st_size, int(found.st_mtime), 0o600
        await _write(response, entry.tobuf(tarfile.GNU_FORMAT))
        while piece := await asyncio.to_thread(stream.read, PIECE):
            await _write(response, piece)
        await _write(response, bytes(-entry.size % BLOCK))


async def _write(response: web.StreamResponse, piece: bytes) -> None:
    """Write, waiting until most of it is taken. Raises TimeoutError when it is not."""
    async with asyncio.timeout(PATIENCE):
        await response.write(piece)
