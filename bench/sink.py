"""The targets: one lean process that answers 204 on some ports, late on others, and on others takes all in silence.

It reads no more of a request than it must to find its end, so that it costs less than anything it is used to measure
(the note of a case says how busy it was). An event may carry the time it was due at the generator; the sink then keeps
its end-to-end latency: both processes read the same monotonic clock.

On its control port a line is a question: ``stats`` is answered with JSON, ``reset`` starts counting anew.

    python -m bench.sink CONTROL-PORT PORT SLOW-PORT HUNG-PORT --slow SLOW-PORT --hung HUNG-PORT
"""

import argparse
import asyncio
import gc
import json
import time
import typing

import uvloop

from bench.event import STAMP, STAMP_DIGITS

ANSWER = b"HTTP/1.1 204 No Content\r\n\r\n"
END = b"\r\n\r\n"
LENGTH = b"content-length:"
LARGE = 16 << 10  # bytes of a request from which on its body is counted instead of kept
BACKLOG = 1024  # connections that may wait: with fewer the kernel drops some, and who connects waits a second
SLOW = 0.5  # seconds that a slow port takes to answer


class Counts:
    """Deliveries at one port, and their latencies in seconds. *delay*: seconds until it answers; None: never."""

    def __init__(self, *, delay: float | None = 0.0) -> None:
        self.delay = delay
        self.reset()

    def reset(self) -> None:
        """Start counting anew."""
        self.deliveries = 0
        self.latencies: list[float] = []


class Target(asyncio.Protocol):
    """One connection to one port."""

    def __init__(self, counts: Counts) -> None:
        self.counts = counts
        self.rest = b""
        self.missing = 0  # bytes of a large body

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Remember where answers go."""
        self.transport = typing.cast(asyncio.Transport, transport)

    def data_received(self, data: bytes) -> None:
        """Answer each complete request."""
        if self.counts.delay is None:
            self.counts.deliveries += data.count(STAMP)
            return
        if self.missing:
            self.missing -= len(data)
            if self.missing > 0:
                return
            data = data[len(data) + self.missing :]
            self.missing = 0
            self._answer()
        data = self.rest + data if self.rest else data
        while (size := _size(data)) and len(data) >= size:
            events = self._look(data, size)
            data = data[size:]
            self._answer(events)
        if size > LARGE:
            self.missing, data = size - len(data), b""
        self.rest = data

    def _answer(self, events: int = 1) -> None:
        counts = self.counts
        counts.deliveries += events
        if counts.delay:
            asyncio.get_running_loop().call_later(counts.delay, self.transport.write, ANSWER)
        else:
            self.transport.write(ANSWER)

    def _look(self, data: bytes, size: int) -> int:
        """The events of the first request, of *size* bytes: one, whose latency is taken, or a batch of them."""
        start = data.index(END) + 4
        if not data.startswith(STAMP, start):
            return data.count(STAMP, start, size)
        start += len(STAMP)
        due = int(data[start : start + STAMP_DIGITS])
        if due:
            self.counts.latencies.append(time.monotonic() - due / 1e9)
        return 1


def _size(data: bytes) -> int:
    """Bytes of the first request in *data*; 0 while its head is not complete."""
    end = data.find(END)
    if end < 0:
        return 0
    head = data[:end].lower()
    at = head.index(LENGTH) + len(LENGTH)
    stop = head.find(b"\r", at)
    return end + 4 + int(head[at:] if stop < 0 else head[at:stop])


def stats(ports: list[Counts]) -> dict[str, object]:
    """Deliveries by port; the latencies of all ports that answer at once, sorted, in ms."""
    latencies = sorted(seconds * 1000 for counts in ports if counts.delay == 0 for seconds in counts.latencies)
    return {"deliveries": [counts.deliveries for counts in ports], "latencies": latencies}


async def serve(control: int, ports: dict[int, Counts]) -> None:
    """Listen until killed."""
    loop = asyncio.get_running_loop()

    async def asked(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if await reader.readline() == b"reset\n":
            for counts in ports.values():
                counts.reset()
        writer.write(json.dumps(stats(list(ports.values()))).encode())
        writer.close()

    for port, counts in ports.items():
        await loop.create_server(lambda counts=counts: Target(counts), "127.0.0.1", port, backlog=BACKLOG)  # type: ignore[misc]
    await asyncio.start_server(asked, "127.0.0.1", control)
    gc.freeze()
    await asyncio.Event().wait()


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("control", type=int)
    parser.add_argument("ports", type=int, nargs="+")
    parser.add_argument("--hung", type=int, action="append", default=[])
    parser.add_argument("--slow", type=int, action="append", default=[])
    said = parser.parse_args()
    delays = dict.fromkeys(said.slow, SLOW) | dict.fromkeys(said.hung)
    uvloop.run(serve(said.control, {port: Counts(delay=delays.get(port, 0.0)) for port in said.ports}))


if __name__ == "__main__":
    main()
