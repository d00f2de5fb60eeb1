"""Programs of this checkout as real processes, tied to the demo: however it ends, they end with it.

Their output goes to files in the demo's temporary folder; when one does not do what it should, its last lines are what
the error shows.
"""

import asyncio
import signal
import subprocess
import sys
import typing
from collections.abc import Mapping
from pathlib import Path

import httpx

from demo.errors import Unproven
from tests.harness.process import end, spawn, tail

SCRIPTS: typing.Final = Path(sys.executable).parent  # not resolved: the virtual environment's own
PATIENCE: typing.Final = 20.0  # seconds


class Program:
    """One of our programs: started, asked whether it is ready, killed, stopped."""

    def __init__(self, command: list[str], log: Path, ready: str | None = None) -> None:
        self.command = command
        self._log = log
        self._ready = ready
        self._process: subprocess.Popen[bytes] | None = None

    def __repr__(self) -> str:
        return f"<Program {self.line()} {'runs' if self._process else 'ended'}>"

    def line(self) -> str:
        """Give its command line for people."""
        return " ".join(self.command)

    async def start(self, env: Mapping[str, str] | None = None) -> None:
        """Start it, and come back when it says that it is ready."""
        self._process = spawn([str(SCRIPTS / self.command[0]), *self.command[1:]], self._log, env)
        if self._ready is None:
            return
        async with httpx.AsyncClient(trust_env=False) as http:
            try:
                async with asyncio.timeout(PATIENCE):
                    while not await self._says_ready(http, self._ready):  # noqa: ASYNC110 (another process's state)
                        await asyncio.sleep(0.02)
            except TimeoutError:
                raise Unproven(f"{self.command[0]} was not ready in {PATIENCE:.0f} s:\n{tail(self._log)}") from None

    async def _says_ready(self, http: httpx.AsyncClient, url: str) -> bool:
        if self._process is None or self._process.poll() is not None:
            raise Unproven(f"{self.command[0]} ended by itself:\n{tail(self._log)}")
        try:
            return (await http.get(url)).is_success
        except httpx.TransportError:
            return False

    def kill(self) -> int:
        """Kill -9; gives its exit status as the kernel tells it."""
        assert self._process is not None, f"{self!r} does not run"
        self._process.send_signal(signal.SIGKILL)
        status, self._process = self._process.wait(), None
        return status

    def stop(self) -> int:
        """SIGTERM, and wait; gives its exit status (-9 when it had to be killed after all)."""
        if self._process is None:
            return 0
        end(self._process, PATIENCE)
        status, self._process = self._process.returncode, None
        return status


def run(*command: str, env: Mapping[str, str]) -> str:
    """Run one of our commands to its end and give what it wrote, both streams."""
    done = subprocess.run(
        [str(SCRIPTS / command[0]), *command[1:]],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=dict(env),
        timeout=PATIENCE,
        check=False,
    )
    if done.returncode:
        raise Unproven(f"{' '.join(command)}: exit {done.returncode}: {done.stdout.strip()}")
    return done.stdout.rstrip()
