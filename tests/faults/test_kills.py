"""P1, P3: what was answered 202 survives kill -9 at once, and whatever is delivered twice has its reason.

In every second round all targets are frozen: otherwise the requests already sit in socket buffers when the kill comes,
and the journal would prove nothing.
"""

import asyncio
import random

import pytest

from tests.faults.conftest import Form, cut_short, patient
from tests.process.conftest import Bench
from tests.support.figures import Figure
from tests.support.ledger import lost, unexplained

pytestmark = [pytest.mark.faults, pytest.mark.timeout(1800)]


async def test_nothing_that_was_accepted_is_lost_by_kill_9(bench: Bench, form: Form, figure: Figure) -> None:
    kills = int(form(5, 200))
    chance = random.Random(f"kills/{kills}")
    targets = [await bench.target(name) for name in ("a", "b", "c")]
    bench.route(*targets, defaults={"policy": patient(attempt="10s")})  # a busy machine is no reason to send again
    process = bench.dispatcher()

    async def killed() -> None:
        process.kill()

    accepted = await cut_short(process, targets, kills, killed, after=lambda: chance.uniform(0.02, 0.4))
    code = await asyncio.to_thread(process.stop)

    gone, twice = lost(accepted, targets), unexplained(targets, killed=True)
    figure("P1", kills=kills, acknowledged=len(accepted), lost=len(gone))
    figure("P3", kills=kills, deliveries=sum(len(one.got) for one in targets), unexplained_duplicates=len(twice))
    assert len(accepted) >= 5 * kills, "a run that accepted next to nothing proves nothing"
    assert gone == []
    assert twice == []
    assert code == 0
