"""Idle clients hold no more file descriptors than their share: targets and the journal have theirs."""

import asyncio
import pathlib

from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually, view
from tests.support.dispatcher import Process

FEW = 128  # descriptors that the process may have
MANY = 300  # clients that want one each


def within(process: Process, limit: str) -> Process:
    """The same command, below *limit*, an argument of ulimit."""
    process.command = ["/bin/bash", "-c", f'ulimit {limit}; exec "$@"', "fanout", *process.command]
    return process


async def test_idle_clients_take_nothing_that_a_target_needs(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route({"name": "a", "url": a.url, "policy": {"retry": {"maxAttempts": 1}}})
    process = within(bench.dispatcher(), f"-n {FEW}")
    await process.start()
    host, _, port = process.listen.removeprefix("http://").partition(":")
    await bench.client.get(f"{process.listen}/-/events/none")  # a connection that stays
    crowd = await asyncio.gather(*(asyncio.open_connection(host, int(port)) for _ in range(MANY)))

    receipts = []
    for _ in range(10):
        answer = await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")
        receipts.append(answer.json()["receipt"])

    async def arrived() -> bool:
        return len(a.got) == 10

    await eventually(arrived)

    async def settled() -> bool:
        return all([(await view(bench, process, one))["a"]["state"] == "Delivered" for one in receipts])

    await eventually(settled)
    still_there = [reader for reader, _ in crowd if not reader.at_eof()]
    for _, writer in crowd:
        writer.close()
    assert still_there, "they had not been sent away yet for saying nothing"
    assert len({got.event for got in a.got}) == 10
    assert await asyncio.to_thread(process.stop) == 0


async def test_the_soft_limit_is_raised_to_the_hard_one(bench: Bench) -> None:
    bench.route(await bench.target("a"))
    process = within(bench.dispatcher(), f"-Sn {FEW}")
    await process.start()

    assert process.child is not None
    limits = pathlib.Path(f"/proc/{process.child.pid}/limits").read_text().splitlines()
    [line] = [line for line in limits if line.startswith("Max open files")]
    _, soft, hard, _ = line.rsplit(maxsplit=3)
    assert soft == hard != str(FEW)
