"""A dispatcher as a real process, started by the real command, and a producer that posts to it."""

import asyncio
import contextlib
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

    async def start(self) -> None:
        """Start it and wait until it is ready."""
        (self.data / "running.json").unlink(missing_ok=True)
        self.child = spawn(self.command, self.log, dict(os.environ))
        async with asyncio.timeout(READY), httpx.AsyncClient(trust_env=False) as client:
            while not await self._ready(client):
                assert self.child.poll() is None, tail(self.log)
                await asyncio.sleep(PAUSE)

    async def _ready(self, client: httpx.AsyncClient) -> bool:
        running = read(self.data)
        if running is None:
            return False
        self.listen, self.admin = running.listen, running.admin
        try:
            return (await client.get(f"{self.admin}/readyz")).status_code == 200
        except httpx.HTTPError:
            return False

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
    """Posts numbered events over one connection at a time and keeps what was answered 202."""

    def __init__(self, url: str, prefix: str) -> None:
        host, _, rest = url.removeprefix("http://").partition(":")
        port, _, self.path = rest.partition("/")
        self.host, self.port = host, int(port)
        self.prefix = prefix
        self.posted = 0
        self.accepted: dict[str, str] = {}  # event id -> receipt
        self.refused: dict[int, int] = {}

    async def run(self) -> None:
        """Post until the connection breaks or this is cancelled."""
        reader, writer = await asyncio.open_connection(self.host, self.port)
        try:
            while True:
                await self._post(reader, writer)
        except (OSError, EOFError):
            return
        finally:
            writer.close()
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _post(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.posted += 1
        ident = f"{self.prefix}-{self.posted}"
        body = b'{"n": %d}' % self.posted
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
        if status == 202:
            self.accepted[ident] = answer.decode()
        else:
            self.refused[status] = self.refused.get(status, 0) + 1
