"""Large bodies in flight take no more memory than there is for them, and targets share it."""

import pytest

from fanout_dispatcher.policies.ration import LARGE, PAUSE, POOL, SHARE, Pool, Ration
from fanout_dispatcher.values.outcome import Delivered
from tests.support.journals import an_event
from tests.unit.dispatcher.policies.crossing import Crossed

MEGABYTE = bytes(1 << 20)


def flight(seq: int = 1, body: bytes = MEGABYTE) -> Crossed:
    return Crossed(event=an_event(seq, body=body))


def fill(ration: Ration) -> list[Crossed]:
    """Start what may start: bodies of a megabyte, each its own event's."""
    started: list[Crossed] = []
    while ration.opens_at(7.0) == 7.0:
        started.append(flight(len(started)))
        ration.enter(started[-1], 7.0)
    return started


def test_a_target_alone_may_have_half_of_the_pool_in_flight() -> None:
    assert len(fill(Ration(Pool()))) << 20 == POOL // 2


@pytest.mark.parametrize("targets", [2, 20, 200])
def test_however_many_targets_there_are_they_take_the_pool_and_their_shares_together(targets: int) -> None:
    pool = Pool()

    started = [fill(Ration(pool)) for _ in range(targets)]
    taken = [len(flights) << 20 for flights in started]

    assert taken[:2] == [POOL // 2, POOL // 4]
    assert min(taken) >= SHARE
    assert sum(taken) == pool.bytes <= POOL + targets * SHARE


def test_a_body_counts_once_however_many_targets_get_it() -> None:
    pool = Pool()
    rations = [Ration(pool) for _ in range(64)]
    crossed = flight()
    for ration in rations:
        ration.enter(crossed, 7.0)
    held = pool.bytes
    for ration in rations:
        ration.leave(crossed, Delivered(204), 8.0)

    assert held == len(MEGABYTE)
    assert (pool.bytes, pool.flights, rations[0].bytes) == (0, {}, 0)


def test_what_has_landed_may_be_taken_again_by_any_target() -> None:
    pool = Pool()
    greedy, other = Ration(pool), Ration(pool)
    flights, others = fill(greedy), fill(other)
    shut = greedy.opens_at(7.0), other.opens_at(7.0)
    for one in flights:
        greedy.leave(one, Delivered(204), 8.0)

    assert others
    assert shut == (7.0 + PAUSE, 7.0 + PAUSE)
    assert (greedy.opens_at(8.0), other.opens_at(8.0)) == (8.0, 8.0)


def test_one_body_always_may_go_even_one_that_is_larger_than_the_pool() -> None:
    pool = Pool()
    pool.bytes = POOL
    ration = Ration(pool)

    before = ration.opens_at(7.0)
    ration.enter(flight(body=bytes(64 << 20)), 7.0)

    assert (before, ration.opens_at(7.0)) == (7.0, 7.0 + PAUSE)


def test_small_bodies_are_not_counted() -> None:
    pool = Pool()
    ration = Ration(pool)
    crossed = flight(body=bytes(LARGE - 1))
    ration.enter(crossed, 7.0)
    ration.leave(crossed, Delivered(204), 8.0)

    assert (pool.bytes, ration.bytes) == (0, 0)


def test_it_says_what_is_taken() -> None:
    ration = Ration(Pool())
    ration.enter(flight(), 7.0)

    assert repr(ration) == "<Ration 1048576 of <Pool 1048576/134217728 bytes>>"
