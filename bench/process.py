"""Processes of a measurement: each pinned to a core, its CPU read from /proc, and ended by its id whatever happens.

The system under test has a core to itself; generator and targets share the other one. A machine with one core measures
too, only not as well: main.py says which it was. A process counts with its children: workers are part of a system.
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
    """A process on *core* (None: all), from ``with`` to its end. ``cpu`` is complete after ``wait`` or at the end."""

    def __init__(self, args: list[str], log: pathlib.Path, *, core: int | None) -> None:
        self.args = args
        self.log = log
        self.core = core
        self.cpu = 0.0

    def __enter__(self) -> typing.Self:
        self.log.unlink(missing_ok=True)
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, CORES if self.core is None else {self.core})
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
        """User and system time up to now, of all its threads and of its children."""
        return sum(spent(pid) for pid in self.family())

    def family(self) -> list[int]:
        """Its id and those of its children, workers for instance."""
        family = [self.process.pid]
        for pid in family:
            told = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii")
            family += map(int, told.split())
        return family

    def threads(self) -> dict[int, float]:
        """User and system time of each of its threads, by the kernel's id."""
        tasks = pathlib.Path(f"/proc/{self.process.pid}/task").iterdir()
        return {int(task.name): _seconds(task) for task in tasks}

    def peak(self) -> float:
        """The most memory it ever held, in MB."""
        return sum(most_held(pid) for pid in self.family())

    def resident(self) -> float:
        """The memory it holds now, in MB."""
        return sum(_memory(pid, "VmRSS") for pid in self.family())

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


def busy() -> float:
    """Seconds that all cores together have worked for anybody since the machine started."""
    fields = pathlib.Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()
    user, nice, system, _idle, _iowait, irq, softirq = map(int, fields[1:8])
    return (user + nice + system + irq + softirq) / TICKS


def spent(pid: int) -> float:
    """User and system time of one process, of all its threads."""
    return _seconds(pathlib.Path(f"/proc/{pid}"))


def all_spent() -> float:
    """User and system time of this process and of all that it has started and that still runs."""
    family = [os.getpid()]
    for pid in family:
        for told in pathlib.Path(f"/proc/{pid}/task").glob("*/children"):
            family += map(int, told.read_text(encoding="ascii").split())
    return sum(map(spent, family))


def most_held(pid: int) -> float:
    """The most memory that one process ever held, in MB."""
    return _memory(pid, "VmHWM")


def _seconds(task: pathlib.Path) -> float:
    stat = (task / "stat").read_text(encoding="ascii")
    fields = stat.rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def _memory(pid: int, field: str) -> float:
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")
    return int(next(line for line in status.splitlines() if line.startswith(field)).split()[1]) / 1000
