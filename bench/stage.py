"""One measurement's stage: targets, a system in front of them, and a folder for what they write.

    with Stage(folder, hung=1) as stage, stage.ours() as system:
        ...

All kinds of system get the same targets, cores and events. Ours is the real command with the real journal; each starts
anew for every run, with an empty data folder (a second ``ours`` on one stage finds what the first left).
"""

import contextlib
import json
import math
import pathlib
import socket
import sys
import time
import typing
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

from bench import manifests, nginx
from bench.page import Page, parse
from bench.process import AROUND, UNDER_TEST, Child, command
from tests.harness.process import free_ports

READY: typing.Final = 240.0  # seconds: 10,000 routes take 30 s of CPU to read and adopt
QUIET: typing.Final = 0.5  # seconds without a delivery after which nothing more is expected
DRAIN: typing.Final = 120.0  # seconds that deliveries may take after the load
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the environment is not for loopback


class System(typing.NamedTuple):
    """A system under test that is ready."""

    process: Child
    url: str
    metrics: Callable[[], Page] | None = None  # ours has a page


class Stage:
    """Targets that run. The first *hung* take everything and never answer, the *slow* ones after them answer late.

    *under* is a command that runs ours and watches it (valgrind).
    """

    def __init__(
        self, folder: pathlib.Path, *, targets: int = 3, hung: int = 0, slow: int = 0, under: tuple[str, ...] = ()
    ) -> None:
        self.folder = folder
        self.under = under
        self.control, self.listen, self.admin, *self.ports = free_ports(3 + targets)
        self.urls = [f"http://127.0.0.1:{port}/t{number}" for number, port in enumerate(self.ports)]
        self.ailing = hung + slow
        self.flags = [flag for port in self.ports[:hung] for flag in ("--hung", str(port))]
        self.flags += [flag for port in self.ports[hung : self.ailing] for flag in ("--slow", str(port))]

    def __enter__(self) -> typing.Self:
        args = [*command("bench.sink"), str(self.control), *map(str, self.ports), *self.flags]
        with contextlib.ExitStack() as stack:
            self.sink = stack.enter_context(Child(args, self.folder / "sink.log", core=AROUND))
            until(lambda: _listens(self.control), self.sink)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def deliveries(self) -> list[int]:
        """How many each target has got since the last reset."""
        return typing.cast(list[int], self._ask("stats")["deliveries"])

    def latencies(self) -> list[float]:
        """End-to-end latencies at the healthy targets, in ms, sorted."""
        return typing.cast(list[float], self._ask("stats")["latencies"])

    def reset(self) -> None:
        """Count anew."""
        self._ask("reset")

    def settle(self, least: int, most: float = math.inf) -> int:
        """Wait until every healthy target has got *least* events and nothing more comes; how many each got.

        More than *most* would be duplicates.
        """
        deadline = time.monotonic() + DRAIN
        last, since = self.deliveries()[self.ailing :], time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(QUIET / 3)
            now = self.deliveries()[self.ailing :]
            if now != last:
                last, since = now, time.monotonic()
            elif len(set(now)) == 1 and now[0] >= least and time.monotonic() - since > QUIET:
                break
        if len(set(last)) != 1 or not least <= min(last) <= most:
            raise RuntimeError(f"{least} events were accepted, and the targets got {last}")
        return last[0]

    @contextlib.contextmanager
    def naive(self) -> Iterator[System]:
        """The reference."""
        args = [*command("bench.naive"), f"127.0.0.1:{self.listen}", *self.urls]
        with Child(args, self.folder / "naive.log", core=UNDER_TEST) as process:
            until(lambda: _listens(self.listen), process)
            yield System(process, f"http://127.0.0.1:{self.listen}/orders")

    @contextlib.contextmanager
    def floor(self) -> Iterator[System]:
        """What no durable fan-out can do without."""
        args = [*command("bench.floor"), f"127.0.0.1:{self.listen}", str(self.folder / "floor"), *self.urls]
        with Child(args, self.folder / "floor.log", core=UNDER_TEST) as process:
            until(lambda: _listens(self.listen), process)
            yield System(process, f"http://127.0.0.1:{self.listen}/orders")

    @contextlib.contextmanager
    def nginx(self) -> Iterator[System]:
        """The reference in C."""
        args = nginx.command(self.folder, self.listen, self.urls)
        with Child(args, self.folder / "nginx.log", core=UNDER_TEST) as process:
            until(lambda: _listens(self.listen), process)
            yield System(process, f"http://127.0.0.1:{self.listen}/orders")

    @contextlib.contextmanager
    def ours(
        self,
        durability: str = "Journal",
        *,
        workers: int = 0,
        mode: str = "Accepted",
        timeout: str | None = None,
        when: str | None = None,
    ) -> Iterator[System]:
        """Fanout with default policies. *workers*: that many processes, on all cores; 0: the plain command, on one.

        *mode*: whether who posts is answered at once, or waits for all targets (Settled), up to *timeout*. *when* is
        the filter of each target.
        """
        route = manifests.route(self.urls, durability=durability, mode=mode, timeout=timeout, when=when)
        manifest = manifests.write(self.folder / "route.yaml", route)
        flags = ["--workers", str(workers)] if workers else []
        with self.running(manifest, *flags, core=None if workers else UNDER_TEST) as system:
            yield system

    @contextlib.contextmanager
    def running(
        self, manifest: pathlib.Path, *flags: str, name: str = manifests.NAME, core: int | None = UNDER_TEST
    ) -> Iterator[System]:
        """`fanout run` on *manifest*; the system's URL is that of the route *name*."""
        fanout = str(pathlib.Path(sys.executable).with_name("fanout"))
        ports = ["--listen", f"127.0.0.1:{self.listen}", "--admin", f"127.0.0.1:{self.admin}"]
        args = [*self.under, sys.executable, fanout, "run", str(manifest), *ports, "--data", str(self.folder / "data")]
        args += ["--allow-loopback", "--log-level", "warning", *flags]
        with Child(args, self.folder / "fanout.log", core=core) as process:
            until(lambda: _ready(f"http://127.0.0.1:{self.admin}/readyz"), process)
            yield System(process, f"http://127.0.0.1:{self.listen}/{manifests.NAMESPACE}/{name}", self.metrics)

    def metrics(self) -> Page:
        """Our metrics page."""
        with _direct.open(f"http://127.0.0.1:{self.admin}/metrics", timeout=30) as page:
            return parse(page.read().decode())

    def _ask(self, question: str) -> dict[str, typing.Any]:
        with socket.create_connection(("127.0.0.1", self.control)) as line:
            line.sendall(question.encode() + b"\n")
            with line.makefile("rb") as answer:
                return typing.cast(dict[str, typing.Any], json.load(answer))


def until(ready: Callable[[], bool], process: Child, patience: float = READY) -> None:
    """Wait until *ready*. Raises RuntimeError when *process* ends or *patience* does."""
    deadline = time.monotonic() + patience
    while not ready():
        process.alive()
        if time.monotonic() > deadline:
            raise RuntimeError(f"not ready after {patience:.0f} s: {' '.join(process.args[:4])}")
        time.sleep(0.02)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _ready(url: str) -> bool:
    try:
        with _direct.open(url, timeout=1) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False
