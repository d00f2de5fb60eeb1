"""A dispatcher as a real process, started by the real command, and a producer that posts to it."""

import asyncio
import contextlib
import json
import os
import pathlib
import signal
import subprocess
import sys
import typing

import httpx

from fanout_dispatcher.state import read
from tests.harness.process import end, spawn, tail

READY = 20.0  # seconds
PAUSE = 0.02


class Process:
    """``fanout run`` on *manifest* and *data*, listening on free ports."""

    def __init__(self, folder: pathlib.Path, manifest: pathlib.Path, *flags: str) -> None:
        self.data = folder / "data"
        self.log = folder / "dispatcher.log"
        self.command = [
            str(pathlib.Path(sys.executable).with_name("fanout")),
            *("run", str(manifest), "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"),
            *("--data", str(self.data), "--allow-loopback", *flags),
        ]
        self.child: subprocess.Popen[bytes] | None = None
        self.listen = ""
        self.admin = ""

    async def start(self, patience: float = READY) -> None:
        """Start it and wait until it is ready."""
        self.child = spawn(self.command, self.log, dict(os.environ))
        async with asyncio.timeout(patience), httpx.AsyncClient(trust_env=False) as client:
            while not await self._ready(client):
                assert self.child.poll() is None, tail(self.log)
                await asyncio.sleep(PAUSE)

    async def _ready(self, client: httpx.AsyncClient) -> bool:
        running = read(self.data)
        if running is None or self.child is None or running.pid != self.child.pid:
            return False
        self.listen, self.admin = running.listen, running.admin
        try:
            return (await client.get(f"{self.admin}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

    def signal(self, number: signal.Signals) -> None:
        """Send it a signal."""
        assert self.child is not None
        self.child.send_signal(number)

    def memory(self, what: str = "VmHWM") -> float:
        """Its memory in MB: the most it ever held (``VmHWM``), or what it holds now (``VmRSS``)."""
        assert self.child is not None
        status = pathlib.Path(f"/proc/{self.child.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith(what)).split()[1]) / 1000

    def said(self, word: str) -> list[dict[str, typing.Any]]:
        """Its log lines of one event, over all its lives, without one that is only partly written yet."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if line["event"] == word]

    def kill(self) -> None:
        """End it by kill -9."""
        assert self.child is not None
        self.child.send_signal(signal.SIGKILL)
        self.child.wait()

    def stop(self, patience: float = 20.0) -> int:
        """SIGTERM; the exit code."""
        assert self.child is not None
        end(self.child, patience)
        return typing.cast(int, self.child.returncode)


class Producer:
    """Posts numbered events over one connection, one after the other, and keeps how each was answered.

    *size* is how many bytes of padding a body has, *pause* how many seconds lie between an answer and the next post.
    """

    def __init__(self, url: str, prefix: str, size: int = 0, pause: float = 0.0) -> None:
        host, _, rest = url.removeprefix("http://").partition(":")
        port, _, self.path = rest.partition("/")
        self.host, self.port = host, int(port)
        self.prefix = prefix
        self.padding = b"x" * size
        self.pause = pause
        self.over = False
        self.posted: dict[str, float] = {}  # event id -> when (loop time)
        self.accepted: dict[str, str] = {}  # event id -> receipt
        self.answers: list[tuple[int, float]] = []  # status and seconds, in order

    async def run(self) -> None:
        """Post until told that it is over, but once at least, or until the connection breaks.

        Once at least: on a busy machine the connection may come later than the word that it is over.
        """
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_connection(self.host, self.port)
            await self._post(reader, writer)
            while not self.over:
                if self.pause:
                    await asyncio.sleep(self.pause)
                await self._post(reader, writer)
        except (OSError, EOFError):
            return
        finally:
            if writer is not None:
                writer.close()
                with contextlib.suppress(OSError):
                    await writer.wait_closed()

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        number = len(self.posted) + 1
        ident = f"{self.prefix}-{number}"
        body = b'{"n": %d, "x": "%b"}' % (number, self.padding)
        self.posted[ident] = begun = loop.time()
        writer.write(
            f"POST /{self.path} HTTP/1.1\r\nhost: {self.host}\r\nce-specversion: 1.0\r\nce-id: {ident}\r\n"
            f"ce-source: /faults\r\nce-type: test\r\ncontent-type: application/json\r\n"
            f"content-length: {len(body)}\r\n\r\n".encode()
            + body
        )
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        answer = await reader.readexactly(length)
        status = int(head[9:12])
        self.answers.append((status, loop.time() - begun))
        if status == 202:
            self.accepted[ident] = json.loads(answer)["receipt"]


class Load:
    """Producers that post to one route at once."""

    def __init__(
        self,
        process: Process,
        prefix: object,
        *,
        path: str = "shop/order-placed",
        connections: int = 8,
        size: int = 0,
        pause: float = 0.0,
    ) -> None:
        url = f"{process.listen}/{path}"
        self.producers = [Producer(url, f"{prefix}.{n}", size, pause) for n in range(connections)]
        self.tasks: list[asyncio.Task[None]] = []

    def start(self) -> "Load":
        """Post from now on."""
        self.tasks = [asyncio.create_task(one.run()) for one in self.producers]
        return self

    async def last(self, seconds: float) -> "Load":
        """Post for *seconds* and wait for the last answers."""
        self.start()
        await asyncio.sleep(seconds)
        return await self.stop()

    async def stop(self) -> "Load":
        """Post no more, and wait for the last answers or for the ends of the connections."""
        for one in self.producers:
            one.over = True
        await asyncio.gather(*self.tasks)
        return self

    @property
    def accepted(self) -> dict[str, str]:
        """Event id -> receipt, of what was answered 202."""
        return {ident: receipt for one in self.producers for ident, receipt in one.accepted.items()}

    @property
    def posted(self) -> dict[str, float]:
        """Event id -> when it was posted (loop time)."""
        return {ident: at for one in self.producers for ident, at in one.posted.items()}

    def seconds(self, *statuses: int) -> list[float]:
        """How long the answers with these statuses took, sorted; without a status, all."""
        answers = [answer for one in self.producers for answer in one.answers]
        return sorted(took for status, took in answers if not statuses or status in statuses)
