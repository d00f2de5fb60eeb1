"""The floor: what a durable fan-out cannot do without, in this language and on this loop, and nothing else.

Parse a request with httptools; append its body to a file; one fsync for all that came meanwhile; answer 202; write the
body to each target over a connection that is kept alive, and read the answer. No routes, no policy, no retries, no
bounds, no receipts, no settling, and a file that nobody could recover from: none of it can be used. docs/performance.md
holds our cost against it.

    python -m bench.floor 127.0.0.1:8080 FILE http://127.0.0.1:9001/a http://127.0.0.1:9002/b
"""

import asyncio
import collections
import gc
import os
import queue
import sys
import threading
import typing
import urllib.parse

import httptools
import uvloop

from bench.event import request

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"
CONNECTIONS = 64  # per target

Event = tuple["Producer", bytes]


class Sender(asyncio.Protocol):
    """One connection to a target."""

    def __init__(self, target: "Target") -> None:
        self.target = target

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Be free."""
        self.transport = typing.cast(asyncio.Transport, transport)
        self.target.free.append(self)

    def data_received(self, data: bytes) -> None:
        """An answer: the targets of a measurement send it in one piece."""
        if self.target.waiting:
            self.transport.write(self.target.waiting.popleft())
        else:
            self.target.free.append(self)


class Target:
    """A target with its connections and what waits for one."""

    def __init__(self, url: str) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.port, self.path = parts.hostname or "", parts.port or 80, parts.path
        self.heads: dict[int, bytes] = {}
        self.free: list[Sender] = []
        self.waiting: collections.deque[bytes] = collections.deque()

    async def connect(self) -> None:
        """Open all connections."""
        loop = asyncio.get_running_loop()
        for _ in range(CONNECTIONS):
            await loop.create_connection(lambda: Sender(self), self.host, self.port)

    def send(self, body: bytes) -> None:
        """Write it to a free connection, or later."""
        size = len(body)
        head = self.heads.get(size)
        if head is None:
            head = self.heads[size] = request(self.path, f"{self.host}:{self.port}", size)
        if self.free:
            self.free.pop().transport.write(head + body)
        else:
            self.waiting.append(head + body)


class Disk:
    """Appends bodies to a file on a thread; whatever comes during an fsync shares the next one."""

    def __init__(self, path: str, committed: typing.Callable[[list[Event]], None]) -> None:
        self.file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self.committed = committed
        self.loop = asyncio.get_running_loop()
        self.group: list[Event] = []
        self.busy = False
        self.jobs: queue.SimpleQueue[list[Event]] = queue.SimpleQueue()
        threading.Thread(target=self._work, daemon=True).start()

    def append(self, event: Event) -> None:
        """Have it written with the next group."""
        self.group.append(event)
        if not self.busy:
            self.busy = True
            self.loop.call_soon(self._flush)

    def _flush(self) -> None:
        group, self.group = self.group, []
        self.jobs.put(group)

    def _done(self, group: list[Event]) -> None:
        self.committed(group)
        if self.group:
            self._flush()
        else:
            self.busy = False

    def _work(self) -> None:
        while group := self.jobs.get():
            os.write(self.file, b"".join([body for _, body in group]))
            os.fdatasync(self.file)
            self.loop.call_soon_threadsafe(self._done, group)


class Producer(asyncio.Protocol):
    """One connection of a producer."""

    def __init__(self, disk: Disk) -> None:
        self.disk = disk
        self.body = b""
        self.gone = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Parse what it sends."""
        self.transport = typing.cast(asyncio.Transport, transport)
        self.parser = httptools.HttpRequestParser(self)

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is left to answer."""
        self.gone = True

    def data_received(self, data: bytes) -> None:
        """Hand on to the parser."""
        self.parser.feed_data(data)

    def on_body(self, body: bytes) -> None:
        """A piece of the body."""
        self.body += body

    def on_message_complete(self) -> None:
        """The request is complete."""
        body, self.body = self.body, b""
        self.disk.append((self, body))


async def serve(host: str, port: int, path: str, urls: list[str]) -> None:
    """Listen until killed."""
    targets = [Target(url) for url in urls]
    for target in targets:
        await target.connect()

    def committed(group: list[Event]) -> None:
        for producer, body in group:
            if not producer.gone:
                producer.transport.write(ACCEPTED)
            for target in targets:
                target.send(body)

    disk = Disk(path, committed)
    await asyncio.get_running_loop().create_server(lambda: Producer(disk), host, port)
    gc.freeze()
    await asyncio.Event().wait()


def main(listen: str, path: str, targets: list[str]) -> None:
    """Serve until killed."""
    host, _, port = listen.rpartition(":")
    uvloop.run(serve(host, int(port), path, targets))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3:])
