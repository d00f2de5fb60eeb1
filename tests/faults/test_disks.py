"""P7 and what else befalls the disk under a real process: full and freed, a log cut off, a bit flipped.

A full disk is said before anything is accepted, deliveries go on, and room that comes back is used without a restart.
A journal that was damaged while nobody looked is refused in words, and left as it was.
"""

import asyncio
import pathlib
import subprocess
import time

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Load, Process
from tests.support.figures import Figure
from tests.support.ledger import lost, settled, unexplained
from tests.support.small_disk import hog, on, small

__all__ = ["small"]

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

SIZE = 20_000  # bytes of a body: with bodies this large a full disk is noticed at once


async def test_a_disk_filled_under_load_refuses_first_settles_on_and_heals(
    bench: Bench, small: pathlib.Path, form: Form, figure: Figure
) -> None:
    rounds = int(form(2, 20))
    a, slow = await bench.target("a"), await bench.target("slow")
    slow.delay = 0.3
    bench.route(a, slow, defaults={"policy": patient()})
    process = on(small, bench.dispatcher())
    await process.start()
    accepted: dict[str, str] = {}
    refused, full, settled_while_full = 0, 0, 0
    healing: list[float] = []

    for number in range(rounds):
        load = Load(process, number, size=SIZE).start()
        await asyncio.sleep(0.3)
        hog(small / "stranger")
        owed = {*accepted, *load.accepted}
        await asyncio.sleep(1.0)
        settled_while_full += len(owed & {got.event for got in slow.got if got.answered})
        await load.stop()
        await settled(process)  # while there is no room at all
        (small / "stranger").unlink()
        healing.append(await healed(bench, process))
        accepted |= load.accepted
        refused += len(load.seconds(503))
        full += bool(load.seconds(503))  # not in every round: the journal has pages of its own that became free
    await settled(process)
    code = await asyncio.to_thread(process.stop)

    gone, twice = lost(accepted, [a, slow]), unexplained([a, slow], killed=False)
    figure(
        "P7", fillings=rounds, with_refusals=full, acknowledged=len(accepted), refused=refused, lost=len(gone),
        unexplained_duplicates=len(twice), recovered_max_s=max(healing),
    )  # fmt: skip
    assert full >= rounds / 2, "the disk hardly ever was full"
    assert settled_while_full > 0
    assert (gone, twice, code) == ([], [], 0)


async def posted(bench: Bench, process: Process) -> int:
    """The status of one large event more, which nobody counts."""
    url = f"{process.listen}/shop/order-placed"
    return (await bench.client.post(url, content=b"x" * SIZE)).status_code


async def healed(bench: Bench, process: Process) -> float:
    """Seconds until events are accepted again."""
    begun = time.monotonic()

    async def again() -> bool:
        return await posted(bench, process) == 202

    await eventually(again)
    return time.monotonic() - begun


def flip(file: pathlib.Path, at: int) -> None:
    """Flip one bit."""
    with file.open("r+b") as opened:
        opened.seek(at)
        [byte] = opened.read(1)
        opened.seek(at)
        opened.write(bytes([byte ^ 1]))


async def killed(bench: Bench) -> Process:
    """A dispatcher that was killed with events in its log."""
    bench.route(await bench.target("a"), suspend=True)
    process = await bench.started()
    await Load(process, "x", connections=4).last(0.3)
    process.kill()
    return process


async def test_a_log_cut_off_by_a_crash_is_no_damage(bench: Bench) -> None:
    process = await killed(bench)
    [log] = process.data.glob("*.db-wal")
    with log.open("r+b") as file:
        file.truncate(log.stat().st_size - 1000)  # within the last transaction: it had not been acknowledged then

    await process.start()

    assert (await bench.client.post(f"{process.listen}/shop/order-placed", content=b"x")).status_code == 202


@pytest.mark.parametrize("where", ["log", "file"])
async def test_a_flipped_bit_is_refused_in_words_and_left_as_it_was(bench: Bench, where: str, figure: Figure) -> None:
    process = await killed(bench)
    [file] = process.data.glob("*.db-wal" if where == "log" else "*.db")
    if where == "file":
        await process.start()
        process.stop()  # what is in the log goes into the file
    flip(file, file.stat().st_size // 3 if where == "log" else 105)
    before = file.read_bytes()

    other = await asyncio.to_thread(
        subprocess.run, process.command, capture_output=True, text=True, timeout=60, check=False
    )

    assert other.returncode == 1, other.stderr
    assert "is damaged" in other.stderr
    assert "left as it was" in other.stderr
    assert file.read_bytes() == before
