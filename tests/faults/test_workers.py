"""P1, P3: a dispatcher of two workers loses nothing when one of them, or all of it, is killed, and refuses nobody.

While a worker is down the connections dealt to it wait at its socket until it is back; only those that it had taken
are reset. Then the supervisor is killed, its workers end with it, and the next life takes over both journals.
"""

import asyncio
import functools
import os
import pathlib
import random
import signal

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.process.test_workers import gone, workers_of
from tests.support.dispatcher import Load, Process, Producer
from tests.support.figures import Figure
from tests.support.ledger import again, lost, settled, unexplained

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

CONNECTIONS = 8
TURNS = 50  # of the loop, in which targets surely read what lies in their sockets


class Callers:
    """Producers that connect anew as often as their connection ends, and count who was not let in."""

    def __init__(self, process: Process, prefix: str) -> None:
        self.url = f"{process.listen}/shop/order-placed"
        self.prefix = prefix
        self.over = False
        self.refused = 0
        self.accepted: dict[str, str] = {}
        self.tasks = [asyncio.create_task(self._call(number)) for number in range(CONNECTIONS)]

    async def _call(self, number: int) -> None:
        turn = 0
        while not self.over:
            turn += 1
            one = Producer(self.url, f"{self.prefix}.{number}.{turn}")
            posting = asyncio.create_task(one.run())
            await asyncio.wait({posting}, timeout=0.1)  # then another connection, dealt to any worker
            one.over = True
            await posting
            self.refused += not one.posted
            self.accepted |= one.accepted

    async def stop(self) -> None:
        """Post no more, and wait for the last answers."""
        self.over = True
        await asyncio.gather(*self.tasks)


async def test_nothing_is_lost_and_nobody_refused_when_workers_and_their_supervisor_are_killed(
    bench: Bench, form: Form, figure: Figure
) -> None:
    lives, kills = int(form(1, 8)), int(form(2, 5))
    chance = random.Random(f"workers/{lives}")
    targets = [await bench.target(name) for name in ("a", "b", "c")]
    bench.route(*targets, defaults={"policy": patient(attempt="10s")})
    process = bench.dispatcher("--workers", "2")
    accepted: dict[str, str] = {}
    killed: list[str] = []  # life of the targets -> which worker's end it ended with; that of all: *
    refused = 0

    def begins(end: str) -> None:
        killed.append(end)
        for target in targets:
            target.life = len(killed)

    for life in range(lives):
        await process.start()
        callers = Callers(process, str(life))
        for _ in range(kills):
            await asyncio.sleep(chance.uniform(0.02, 0.4))
            begins(await kill_one(process, chance))
            await eventually(lambda: whole(bench, process))
        await callers.stop()
        load = Load(process, f"last{life}").start()
        await asyncio.sleep(chance.uniform(0.02, 0.4))
        await kill_all(process)
        await load.stop()
        for target in targets:
            target.cut()
        begins("*")
        accepted |= callers.accepted | load.accepted
        refused += callers.refused
    await process.start()
    await settled(process)
    code = await asyncio.to_thread(process.stop)

    missing, twice = lost(accepted, targets), unexplained(targets, killed=True)
    twice += [
        (before, after)
        for before, after in again(targets)
        if before.answered and not concerned(accepted.get(before.event), killed[before.life : after.life])
    ]
    figure("P1", workers_killed=lives * kills, supervisors_killed=lives, acknowledged=len(accepted), lost=len(missing))
    figure("P3", workers_killed=lives * kills, unexplained_duplicates=len(twice), connections_refused=refused)
    assert len(accepted) >= 5 * lives * kills, "a run that accepted next to nothing proves nothing"
    assert {receipt.partition("-")[0] for receipt in accepted.values()} == {"0", "1"}
    assert (missing, twice, refused, code) == ([], [], 0, 0)


def concerned(receipt: str | None, killed: list[str]) -> bool:
    """Whether one of the *killed* had the event; of one whose producer never heard nobody can tell."""
    return receipt is None or not {receipt.partition("-")[0], "*"}.isdisjoint(killed)


async def kill_one(process: Process, chance: random.Random) -> str:
    """Kill one of the workers; its number.

    It is stopped first, until targets have read all that it has sent: what is read later would pass for another life's.
    """
    workers = workers_of(process)
    number = chance.choice(sorted(workers))
    os.kill(workers[number], signal.SIGSTOP)
    await eventually(lambda: stopped(workers[number]))
    for _ in range(TURNS):
        await asyncio.sleep(0)
    os.kill(workers[number], signal.SIGKILL)
    await eventually(lambda: ended(workers[number]))
    return str(number)


async def kill_all(process: Process) -> None:
    """Kill the supervisor; until its workers have ended too."""
    workers = workers_of(process)
    process.kill()
    for pid in workers.values():
        await eventually(functools.partial(ended, pid))


async def whole(bench: Bench, process: Process) -> bool:
    """Every worker is there and at work."""
    return len(workers_of(process)) == 2 and (await bench.client.get(f"{process.admin}/readyz")).status_code == 200


async def stopped(pid: int) -> bool:
    """Whether SIGSTOP has taken hold."""
    return "\nState:\tT" in pathlib.Path(f"/proc/{pid}/status").read_text(encoding="ascii")


async def ended(pid: int) -> bool:
    """Whether the process is gone."""
    return gone(pid)
