"""P14: dead letters survive a kill at any moment of their replay: each is kept, or sent again to its target alone."""

import asyncio
import contextlib
import random

import httpx
import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.support.dispatcher import Load, Process
from tests.support.figures import Figure
from tests.support.ledger import lost, settled, unexplained

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]

REJECTED = 422


async def replay(bench: Bench, process: Process) -> int:
    """Ask for a few replays; how many were begun, as far as anybody heard."""
    body = {"route": "shop/order-placed", "limit": 50}
    with contextlib.suppress(httpx.TransportError):  # it was killed meanwhile
        answer = await bench.client.post(f"{process.admin}/v1/dead-letters/replay", json=body)
        return len(answer.json()["receipts"])
    return 0


async def test_a_kill_in_the_middle_of_replays_loses_no_dead_letter(bench: Bench, form: Form, figure: Figure) -> None:
    kills = int(form(3, 60))
    chance = random.Random(f"replays/{kills}")
    good, bad = await bench.target("good"), await bench.target("bad")
    bad.status = REJECTED
    bench.route(good, bad, defaults={"policy": patient()})
    process = await bench.started()
    load = await Load(process, "x", connections=4).last(form(0.5, 4.0))
    await settled(process)
    first = {got.event: got for got in bad.got}
    bad.got.clear()
    replayed = 0

    for life in range(1, kills + 1):
        bad.life = life
        bad.status = chance.choice((204, REJECTED))  # a replay may fail again: then it is a dead letter again
        replaying = asyncio.create_task(replay(bench, process))
        await asyncio.sleep(chance.uniform(0.0, 0.05))
        process.kill()
        replayed += await replaying
        await process.start()
        await settled(process)
    bad.life = kills + 1
    bad.status = 204
    while more := await replay(bench, process):
        replayed += more
        await settled(process)
    code = await asyncio.to_thread(process.stop)

    gone = lost(load.accepted, [good]) + [
        (event, "bad") for event in first.keys() - {got.event for got in bad.got if got.status == 204}
    ]
    changed = [got for got in bad.got if (got.key, got.body) != (first[got.event].key, first[got.event].body)]
    figure("P14", kills=kills, dead_letters=len(first), replayed=replayed, lost=len(gone), changed=len(changed))
    assert len(first) > 10
    assert first.keys() >= load.accepted.keys()
    assert (gone, changed, code) == ([], [], 0)
    assert unexplained([good], killed=False) == [], "whoever had taken it was not asked again"
