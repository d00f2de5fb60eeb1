"""What was measured on: a figure without its machine is hearsay."""

import importlib.metadata
import os
import pathlib
import platform
import statistics
import time

from bench.load import CLOSED_LOOP
from bench.process import AROUND, CORES, UNDER_TEST

FSYNCS = 50


def facts(folder: pathlib.Path) -> dict[str, object]:
    """The machine, its disk under *folder*, versions, and who else was busy."""
    return {
        "cpu": _cpu(),
        "cores": len(CORES),
        "under_test_on_core": UNDER_TEST,
        "generator_and_sinks_on_core": AROUND,
        "kernel": platform.release(),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in ("aiohttp", "uvloop", "httptools", "apsw")},
        "closed_loop": CLOSED_LOOP,
        "tcp": pathlib.Path("/proc/sys/net/ipv4/tcp_congestion_control").read_text(encoding="ascii").strip(),
        "fsync_ms": _fsync(folder),
        "load_average_before": os.getloadavg()[0],
    }


def _cpu() -> str:
    lines = pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


def _fsync(folder: pathlib.Path) -> float:
    """Median time of an fsync after 4 KiB, in ms."""
    path = folder / "fsync"
    taken = []
    with path.open("wb", buffering=0) as file:
        for _ in range(FSYNCS):
            file.write(bytes(4096))
            begun = time.monotonic()
            os.fsync(file.fileno())
            taken.append((time.monotonic() - begun) * 1000)
    path.unlink()
    return round(statistics.median(taken), 3)
