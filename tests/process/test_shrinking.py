"""A journal keeps the size that it once had; while nobody has it open it is shrunk as docs/operations.md says."""

import pathlib
import re
import subprocess
import sys

from tests.process.conftest import Bench
from tests.process.test_dispatcher import PATIENT, eventually
from tests.support.dispatcher import Process

DOCS = pathlib.Path(__file__).parents[2] / "docs" / "operations.md"
BODY = 200_000
EVENTS = 60


def shrink(process: Process) -> subprocess.CompletedProcess[str]:
    """Run the line that the docs have, on the folder of this dispatcher."""
    (program,) = re.findall(r'python3? -c "(import apsw;.*VACUUM.*)"', DOCS.read_text())
    command = [sys.executable, "-c", program.replace("DATA", str(process.data))]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


async def test_a_journal_is_shrunk_while_it_is_closed_and_goes_on_with_all_that_it_owes(bench: Bench) -> None:
    a, b = await bench.target("a"), await bench.target("b")
    a.freeze()
    b.freeze()
    bench.route(a, defaults={"policy": PATIENT})
    bench.route(b, name="waiting", defaults={"policy": PATIENT | {"timeouts": {"attempt": "1s"}}})
    process = await bench.started()
    await bench.client.post(f"{process.listen}/shop/waiting", content=b"owed")
    for _ in range(EVENTS):
        await bench.client.post(f"{process.listen}/shop/order-placed", content=bytes(BODY))
    a.cut()

    async def drained() -> bool:
        return len({got.key for got in a.got if got.answered}) == EVENTS

    await eventually(drained)
    refused = shrink(process)
    process.stop()
    b.cut()
    before = size(process)
    done = shrink(process)
    after = size(process)
    await process.start()

    async def owed() -> bool:
        return {got.body for got in b.got if got.answered} == {b"owed"}

    await eventually(owed)
    assert "locked" in refused.stderr
    assert done.returncode == 0, done.stderr
    assert after < before / 4


def size(process: Process) -> int:
    return (process.data / "journal.db").stat().st_size
