"""The state file is a convenience: a dispatcher that cannot write it runs all the same."""

import asyncio
import subprocess

from tests.harness.process import free_ports, tail
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually


async def test_a_state_file_that_cannot_be_written_is_a_warning(bench: Bench) -> None:
    a = await bench.target("a")
    bench.route(a)
    process = bench.dispatcher()
    (process.data / "running.json").mkdir(parents=True)  # a name that is taken
    listen, admin = free_ports(2)
    process.command[process.command.index("--listen") + 1] = f"127.0.0.1:{listen}"
    process.command[process.command.index("--admin") + 1] = f"127.0.0.1:{admin}"
    with process.log.open("wb") as log:
        process.child = subprocess.Popen(process.command, stdin=subprocess.DEVNULL, stderr=log)

    async def started() -> bool:
        return "dispatcher.started" in process.log.read_text() and "plans.synced" in process.log.read_text()

    await eventually(started)
    answer = await bench.client.post(f"http://127.0.0.1:{listen}/shop/order-placed", content=b"x")

    async def arrived() -> bool:
        return len(a.got) == 1

    await eventually(arrived)
    code = await asyncio.to_thread(process.stop)
    assert (answer.status_code, code) == (202, 0), tail(process.log)
    assert '"state.unwritten"' in process.log.read_text()
    assert [one.name for one in process.data.iterdir() if one.name.startswith(".running")] == []
