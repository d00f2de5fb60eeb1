"""A crash right before and right after everything that happens in a saga: in the end each is done, or undone.

What happens is read from a life that nothing interrupts: each attempt as it is sent and as it lands, each commit as it
is put together, as it is on disk, and as it is known to be. Up to its crash the interrupted life is the same one.
"""

import asyncio
import itertools
import typing

import pytest

from fanout_crds.plan import Plan
from fanout_dispatcher.transport.memory import NEVER, Reply, fault, status
from fanout_dispatcher.transport.protocol import Flight
from fanout_dispatcher.values.outcome import Fault
from fanout_dispatcher.values.views import SagaFilter
from tests.sim.checkers import judge
from tests.sim.graphs import NO, WELL, asked, final, saga, step, undo
from tests.sim.history import Committed, Decided, Settled
from tests.sim.senders import Lost
from tests.sim.world import Life, World
from tests.support.figures import Figure
from tests.support.plans import a_plan

JUST = 1e-6  # seconds before and after
SLOW = status(200, 0.05)  # long enough for the saga to fail beside it, and for that to be on disk
AGAIN = (None, 0.011, 0.033)  # how long the second process lives; None: to the end


def beside() -> Plan:
    """Two that wait for nobody, and one after them; all can be undone."""
    return a_plan(
        step("stock"),
        step("courier"),
        step("shipping", "stock", "courier"),
        behind=(undo("stock"), undo("courier"), undo("shipping"), final("audit")),
    )


class Way(typing.NamedTuple):
    """How a target that breaks does, and what else goes wrong until people have seen to it."""

    replies: tuple[Reply | Lost, ...]  # by attempt; the last of them from then on
    stuck: tuple[str, ...] = ()


WAYS: typing.Final = {
    "a clear no": Way((NO,)),
    "lost answers": Way((Lost(fault(Fault.RESET, 0.01)),)),
    "5xx, then a clear no": Way((status(503), NO)),
    "a compensation that is given up": Way((NO,), stuck=("stock.compensate", "courier.compensate")),
    "no answer": Way((Lost(NEVER),)),
}


CASES: typing.Final = (  # each step is the one that fails, so that every prefix of a saga is what is to be undone
    *((saga(), "payment", what) for what in ("a clear no", "lost answers")),
    *((saga(), "stock", what) for what in WAYS),
    *((saga(), "courier", what) for what in ("a clear no", "lost answers")),
    *((saga(), "shipping", what) for what in ("a clear no", "a compensation that is given up")),
    *((beside(), "courier", what) for what in ("a clear no", "lost answers")),
)


class Case(typing.NamedTuple):
    """One saga that goes wrong in one way."""

    plan: Plan
    broken: str
    way: Way
    seed: int

    def world(self, mended: list[bool]) -> World:
        """A world in which it happens; *mended* once people have seen to what is stuck."""

        def behave(target: str, flight: Flight, now: float) -> Reply | Lost:
            if target == self.broken:
                return self.way.replies[min(flight.number, len(self.way.replies)) - 1]
            if target in {"stock", "courier"}:
                return SLOW
            return NO if target in self.way.stuck and not mended else WELL

        return World(self.plan, behave, seed=self.seed)


class Figures:
    """What came of all of them."""

    def __init__(self) -> None:
        self.crashes = self.sagas = self.accepted = self.undone = 0
        self.unfinished: list[str] = []
        self.wrong: list[str] = []

    def add(self, world: World, where: str) -> None:
        """One more has come to its end."""
        self.crashes += world.lives - 1
        self.sagas += 1
        if "e1" not in world.history.accepted:
            return  # the crash came before its 202
        self.accepted += 1
        self.undone += any(one.target.endswith(".compensate") for one in world.history.sent)
        found = world.history.states["e1"]
        if "Pending" in found.values() or asked(world)[-1] != "finally.audit":
            self.unfinished.append(f"{where}: {found}")
        self.wrong += [f"{where}: {why}" for why in judge(world.history)]


async def to_the_end(life: Life, mended: list[bool]) -> None:
    """People see to what is stuck, and all comes to its end."""
    give_up = life.now() + 1000
    while life.pending() and life.now() < give_up:
        await asyncio.sleep(0.5)
        if life.pending() and life.pending() == sum(one.stuck for one in life.desk.lane_meters()):
            mended.append(True)
            life.history.log.append(Decided(life.now(), life.number, "resume"))
            await life.desk.resume(SagaFilter())
    await asyncio.sleep(0.1)
    life.history.log.append(Settled(life.now(), life.number, life.pending()))
    await life.look()


def instants(case: Case) -> list[float]:
    """Right before and right after everything that happens when nothing interrupts it."""
    mended: list[bool] = []
    world = case.world(mended)

    async def whole(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(JUST)
        await to_the_end(life, mended)

    world.live(whole)
    moments = {moment for sent in world.history.sent for moment in (sent.at, sent.ended or sent.at)}
    moments |= {moment for commit in world.history.of(Committed) for moment in (commit.begun, commit.at)}
    return sorted({moment + just for moment in moments for just in (-JUST, JUST) if moment + just > 0})


def crashed(case: Case, first: float, second: float | None) -> World:
    """Killed after *first* seconds, and once more after *second* if that is said; the next process ends it."""
    mended: list[bool] = []
    world = case.world(mended)

    async def crashing(life: Life) -> None:
        life.post("e1")
        await asyncio.sleep(first)

    world.live(crashing)
    if second is not None:
        world.live(lambda life: asyncio.sleep(second))
    world.live(lambda life: to_the_end(life, mended))
    return world


@pytest.mark.timeout(300)  # 15 s of CPU
def test_a_crash_before_or_after_any_step_leaves_no_saga_half_done(figure: Figure) -> None:
    seen = Figures()
    for seed, (plan, broken, what) in enumerate(CASES):
        case = Case(plan, broken, WAYS[what], seed)
        for first, second in zip(instants(case), itertools.cycle(AGAIN), strict=False):
            where = f"{broken}, {what}, killed at {first:.6f} s and {second} s later"
            seen.add(crashed(case, first, second), where)
    figure(
        "P15",
        sagas=seen.sagas,
        crashes=seen.crashes,
        accepted=seen.accepted,
        undone=seen.undone,
        non_terminal=f"{len(seen.unfinished)} of {seen.accepted:,}",
    )

    assert seen.unfinished == []
    assert seen.wrong == []
    assert seen.undone > seen.accepted / 2


@pytest.mark.parametrize("plan", [saga(), beside()])
def test_a_crash_before_or_after_any_step_of_one_that_goes_well_undoes_nothing(plan: Plan) -> None:
    case = Case(plan, "", Way((WELL,)), 0)
    for first, second in zip(instants(case), itertools.cycle(AGAIN), strict=False):
        world = crashed(case, first, second)

        if "e1" in world.history.accepted:
            assert all(world.history.states["e1"][one.name] == "Delivered" for one in plan.targets)
            assert not any("compensate" in target for target in asked(world))
            assert judge(world.history) == []
