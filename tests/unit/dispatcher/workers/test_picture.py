"""A worker's counters outlive it, its gauges are what it told last."""

import typing

from fanout_dispatcher.values.desk import JournalMeter, LaneMeter, PortMeter, RouteMeter
from fanout_dispatcher.workers.messages import Told
from fanout_dispatcher.workers.picture import Picture
from tests.unit.dispatcher.admin.fakes import route_view

KEY = ("shop/order", "payment")


def lane(**counts: typing.Any) -> LaneMeter:
    return LaneMeter(route=KEY[0], target=KEY[1], **counts)


def told(*lanes: LaneMeter, accepted: int = 0, requests: int = 0, connected: int = 0, **more: typing.Any) -> Told:
    return Told(
        readiness=None,
        port=PortMeter(requests=requests, connected=connected),
        journals={"Journal": JournalMeter(events=accepted)},
        routes=(route_view(),),
        doors=(RouteMeter(route=KEY[0], accepted=accepted),),
        lanes=lanes,
        **more,
    )


def in_its_second_life() -> Picture:
    picture = Picture()
    picture.take(told(lane(delivered=5, pending=2, in_flight=1), accepted=7, requests=9, connected=3, whole=True))
    picture.died("its process ended with -9")
    return picture


def test_before_it_tells_anything_it_is_starting() -> None:
    assert Picture().readiness == "it is starting"


def test_when_it_dies_what_is_pending_still_is_and_what_was_in_flight_is_not() -> None:
    picture = in_its_second_life()

    assert picture.lane(KEY) == lane(delivered=5, pending=2, in_flight=0)
    assert (picture.port().requests, picture.port().connected) == (9, 0)
    assert picture.readiness == "its process ended with -9"
    assert picture.routes == {"shop/order": route_view()}, "it takes no event under another plan before it tells"


def test_counters_go_on_where_they_were_through_any_number_of_lives() -> None:
    picture = in_its_second_life()

    picture.take(told(lane(delivered=1, pending=1), accepted=1, requests=1, whole=True))
    second = (picture.lane(KEY), picture.door("shop/order"), picture.port())
    picture.died("again")
    picture.take(told(lane(), whole=True))
    picture.take(told(lane(delivered=2), accepted=1, requests=2))

    assert second == (lane(delivered=6, pending=1), RouteMeter(route="shop/order", accepted=8), PortMeter(requests=10))
    assert picture.lane(KEY) == lane(delivered=8)
    assert picture.door("shop/order") == RouteMeter(route="shop/order", accepted=9)
    assert picture.port() == PortMeter(requests=12)
    assert picture.journal("Journal") == JournalMeter(events=9)


def test_a_route_that_is_gone_takes_its_counters_along_in_this_life_or_between_two() -> None:
    picture = in_its_second_life()

    between = picture.take(Told(readiness=None, port=PortMeter(), whole=True))
    picture.take(told(lane(delivered=3), accepted=3))
    gone = picture.take(
        Told(readiness=None, port=PortMeter(), routes_gone=(KEY[0],), doors_gone=(KEY[0],), lanes_gone=(KEY,))
    )

    assert [set(between.lanes), set(between.doors), set(between.routes)] == [{KEY}, {KEY[0]}, {KEY[0]}]
    assert gone == between
    assert (picture.lane(KEY), picture.door(KEY[0]), picture.routes) == (None, None, {})


def test_only_what_differs_is_named() -> None:
    picture = Picture()
    picture.take(told(lane(), whole=True))

    changed = picture.take(Told(readiness="it is not", port=PortMeter(), lanes=(lane(delivered=1),)))

    assert [set(changed.routes), set(changed.doors), set(changed.lanes)] == [set(), set(), {KEY}]
    assert picture.readiness == "it is not"
