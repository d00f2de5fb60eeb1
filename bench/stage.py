"""One measurement's stage: three targets, a system in front of them, and a folder for what they write.

    with Stage(folder, hung=1) as stage, stage.ours() as system:
        ...

Both kinds of system get the same targets, cores and events. Ours is the real command with the real journal; each
starts anew for every run, with an empty data folder.
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

from bench.process import AROUND, UNDER_TEST, Child, command
from tests.harness.process import free_ports

READY: typing.Final = 20.0  # seconds
QUIET: typing.Final = 0.3  # seconds without a delivery after which nothing more is expected
DRAIN: typing.Final = 60.0  # seconds that deliveries may take after the load
_direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # a proxy of the environment is not for loopback

_ROUTE = """\
apiVersion: fanout.dev/v1alpha1
kind: FanoutRoute
metadata: {{name: orders, namespace: bench}}
spec:
  durability: {durability}
  targets:
{targets}
"""


class System(typing.NamedTuple):
    """A system under test that is ready."""

    process: Child
    url: str


class Stage:
    """Targets that run; *hung* of the three take everything and never answer."""

    def __init__(self, folder: pathlib.Path, *, hung: int = 0, targets: int = 3) -> None:
        self.folder = folder
        self.hung = hung
        self.control, self.listen, self.admin, *self.ports = free_ports(3 + targets)
        self.urls = [f"http://127.0.0.1:{port}/{name}" for port, name in zip(self.ports, "abcdefgh", strict=False)]

    def __enter__(self) -> typing.Self:
        hung = [flag for port in self.ports[: self.hung] for flag in ("--hung", str(port))]
        args = [*command("bench.sink"), str(self.control), *map(str, self.ports), *hung]
        with contextlib.ExitStack() as stack:
            self.sink = stack.enter_context(Child(args, self.folder / "sink.log", core=AROUND))
            _until(lambda: _listens(self.control), self.sink)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def deliveries(self) -> list[int]:
        """How many each target has got since the last reset."""
        return typing.cast(list[int], self._ask("stats")["deliveries"])

    def latencies(self) -> list[float]:
        """End-to-end latencies at the targets that answer, in ms, sorted."""
        return typing.cast(list[float], self._ask("stats")["latencies"])

    def reset(self) -> None:
        """Count anew."""
        self._ask("reset")

    def settle(self, least: int, most: float = math.inf) -> int:
        """Wait until every healthy target has got *least* events and nothing more comes; how many each got.

        More than *most* would be duplicates.
        """
        deadline = time.monotonic() + DRAIN
        last, since = self.deliveries(), time.monotonic()
        while time.monotonic() < deadline:
            time.sleep(QUIET / 3)
            now = self.deliveries()
            if now != last:
                last, since = now, time.monotonic()
            elif min(now[self.hung :]) >= least and time.monotonic() - since > QUIET:
                break
        healthy = set(last[self.hung :])
        if len(healthy) != 1 or not least <= min(healthy) <= most:
            raise RuntimeError(f"{least} events were accepted, and the targets got {last}")
        return healthy.pop()

    @contextlib.contextmanager
    def naive(self) -> Iterator[System]:
        """The reference."""
        args = [*command("bench.naive"), f"127.0.0.1:{self.listen}", *self.urls]
        with Child(args, self.folder / "naive.log", core=UNDER_TEST) as process:
            _until(lambda: _listens(self.listen), process)
            yield System(process, f"http://127.0.0.1:{self.listen}/orders")

    @contextlib.contextmanager
    def ours(self, durability: str = "Journal") -> Iterator[System]:
        """Fanout with default policies."""
        route = self.folder / "route.yaml"
        targets = "\n".join(f"    - {{name: t{number}, url: {url}}}" for number, url in enumerate(self.urls))
        route.write_text(_ROUTE.format(durability=durability, targets=targets), encoding="utf-8")
        fanout = str(pathlib.Path(sys.executable).with_name("fanout"))
        args = [fanout, "run", str(route), "--listen", f"127.0.0.1:{self.listen}", "--admin", f"127.0.0.1:{self.admin}"]
        args += ["--data", str(self.folder / "data"), "--allow-loopback", "--log-level", "warning"]
        with Child(args, self.folder / "fanout.log", core=UNDER_TEST) as process:
            _until(lambda: _ready(f"http://127.0.0.1:{self.admin}/readyz"), process)
            yield System(process, f"http://127.0.0.1:{self.listen}/bench/orders")

    def metrics(self) -> str:
        """Our metrics page."""
        with _direct.open(f"http://127.0.0.1:{self.admin}/metrics", timeout=5) as page:
            return str(page.read().decode())

    def _ask(self, question: str) -> dict[str, typing.Any]:
        with socket.create_connection(("127.0.0.1", self.control)) as line:
            line.sendall(question.encode() + b"\n")
            with line.makefile("rb") as answer:
                return typing.cast(dict[str, typing.Any], json.load(answer))


def _until(ready: Callable[[], bool], process: Child) -> None:
    deadline = time.monotonic() + READY
    while not ready():
        process.alive()
        if time.monotonic() > deadline:
            raise RuntimeError(f"not ready after {READY:.0f} s: {' '.join(process.args[:4])}")
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
