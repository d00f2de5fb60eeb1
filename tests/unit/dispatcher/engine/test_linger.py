"""When an event waits for company: where others come meanwhile, as long as it takes them, and nowhere else."""

import asyncio
import random

import pytest

from fanout_dispatcher.engine.linger import COMPANY, LONGEST, PROBE, Linger
from tests.sim.loop import run
from tests.unit.dispatcher.engine.committing import Bench

COMMIT = 0.001  # seconds that a commit takes here
LIFE = 2.0  # seconds of virtual time


class Producers:
    """Producers at one committer; sizes of its groups and what each answer took."""

    def __init__(self, bench: Bench) -> None:
        self.bench = bench
        self.seq = 0
        self.asked: dict[int, float] = {}
        self.answered: dict[int, asyncio.Event] = {}
        self.took: list[float] = []

    def post(self) -> asyncio.Event:
        """Send an event; the answer sets what this returns."""
        self.seq += 1
        self.asked[self.seq] = self.bench.loop.time()
        self.answered[self.seq] = asyncio.Event()
        self.bench.append(self.seq)
        return self.answered[self.seq]

    async def one_after_another(self) -> None:
        """The next event goes when the last is answered."""
        while self.bench.loop.time() < LIFE:
            await self.post().wait()

    async def every(self, seconds: float, chance: random.Random) -> None:
        """Events come by themselves, that far apart on average."""
        while self.bench.loop.time() < LIFE:
            self.post()
            await asyncio.sleep(chance.expovariate(1 / seconds))

    async def commits(self) -> None:
        """Let the disk take its time for each commit."""
        told = 0
        while self.bench.loop.time() < LIFE + 0.1:
            if self.bench.disk.jobs:
                await asyncio.sleep(COMMIT)
                self.bench.disk.step()
            for seq, _ in self.bench.told.landed[told:]:
                self.took.append(self.bench.loop.time() - self.asked[seq])
                self.answered[seq].set()
            told = len(self.bench.told.landed)
            await asyncio.sleep(COMMIT / 50)

    def groups(self) -> float:
        """Events in a commit, on average, once it is settled how long to wait."""
        sizes = [len(batch.events) for batch in self.bench.batches if batch.events]
        later = sizes[len(sizes) // 4 :]
        return sum(later) / len(later)


def together(*kinds: float | None, longest: float = LONGEST) -> Producers:
    """Run producers together: None sends one event after another, a number is the seconds between two events."""

    async def scenario() -> Producers:
        producers = Producers(Bench(longest))
        chance = random.Random("linger")
        running = [producers.one_after_another() if kind is None else producers.every(kind, chance) for kind in kinds]
        await asyncio.gather(producers.commits(), *running)
        return producers

    done = run(scenario())
    assert isinstance(done, Producers)
    return done


def test_a_producer_that_waits_for_its_answer_is_never_kept_waiting() -> None:
    alone = together(None)

    assert max(alone.took) < 2 * COMMIT


@pytest.mark.parametrize("number", [2, 4, 7])
def test_a_few_producers_that_wait_for_their_answers_are_not_slowed_down_by_waiting_for_one_another(
    number: int,
) -> None:
    lingering, eager = together(*[None] * number), together(*[None] * number, longest=0.0)

    assert len(lingering.took) > 0.7 * len(eager.took)


def test_independent_producers_share_commits_and_nobody_waits_longer_than_the_bound() -> None:
    lingering, eager = together(0.002), together(0.002, longest=0.0)

    assert lingering.groups() > 2.0
    assert eager.groups() < 1.6
    assert max(lingering.took) < LONGEST + 2 * COMMIT + COMMIT / 2


def test_at_a_few_events_a_second_nobody_waits() -> None:
    seldom = together(0.05)

    assert max(seldom.took) < 3 * COMMIT


def test_the_faster_they_come_the_shorter_the_wait() -> None:
    linger = Linger()
    waits = []
    for rate in (100, 500, 5_000, 50_000):
        linger.rate = float(rate)
        waits.append(linger.seconds())

    assert waits == [0.0, LONGEST, COMPANY / 5_000, COMPANY / 50_000]


def test_now_and_then_a_group_waits_on_to_see_whether_there_are_more_by_now() -> None:
    linger = Linger()
    linger.learn(4, 3, 0.001)

    asked = [linger.enough() for _ in range(PROBE)]

    assert asked[:-1] == [4] * (PROBE - 1)
    assert asked[-1] > 1000
