"""Memory is bounded however many targets are down at once, and those that are well do not pay for it."""

import asyncio

from fanout_dispatcher.engine.stock import Stock
from fanout_dispatcher.transport.memory import status
from tests.sim.checkers import judge
from tests.sim.world import Life, World
from tests.support.plans import a_plan

DEAD = tuple(f"dead{number}" for number in range(30))
WELL_AGAIN = 300.0
MOST = 600


def test_dead_targets_keep_next_to_nothing_in_memory_once_all_of_them_together_hold_too_much() -> None:
    world = World(
        a_plan("well", *DEAD), lambda target, flight, now: status(200 if target == "well" or now > WELL_AGAIN else 503)
    )
    held: list[int] = []

    async def story(life: Life) -> None:
        life.engine.works.stock.most = MOST
        for number in range(400):
            await life.post(f"e{number}")
            await asyncio.sleep(0.02)
        for _ in range(5):
            await asyncio.sleep(1.0)
            held.append(life.engine.works.stock.deliveries)
        await life.settle()
        await life.look()
        assert life.engine.works.stock.deliveries == life.engine.works.stock.bytes == 0

    world.live(story)

    assert max(held) <= 0.75 * MOST
    assert judge(world.history) == []
    assert {state for states in world.history.states.values() for state in states.values()} == {"Delivered"}
    assert len([one for one in world.history.sent if one.target == "well"]) == 400
    assert max(one.at for one in world.history.sent if one.target == "well") < 400 * 0.05


def test_the_stock_counts_what_comes_and_goes() -> None:
    stock = Stock(most=2, most_bytes=100)
    seen = []
    for size in (10, 10):
        stock.came(size)
        seen.append(stock.roomy)
    stock.went(10)
    seen.append(stock.roomy)
    stock.came(90)
    seen.append(stock.roomy)

    assert seen == [True, False, True, False]
    assert (stock.deliveries, stock.bytes) == (2, 100)
