"""Our own load generator: a process with many keep-alive connections, one request at a time on each.

*Closed loop* (rate 0): the next request goes as soon as the last one is answered; for machines without wrk, and where
so many requests are to be sent (``--count``), however long they take.
*Fixed rate*: requests are due at equal distances whatever the system does. One that is due while every connection is
busy waits for one, and its latency counts from when it was due: a slow system cannot slow the questions down and look
better for it. Prints one line of JSON.

    python -m bench.generator http://127.0.0.1:8080/shop/orders --rate 200 --seconds 4
"""

import argparse
import asyncio
import collections
import gc
import json
import time
import typing
import urllib.parse

import uvloop

from bench.event import SIZE, body, request

GRACE: typing.Final = 10.0  # seconds that answers may take after the last request
TICK: typing.Final = 0.001


class Connection(asyncio.Protocol):
    """One connection; *done* is told the status of each answer."""

    def __init__(self, done: typing.Callable[["Connection", int], None]) -> None:
        self.done = done
        self.rest = b""
        self.due = 0
        self.asked = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where requests go."""
        self.transport = typing.cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Take an answer as complete when its body is."""
        self.rest += data
        end = self.rest.find(b"\r\n\r\n")
        if end < 0:
            return
        head = self.rest[:end].lower()
        at = head.find(b"content-length:")
        length = int(head[at + 15 :].split(b"\r", 1)[0]) if at >= 0 else 0
        if len(self.rest) >= end + 4 + length:
            self.rest = b""
            self.done(self, int(head[9:12]))


class Load:
    """What is asked and what came of it."""

    def __init__(
        self, url: str, *, rate: float, seconds: float, count: int = 0, size: int = SIZE, keyed: bool = False
    ) -> None:
        parts = urllib.parse.urlsplit(url)
        self.host, self.port = parts.hostname or "", parts.port or 80
        self.path, self.netloc = parts.path, parts.netloc
        self.head = request(self.path, self.netloc, size)
        self.size = size
        self.keyed = keyed
        self.rate = rate
        self.total = int(rate * seconds) if rate else count or None
        self.seconds = seconds
        self.free: collections.deque[Connection] = collections.deque()
        self.waiting: collections.deque[int] = collections.deque()
        self.sent = 0
        self.statuses: collections.Counter[int] = collections.Counter()
        self.latencies: list[float] = []
        self.waits: list[float] = []
        self.idle = asyncio.Event()

    async def run(self, connections: int) -> None:
        """Connect, ask, and wait for the last answer."""
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, connection = await loop.create_connection(lambda: Connection(self._answered), self.host, self.port)
            self.free.append(connection)
        gc.freeze()
        self.begun = time.monotonic_ns()
        if self.rate:
            await self._fixed()
        else:
            self._until = self.begun + int(self.seconds * 1e9)
            while self.free and self.sent != self.total:
                self._ask(self.free.popleft(), time.monotonic_ns())
        await asyncio.wait_for(self.idle.wait(), self.seconds + GRACE)

    async def _fixed(self) -> None:
        assert self.total is not None
        apart = 1e9 / self.rate
        number = 0
        while number < self.total:
            now = time.monotonic_ns()
            while number < self.total and (due := self.begun + int(number * apart)) <= now:
                number += 1
                if self.free:
                    self._ask(self.free.popleft(), due)
                else:
                    self.waiting.append(due)
            await asyncio.sleep(TICK)

    def _ask(self, connection: Connection, due: int) -> None:
        connection.due = due
        self.sent += 1
        connection.asked = time.monotonic_ns()
        head = self.head
        if self.keyed:
            head = request(self.path, self.netloc, self.size, key=f"{self.begun}-{self.sent}")
        connection.transport.write(head + body(due, self.size))

    def _answered(self, connection: Connection, status: int) -> None:
        now = time.monotonic_ns()
        self.statuses[status] += 1
        self.latencies.append((now - connection.due) / 1e6)
        self.waits.append((now - connection.asked) / 1e6)
        if self.waiting:
            self._ask(connection, self.waiting.popleft())
        elif not self.rate and (now < self._until if self.total is None else self.sent < self.total):
            self._ask(connection, now)
        else:
            self.free.append(connection)
            if len(self.latencies) == (self.total or self.sent):
                self.idle.set()


def main() -> None:
    """Read the command line, run, print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=0.0)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--count", type=int, default=0, help="so many requests, within --seconds")
    parser.add_argument("--connections", type=int, default=64)
    parser.add_argument("--size", type=int, default=SIZE)
    parser.add_argument("--keyed", action="store_true", help="each request has an Idempotency-Key of its own")
    said = parser.parse_args()

    async def run() -> Load:
        size, keyed = said.size, said.keyed
        load = Load(said.url, rate=said.rate, seconds=said.seconds, count=said.count, size=size, keyed=keyed)
        await load.run(said.connections)
        return load

    load = uvloop.run(run())
    said_of = {"statuses": load.statuses, "latencies": sorted(load.latencies), "waits": sorted(load.waits)}
    print(json.dumps(said_of))


if __name__ == "__main__":
    main()
