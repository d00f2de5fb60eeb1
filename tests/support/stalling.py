"""A proxy in front of PostgreSQL that stands still at a statement, so that a process can be killed exactly there."""

import asyncio
import contextlib
import typing

from tests.support.listening import shut

When = typing.Literal["before", "after"]


class Stalling:
    """Passes everything on until a statement begins with *word*: *before* it is run, or *after*, its answer withheld.

    A statement comes in two messages, of which the first has its text (Parse) and the second runs it (Execute).
    """

    def __init__(self, port: int) -> None:
        self.behind = port
        self.port = 0
        self.hit = asyncio.Event()
        self._word: bytes | None = None
        self._when: When = "before"
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._writers: list[asyncio.StreamWriter] = []

    async def open(self) -> "Stalling":
        """Listen on a free port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    def stall(self, when: When, word: str) -> None:
        """Stand still at the next statement of this kind."""
        self._word, self._when = word.encode(), when
        self.hit.clear()

    def cut(self) -> None:
        """Break every connection."""
        for task in self._tasks:
            task.cancel()
        for writer in self._writers:
            writer.transport.abort()
        self._tasks, self._writers = set(), []

    async def close(self) -> None:
        """End every connection, and take no more."""
        assert self._server is not None
        await shut(self._server)
        self.cut()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, out = await asyncio.open_connection("127.0.0.1", self.behind)
        self._writers += [writer, out]
        still = asyncio.Event()  # once set, nothing comes back any more
        for way in (self._asked(reader, out, still), self._answered(there, writer, still)):
            task = asyncio.create_task(way)
            self._tasks.add(task)

    async def _asked(self, reader: asyncio.StreamReader, out: asyncio.StreamWriter, still: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(1 << 16):
                found = self._word is not None and self._word in data
                if found and self._when == "before":
                    return self._stand(still)
                out.write(data)
                await out.drain()
                if found:
                    data = await reader.read(1 << 16)  # what runs it
                    self._stand(still)
                    out.write(data)
                    await out.drain()
            out.close()

    def _stand(self, still: asyncio.Event) -> None:
        self._word = None
        still.set()
        self.hit.set()

    async def _answered(self, there: asyncio.StreamReader, writer: asyncio.StreamWriter, still: asyncio.Event) -> None:
        with contextlib.suppress(OSError):
            while data := await there.read(1 << 16):
                if not still.is_set():
                    writer.write(data)
                    await writer.drain()
            if not still.is_set():
                writer.close()
