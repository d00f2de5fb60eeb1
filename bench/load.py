"""Load on a system: a closed loop by wrk where it is installed, else by our own generator; a fixed rate by ours."""

import json
import pathlib
import re
import shutil
import time

import msgspec

from bench.event import SIZE, body
from bench.process import Child, command

CONNECTIONS = 64
PATIENCE = 30  # seconds that a request may take before wrk calls it an error
WRK = shutil.which("wrk")
CLOSED_LOOP = f"wrk ({WRK})" if WRK else "our own generator (wrk is not installed)"

_SCRIPT = """wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = [==[{body}]==]
"""
_KEYED = """local sent = 0
request = function()
  sent = sent + 1
  wrk.headers["Idempotency-Key"] = "{run}-" .. sent
  return wrk.format()
end
"""


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """What the generator saw: requests answered 202 or 200, all others, latencies (ms, sorted; empty with wrk)."""

    accepted: int
    other: int
    latencies: list[float]
    waits: list[float]  # the same from when each was really sent, which the generator's own lateness is not in
    cpu: float  # seconds that the generator took


def closed(
    url: str, seconds: float, *, folder: pathlib.Path, core: int, size: int = SIZE, keyed: bool = False
) -> Asked:
    """64 connections, the next request as soon as the last is answered; *keyed*: each with a key that no other has."""
    if WRK is None:
        args = ["--seconds", str(seconds), "--size", str(size), *(["--keyed"] if keyed else [])]
        return _generator(url, args, folder=folder, core=core)
    script = folder / "post.lua"
    keys = _KEYED.format(run=time.monotonic_ns()) if keyed else ""
    script.write_text(_SCRIPT.format(body=body(size=size).decode()) + keys, encoding="utf-8")
    lasting = f"-d{max(1, round(seconds))}s"
    args = [WRK, "-t1", f"-c{CONNECTIONS}", lasting, "--timeout", f"{PATIENCE}s", "-s", str(script), url]
    with Child(args, folder / "wrk.log", core=core) as wrk:
        wrk.wait(seconds + PATIENCE)
        said = wrk.log.read_text(encoding="utf-8")
    found = re.search(r"(\d+) requests in", said)
    if found is None or "Socket errors" in said:
        raise RuntimeError(f"wrk did not run as it should:\n{said}")
    refused = re.search(r"Non-2xx or 3xx responses: (\d+)", said)
    other = int(refused[1]) if refused else 0
    return Asked(accepted=int(found[1]) - other, other=other, latencies=[], waits=[], cpu=wrk.cpu)


def fixed(url: str, rate: float, seconds: float, *, folder: pathlib.Path, core: int) -> Asked:
    """*rate* requests per second, due at equal distances."""
    return _generator(url, ["--rate", str(rate), "--seconds", str(seconds)], folder=folder, core=core)


def counted(url: str, count: int, *, folder: pathlib.Path, core: int) -> Asked:
    """*count* requests over 64 connections, the next as soon as the last is answered, within five minutes."""
    return _generator(url, ["--count", str(count), "--seconds", "290"], folder=folder, core=core, patience=300)


def _generator(url: str, args: list[str], *, folder: pathlib.Path, core: int, patience: float = 120) -> Asked:
    args = [*command("bench.generator"), url, "--connections", str(CONNECTIONS), *args]
    with Child(args, folder / "generator.log", core=core) as generator:
        generator.wait(patience)
        said = json.loads(generator.log.read_text(encoding="utf-8").splitlines()[-1])
    statuses = said["statuses"]
    accepted = statuses.pop("202", 0) + statuses.pop("200", 0)  # 200: it waited for its targets
    latencies, waits = said["latencies"], said["waits"]
    return Asked(accepted=accepted, other=sum(statuses.values()), latencies=latencies, waits=waits, cpu=generator.cpu)
