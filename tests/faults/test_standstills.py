"""P3, P11, P20: a process that is stopped for a while, or told to end, loses nothing and blames nobody.

SIGSTOP under load is what a suspended laptop or a starved machine looks like from inside: when it goes on, every
deadline has passed at once. None of that is a target's fault. SIGTERM at any instant is every rollout.
"""

import asyncio
import itertools
import pathlib
import random
import signal
import time

import pytest

from tests.faults.conftest import Form, patient
from tests.process.conftest import Bench
from tests.process.test_dispatcher import eventually
from tests.support.dispatcher import Load, Process
from tests.support.figures import Figure
from tests.support.ledger import lost, metrics, quantile, settled, unexplained
from tests.support.targets import SILENT, Target

pytestmark = [pytest.mark.faults, pytest.mark.timeout(3600)]

ATTEMPT = 1.0  # seconds: shorter than any standstill here
ENOUGH = 3.0  # … beside SIGTERM: one that is given up comes again, and a busy machine is slow to answer
BOUND = ENOUGH + 3.0  # what docs/guarantees.md promises for the exit
NOTICED = 1.0  # seconds more until this busy test sees it


async def test_a_standstill_of_ours_is_held_against_no_target(bench: Bench, form: Form, figure: Figure) -> None:
    rounds, seconds = int(form(1, 3)), form(2.0, 60.0)
    keeps, closes = await bench.target("keeps"), await bench.target("closes")
    keeps.delay = 0.05  # so that some attempts are under way whenever the standstill begins
    closes.closes = True  # and so that some are connecting
    breaker = {
        "circuitBreaker": {"consecutiveFailures": 1},
        "timeouts": {"connect": "1s", "attempt": f"{ATTEMPT:.0f}s"},
    }
    bench.route(keeps, closes, defaults={"policy": patient() | breaker})
    process = await bench.started()
    accepted: dict[str, str] = {}
    caught = 0

    for number in range(rounds):
        load = Load(process, number).start()
        await asyncio.sleep(0.5)
        process.signal(signal.SIGSTOP)
        caught += keeps.busy + closes.busy
        await asyncio.sleep(seconds)
        process.signal(signal.SIGCONT)
        await asyncio.sleep(1.0)
        accepted |= (await load.stop()).accepted
        assert all(one.answers[-1][0] == 202 for one in load.producers), "whoever waited was answered after all"
    await settled(process)
    counted = await metrics(process)
    code = await asyncio.to_thread(process.stop)

    targets = [keeps, closes]
    gone, twice = lost(accepted, targets), unexplained(targets, killed=False)
    blamed = counted("fanout_attempts_total", outcome="Timeout")
    opened = len(process.said("circuit.opened"))
    figure(
        "P3", standstills=rounds, seconds_each=seconds, acknowledged=len(accepted), in_flight=caught,
        lost=len(gone), blamed=blamed, circuits_opened=opened, unexplained_duplicates=len(twice),
    )  # fmt: skip
    assert caught > 0, "nothing was in flight, so nobody could have been blamed"
    assert (gone, twice, blamed, opened) == ([], [], 0, 0)
    assert code == 0


async def test_sigterm_at_any_instant_loses_and_repeats_nothing(
    tmp_path: pathlib.Path, form: Form, figure: Figure
) -> None:
    beside, each, until = int(form(1, 4)), int(form(3, 250)), time.monotonic() + form(60, 2400)
    all_of = [Rollouts(tmp_path / f"{number}", number) for number in range(beside)]

    await asyncio.gather(*(one.play(each, until) for one in all_of))

    took = sorted(itertools.chain.from_iterable(one.took for one in all_of))
    gone = [event for one in all_of for event in lost(one.accepted, one.targets)]
    twice = [pair for one in all_of for pair in unexplained(one.targets, killed=False)]
    acknowledged, caught = sum(len(one.accepted) for one in all_of), sum(one.caught for one in all_of)
    figure(
        "P20", sigterms=len(took), acknowledged=acknowledged, in_flight=caught, lost=len(gone),
        unexplained_duplicates=len(twice), exit_p50_s=quantile(took, 0.5), exit_max_s=took[-1], bound_s=BOUND,
    )  # fmt: skip
    assert caught > 0, "nothing was in flight at any of them"
    assert acknowledged > len(took)
    assert (gone, twice) == ([], [])
    assert {code for one in all_of for code in one.codes} == {0}
    assert took[-1] < BOUND + NOTICED


class Rollouts:
    """A dispatcher that is ended by SIGTERM at random instants under load and started again, and its ledger."""

    def __init__(self, folder: pathlib.Path, number: int) -> None:
        folder.mkdir()
        self.bench = Bench(folder)
        self.chance = random.Random(f"sigterm/{number}")
        self.targets: list[Target] = []
        self.accepted: dict[str, str] = {}
        self.took: list[float] = []  # seconds from each SIGTERM to the end
        self.codes: set[int] = set()
        self.caught = 0  # requests that were in flight at one of them

    async def play(self, most: int, until: float) -> None:
        """End it *most* times, fewer when *until* has come (monotonic), then let it settle what is left."""
        try:
            self.targets = [await self.bench.target(name) for name in ("a", "b", "c")]
            self.targets[1].delay = 0.1
            self.targets[2].delay = 0.4
            self.bench.route(*self.targets, defaults={"policy": patient(attempt=f"{ENOUGH:.0f}s")})
            process = self.bench.dispatcher()
            while len(self.took) < most and time.monotonic() < until:
                await self._life(process)
            for target in self.targets:
                target.delay = 0.0  # c took 160 a second: what minutes have left there would take many more
            await process.start()
            await settled(process, patience=900)
            self.codes.add(await asyncio.to_thread(process.stop))
        finally:
            await self.bench.close()

    async def _life(self, process: Process) -> None:
        for target in self.targets:
            target.life = len(self.took)
        await process.start()
        load = Load(process, len(self.took)).start()
        await asyncio.sleep(self.chance.uniform(0.0, 0.5))
        begun = time.monotonic()
        self.caught += sum(target.busy for target in self.targets)
        self.codes.add(await asyncio.to_thread(process.stop))
        self.took.append(time.monotonic() - begun)
        self.accepted |= (await load.stop()).accepted


async def test_a_second_sigterm_ends_it_at_once_and_loses_nothing(bench: Bench, form: Form, figure: Figure) -> None:
    rounds = int(form(2, 20))
    a, hung = await bench.target("a"), await bench.target("hung")
    bench.route(a, hung, defaults={"policy": patient(attempt="30s")})
    process = bench.dispatcher()
    accepted: dict[str, str] = {}
    took: list[float] = []
    codes: set[int] = set()

    for life in range(rounds):
        a.life = hung.life = life
        hung.status = SILENT
        await process.start()
        load = Load(process, life).start()
        await asyncio.sleep(0.4)
        process.signal(signal.SIGTERM)
        await load.stop()

        async def stopping(times: int = life + 1) -> bool:
            return len(process.said("dispatcher.stopping")) == times  # else the kernel makes one signal of two

        await eventually(stopping)
        codes.add(await _second(process, took))
        accepted |= load.accepted
    a.life = hung.life = rounds
    hung.status = 204
    await process.start()
    await settled(process)
    code = await asyncio.to_thread(process.stop)

    gone, twice = lost(accepted, [a, hung]), unexplained([a, hung], killed=True)
    figure("P20", sigterms_twice=rounds, acknowledged=len(accepted), lost=len(gone), exit_max_s=max(took))
    assert (gone, twice) == ([], [])
    assert (codes, code) == ({1}, 0)
    assert max(took) < NOTICED


async def _second(process: Process, took: list[float]) -> int:
    assert process.child is not None
    assert process.child.poll() is None, "it was to wait for what is in flight"
    begun = time.monotonic()
    process.signal(signal.SIGTERM)
    code = await asyncio.to_thread(process.child.wait, 10)
    took.append(time.monotonic() - begun)
    return code
