"""What becomes of a dispatcher whose log nobody takes: nothing. It delivers on, and SIGTERM ends it as ever."""

import asyncio
import json
import os
import typing

import pytest

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Process

MANY = 900  # events that die: their lines are more than a pipe holds


def into(process: Process, stderr: str) -> Process:
    """The same command, with *stderr* as its shell redirection."""
    process.command = ["/bin/bash", "-c", f'exec "$@" {stderr}', "fanout", *process.command]
    return process


async def post(bench: Bench, process: Process, count: int) -> list[int]:
    """The statuses of *count* posts."""
    url = f"{process.listen}/shop/order-placed"
    return [(await bench.client.post(url, content=b"x")).status_code for _ in range(count)]


@pytest.mark.parametrize("stderr", ["2>/dev/full", "2> >(head -1 >/dev/null)", "2>&-"])
async def test_a_log_that_cannot_be_written_costs_no_delivery_and_no_clean_exit(bench: Bench, stderr: str) -> None:
    good, bad = await bench.target("good"), await bench.target("bad")
    bad.status = 503
    bench.route(good, {"name": "bad", "url": bad.url, "policy": {"circuitBreaker": {"consecutiveFailures": 2}}})
    process = into(bench.dispatcher(), stderr)
    await process.start()

    statuses = await post(bench, process, 20)  # the circuit of bad opens, and that is a line

    async def arrived() -> bool:
        return len(good.got) == 20

    await eventually(arrived)
    assert statuses == [202] * 20
    assert await asyncio.to_thread(process.stop) == 0


async def test_a_pipe_that_nobody_reads_stops_nothing(bench: Bench) -> None:
    good, bad = await bench.target("good"), await bench.target("bad")
    bad.status = 422  # every event dies at once, and each death is a line
    bench.route(good, bad)
    fifo = bench.folder / "stderr"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    process = into(bench.dispatcher(), f"2>{fifo}")
    await process.start()

    statuses = await post(bench, process, MANY)

    async def arrived() -> bool:
        return len(good.got) == len(bad.got) == MANY

    await eventually(arrived)
    ready = await bench.client.get(f"{process.admin}/readyz")
    code = await asyncio.to_thread(process.stop)
    lines = piped(reading)
    assert statuses == [202] * MANY
    assert (ready.status_code, code) == (200, 0)
    assert 0 < len([line for line in lines if line["event"] == "delivery.dead"]) < MANY, "the pipe was full"


async def test_what_was_said_last_is_written_before_the_process_ends(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    process = await bench.started()

    code = process.stop()

    said = [json.loads(line)["event"] for line in process.log.read_text().splitlines()]
    assert (code, said[-1]) == (0, "dispatcher.stopped")


def piped(reading: int) -> list[dict[str, typing.Any]]:
    """The whole lines that a pipe holds."""
    with os.fdopen(reading, "rb") as pipe:
        return [json.loads(line) for line in pipe.read().splitlines()[:-1]]  # the last one is cut
