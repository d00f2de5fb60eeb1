"""Processes of a measurement: each pinned to a core, its CPU read from /proc, and ended by its id whatever happens.

The system under test has a core to itself; generator and targets share the other one. A machine with one core measures
too, only not as well: main.py says which it was.
"""

import os
import pathlib
import subprocess
import sys
import time
import typing

from tests.harness.process import end, spawn, tail

ROOT: typing.Final = pathlib.Path(__file__).parent.parent
TICKS: typing.Final = os.sysconf("SC_CLK_TCK")
CORES: typing.Final = sorted(os.sched_getaffinity(0))
UNDER_TEST: typing.Final = CORES[0]
AROUND: typing.Final = CORES[-1]
POLL: typing.Final = 0.02  # seconds


def command(module: str) -> list[str]:
    """Run *module* of this checkout with the Python that runs us."""
    return [sys.executable, "-m", module]


class Child:
    """A process on *core*, from ``with`` to its end. ``cpu`` is complete after ``wait`` or the end of ``with``."""

    def __init__(self, args: list[str], log: pathlib.Path, *, core: int) -> None:
        self.args = args
        self.log = log
        self.core = core
        self.cpu = 0.0

    def __enter__(self) -> typing.Self:
        self.log.unlink(missing_ok=True)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.core})
        try:
            env = {**os.environ, "PYTHONPATH": str(ROOT)}
            self.process: subprocess.Popen[bytes] = spawn(self.args, self.log, env)
        finally:
            os.sched_setaffinity(0, before)
        return self

    def __exit__(self, *_: object) -> None:
        if self.process.returncode is None:
            self.cpu = self.seconds()
        end(self.process)

    def seconds(self) -> float:
        """User and system time up to now, of all its threads."""
        stat = pathlib.Path(f"/proc/{self.process.pid}/stat").read_text(encoding="ascii")
        fields = stat.rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    def peak(self) -> float:
        """The most memory it ever held, in MB."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status").read_text(encoding="ascii")
        return int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1]) / 1000

    def wait(self, patience: float) -> None:
        """Wait until it ends by itself. Raises RuntimeError with the tail of its log when it fails."""
        deadline = time.monotonic() + patience
        while os.waitid(os.P_PID, self.process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
            if time.monotonic() > deadline:
                raise RuntimeError(f"not done after {patience:.0f} s: {' '.join(self.args[:4])}")
            time.sleep(POLL)
        self.cpu = self.seconds()  # not reaped yet, so that its figures are still there
        code = self.process.wait()
        if code:
            raise RuntimeError(f"{' '.join(self.args[:4])} ended with {code}:\n{tail(self.log)}")

    def alive(self) -> None:
        """Raises RuntimeError with the tail of its log when it has ended."""
        if self.process.poll() is not None:
            raise RuntimeError(f"{' '.join(self.args[:4])} has ended:\n{tail(self.log)}")
