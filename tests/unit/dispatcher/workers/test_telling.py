"""A worker tells all of itself once, then what differs, and nothing while nothing does."""

import asyncio

from fanout_dispatcher.values.desk import LaneMeter, PortMeter, RouteMeter
from fanout_dispatcher.workers import telling
from fanout_dispatcher.workers.messages import Told
from fanout_dispatcher.workers.telling import Teller
from tests.unit.dispatcher.admin.fakes import FakeDesk, route_view


class Worker:
    """A desk with a route, and what was told of it."""

    def __init__(self, lanes: int = 1) -> None:
        self.desk = FakeDesk()
        self.desk.views["shop/order"] = route_view()
        self.desk.doors = [RouteMeter(route="shop/order")]
        self.desk.lanes = [LaneMeter(route="shop/order", target=f"t{place}") for place in range(lanes)]
        self.told: list[Told] = []
        self.heard = asyncio.Event()
        self.teller = Teller(self.desk, PortMeter(), self.tell)

    def tell(self, told: Told) -> None:
        self.told.append(told)
        self.heard.set()


NOTHING = Told(readiness=None, port=PortMeter())


async def test_the_first_look_is_the_whole_and_the_second_is_nothing() -> None:
    worker = Worker()

    await worker.teller.look(whole=True)
    await worker.teller.look()

    whole, second = worker.told
    assert (whole.routes, whole.doors, whole.lanes) == (
        (route_view(),),
        tuple(worker.desk.doors),
        tuple(worker.desk.lanes),
    )
    assert (whole.whole, second) == (True, NOTHING)


async def test_a_counter_that_moved_is_told_with_its_route_as_it_looks_now() -> None:
    worker = Worker(lanes=2)
    await worker.teller.look(whole=True)

    worker.desk.lanes[1].failed["503"] = 1  # no watcher hears of a counter
    worker.desk.views["shop/order"] = route_view(revision="r2")
    await worker.teller.look()

    assert (worker.told[1].lanes, worker.told[1].doors) == ((worker.desk.lanes[1],), ())
    assert worker.told[1].routes == (route_view(revision="r2"),)


async def test_what_a_watcher_hears_of_is_told_and_what_is_gone_too() -> None:
    worker = Worker()
    await worker.teller.look(whole=True)

    worker.desk.change(route_view("shop/new"))
    await worker.teller.look()
    worker.desk.views.clear()
    worker.desk.lanes.clear()
    worker.desk.doors.clear()
    worker.desk.tell("shop/order")
    worker.desk.tell("shop/new")
    worker.desk.why = "the journal cannot commit"
    await worker.teller.look()

    _, new, gone = worker.told
    assert new.routes == (route_view("shop/new"),)
    assert sorted(gone.routes_gone) == ["shop/new", "shop/order"]
    assert (gone.lanes_gone, gone.doors_gone) == ((("shop/order", "t0"),), ("shop/order",))
    assert gone.readiness == "the journal cannot commit"


async def test_a_long_look_gives_the_loop_back() -> None:
    worker = Worker(lanes=3 * telling.STRIDE)
    turns = 0

    async def other() -> None:
        nonlocal turns
        while not worker.told:
            turns += 1
            await asyncio.sleep(0)

    await asyncio.gather(worker.teller.look(), other())

    assert turns >= 3


async def test_it_looks_by_itself_and_at_once_when_hurried_until_it_is_cancelled() -> None:
    worker = Worker()
    running = asyncio.create_task(worker.teller.run())
    await worker.heard.wait()
    worker.heard.clear()
    began = asyncio.get_running_loop().time()

    worker.teller.hurry()
    await worker.heard.wait()

    took = asyncio.get_running_loop().time() - began
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    assert took < telling.PACE
    assert worker.desk.watchers == []
