"""Every gate a plan can ask for, at work in the whole engine: what it holds back, and what it must not."""

import asyncio
import bisect

import pytest

from fanout_crds import plan
from fanout_dispatcher.transport.memory import Reply, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.answers import Accepted
from tests.sim.history import Sent
from tests.sim.world import Behave, Life, World
from tests.support.figures import Figure
from tests.support.plans import a_plan, a_target

UNBROKEN = {"circuit_breaker": {"enabled": False}}
BUDGET = plan.Budget(percent=20, min_retries_per_second=10)
STEADY = {"backoff": {"type": "Constant", "base_delay": 0.1, "jitter": "None"}}
HEALED = 120.0  # engine time from which a sick target is well


def sick(target: str, flight: Flight, now: float) -> Reply:
    """Fail until HEALED."""
    return status(200 if now >= HEALED else 503, 0.01)


def most(times: list[float], seconds: float) -> int:
    """The most of *times* that any stretch of *seconds* holds."""
    times = sorted(times)
    return max(bisect.bisect_right(times, at + seconds) - place for place, at in enumerate(times))


async def offer(life: Life, rate: float, seconds: float) -> None:
    """Post *rate* events a second."""
    for number in range(int(rate * seconds)):
        life.post(f"{life.clock.now():.0f}.{number}")
        await asyncio.sleep(1 / rate)


def retries(world: World, until: float = HEALED) -> list[Sent]:
    """Attempts but the first of each delivery."""
    return [one for one in world.history.sent if one.number > 1 and one.at < until]


# --- the retry budget (P10) -----------------------------------------------------------------------------------------


def outage(budget: plan.Budget | None, seconds: float = HEALED) -> World:
    """*seconds* of a target that fails everything, while 20 events a second come."""
    policy = UNBROKEN | {"retry": STEADY | {"budget": budget}}
    world = World(a_plan(a_target("a", policy=policy)), sick)

    async def story(life: Life) -> None:
        await offer(life, rate=20, seconds=seconds)
        if seconds == HEALED:
            await life.settle(patience=600)

    world.live(story)
    return world


def test_in_an_outage_retries_are_a_share_of_the_first_attempts_and_a_few_a_second(figure: Figure) -> None:
    world = outage(BUDGET)
    first = [one for one in world.history.sent if one.number == 1]

    figure("P10", outage_s=HEALED, first_attempts=len(first), retries=len(retries(world)))
    assert len(retries(world)) <= 0.2 * len(first) + 10 * HEALED + 100
    assert most([one.at for one in retries(world)], 10.0) <= 0.2 * 200 + 100 + 100
    assert {one.event for one in world.history.sent if one.yes} == world.history.accepted.keys()


def test_first_attempts_never_wait_for_the_budget() -> None:
    world = outage(plan.Budget(percent=1, min_retries_per_second=1))
    asked = {one.event: one.at for one in reversed(world.history.sent) if one.number == 1}
    apart = [after - before for before, after in zip(sorted(asked.values()), sorted(asked.values())[1:], strict=False)]

    assert len(asked) == 20 * HEALED
    assert max(apart) < 0.2


def test_when_a_target_is_well_again_its_backlog_drains_at_full_speed_after_a_slow_start(figure: Figure) -> None:
    world = outage(BUDGET)
    late = [one.at for one in world.history.sent if one.yes and one.number > 1]

    figure("P10", drained=len(late), seconds=max(late) - HEALED, peak_by_mean=_peak_by_mean(late))
    assert len(late) > 1_500
    assert max(late) - HEALED < 30, "at ten retries a second alone it would take minutes"


def _peak_by_mean(times: list[float]) -> float:
    """What the busiest second had, by what a second had on average."""
    return most(times, 1.0) / (len(times) / (max(times) - min(times)))


def test_without_a_budget_retries_wait_for_their_backoff_only() -> None:
    free, bound = outage(None, seconds=8.0), outage(BUDGET, seconds=8.0)

    assert len(retries(free)) > 20 * len(retries(bound))


# --- the target's rate limit (P12) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("requests", "per", "burst"), [(10, 1.0, 1), (10, 1.0, 20), (100, 60.0, 5)])
def test_no_stretch_of_time_holds_more_attempts_than_the_limit_and_one_burst(
    requests: int, per: float, burst: int, figure: Figure
) -> None:
    limit = plan.RateLimit(requests=requests, per=per, burst=burst)
    world = World(a_plan("b", a_target("a", policy={"rate_limit": limit})), lambda *_: status(200, 0.01))

    async def story(life: Life) -> None:
        for number in range(200):
            life.post(f"e{number}")
        await life.settle(patience=3600)

    world.live(story)
    times = [one.at for one in world.history.sent if one.target == "a"]
    figure("P12", requests=requests, per_s=per, burst=burst, max_window_by_limit=most(times, per) / (requests + burst))
    others = [one.at for one in world.history.sent if one.target == "b"]

    assert len(times) == 200
    for seconds in (per / requests, per / 3, per, 7 * per):
        assert most(times, seconds) <= requests * seconds / per + burst + 1e-6
    assert max(times) < 1.02 * (200 - burst) * per / requests + per / 5, "delayed by the limit, and by nothing else"
    assert max(others) < 2.0, "a sibling does not wait"


# --- the adaptive limit (P13) ---------------------------------------------------------------------------------------


def crowded(capacity: int) -> tuple[Behave, list[int]]:
    """A target that slows down beyond *capacity* at once; how many it saw at once, one for each attempt."""
    flying, seen = 0, []

    def behave(target: str, flight: Flight, now: float) -> Reply:
        nonlocal flying
        flying += 1
        seen.append(flying)
        seconds = 0.02 * max(1.0, flying / capacity) ** 2
        asyncio.get_running_loop().call_later(seconds, land)
        return status(200, seconds)

    def land() -> None:
        nonlocal flying
        flying -= 1

    return behave, seen


def test_an_adaptive_limit_finds_what_the_target_takes_and_never_passes_its_bounds() -> None:
    adaptive = plan.Adaptive(min=2, initial=60, max=64)
    behave, seen = crowded(capacity=10)
    world = World(a_plan(a_target("a", policy={"bulkhead": {"adaptive": adaptive}})), behave)

    async def story(life: Life) -> None:
        for _ in range(20):
            answers = [life.post(f"{life.clock.now():.3f}.{number}") for number in range(250)]
            assert all(isinstance(one, Accepted) for one in await asyncio.gather(*answers))
            await life.settle()

    world.live(story)

    assert max(seen) <= 64
    assert max(seen[-500:]) < 50, "the limit has come down to what the target takes"
