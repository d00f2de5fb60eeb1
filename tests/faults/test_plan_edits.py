"""P2, P13: plans that change ten times a second under load, and a target that is taken away and given back.

Whatever becomes of a target meanwhile, every delivery ends as delivered or as a dead letter, the status URL says what
the target saw, and a bulkhead holds across every edit.
"""

import asyncio
import random
import typing

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.support.dispatcher import Load, Process
from tests.support.figures import Figure
from tests.support.ledger import lost, settled, unexplained
from tests.support.targets import Target

pytestmark = [pytest.mark.faults, pytest.mark.timeout(600)]

LIMITS: typing.Final = (2, 8)  # the bulkhead goes up and down between them
SAMPLE: typing.Final = 400  # events whose states are compared
REMOVED: typing.Final = 1.5  # seconds that a target is away: a folder believes after one of them
EDITS: typing.Final = 0.1  # seconds between two edits


async def dead(bench: Bench, process: Process) -> list[dict[str, typing.Any]]:
    """All dead letters."""
    found: list[dict[str, typing.Any]] = []
    after = None
    while True:
        query = {"limit": "1000"} | ({"after": after} if after else {})
        page = (await bench.client.get(f"{process.admin}/v1/dead-letters", params=query)).json()
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


async def imbalance(bench: Bench, process: Process, load: Load, targets: dict[str, Target]) -> list[str]:
    """Events whose status URL does not say what the targets saw; a sample, since each is a request."""
    wrong = []
    yes = {(got.event, one.name) for one in targets.values() for got in one.got if got.answered}
    for event, receipt in list(load.accepted.items())[:: len(load.accepted) // SAMPLE + 1]:
        view = (await bench.client.get(f"{process.listen}/-/events/{receipt}")).json()
        for one in view["deliveries"]:
            state = {True: "Delivered", False: "Dead"}[(event, one["target"]) in yes]
            if one["state"] != state:
                wrong.append(f"{event} → {one['target']}: {one['state']}, and not {state}")
    return wrong


async def test_edits_under_load_leave_every_delivery_in_one_state(bench: Bench, form: Form, figure: Figure) -> None:
    edits = int(form(10, 300))
    chance = random.Random("edits")
    stays, comes = await bench.target("stays"), await bench.target("comes")
    stays.delay, comes.delay = 0.02, 0.1  # the second one always has a backlog when it is removed

    def edit(limit: int, *, both: bool) -> None:
        policy = patient() | {"bulkhead": {"maxConcurrent": limit}}
        bench.route(stays, *([comes] if both else []), defaults={"policy": policy})

    edit(LIMITS[1], both=True)
    process = await bench.started()
    load = Load(process, "x").start()
    for number in range(edits):
        edit(chance.choice(LIMITS), both=number % 10 != 5)
        await asyncio.sleep(REMOVED if number % 10 == 5 else EDITS)
    await load.stop()
    stays.delay = comes.delay = 0.0  # what a fast machine has piled up by now is many minutes of that
    edit(LIMITS[1], both=True)
    await settled(process)
    wrong = await imbalance(bench, process, load, {one.name: one for one in (stays, comes)})
    letters = await dead(bench, process)
    adopted = [line["targets"] for line in process.said("route.adopted")]
    code = await asyncio.to_thread(process.stop)

    gone, twice = lost(load.accepted, [stays]), unexplained([stays, comes], killed=False)
    figure(
        "P2", edits=edits, plans_in_force=len(adopted), without_the_target=adopted.count(1),
        acknowledged=len(load.accepted), lost=len(gone), imbalance=len(wrong), unexplained_duplicates=len(twice),
    )  # fmt: skip
    figure("P13", edits=edits, bulkhead=LIMITS[1], most_in_flight=max(stays.most, comes.most))
    assert len(adopted) > edits / 4, "hardly any edit came into force"
    assert adopted.count(1) > 0, "the target never was away"
    assert {letter["reason"] for letter in letters} <= {"TargetRemoved"}
    assert (gone, twice, wrong, code) == ([], [], [], 0)
    assert max(stays.most, comes.most) <= LIMITS[1]
