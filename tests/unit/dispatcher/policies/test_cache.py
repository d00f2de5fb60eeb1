"""The cache against a model of it: what is given out is fresh and its own, and never takes more room than there is."""

import typing

import hypothesis
import hypothesis.strategies as st
import msgspec
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from fanout_dispatcher.policies.cache import OVERHEAD, Cache, Shelf
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.desk import LaneMeter

MOST: typing.Final = 10 * OVERHEAD
OF_A_ROUTE: typing.Final = 4 * OVERHEAD
ROUTES: typing.Final = ("shop/a", "shop/b", "shop/c", "shop/d")

shelves = st.integers(0, 5)
keys = st.sampled_from([b"k1", b"k2", b"k3", b"k4", b"k5", b"k6"])
bodies = st.none() | st.sampled_from([b"", b"x" * 100, b"x" * OVERHEAD, b"x" * (3 * OVERHEAD)])


def a_shelf(cache: Cache, route: str = "shop/a") -> Shelf:
    return cache.shelf(route, LaneMeter(route=route, target="t"))


class Kept(msgspec.Struct):
    shelf: int
    key: bytes
    answer: Captured | None
    until: float
    size: int


class CacheLife(RuleBasedStateMachine):
    """Six shelves of four routes. The model is a list, the least recently used first."""

    @initialize()
    def begins(self) -> None:
        self.now = 0.0
        self.cache = Cache(MOST, OF_A_ROUTE)
        self.shelves = [a_shelf(self.cache, ROUTES[number % 4]) for number in range(6)]
        self.kept: list[Kept] = []
        self.evicted = 0

    def of(self, shelf: int, key: bytes) -> Kept | None:
        return next((one for one in self.kept if (one.shelf, one.key) == (shelf, key)), None)

    @rule(seconds=st.integers(0, 20))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds

    @rule(shelf=shelves, key=keys)
    def somebody_looks(self, shelf: int, key: bytes) -> None:
        entry = self.cache.get(self.shelves[shelf], key, self.now)
        kept = self.of(shelf, key)
        if kept is None or kept.until <= self.now:
            assert entry is None
            self.kept = [one for one in self.kept if one is not kept]
        else:
            assert entry is not None
            assert entry.answer is kept.answer
            self.kept.sort(key=lambda one: one is kept)

    @rule(shelf=shelves, key=keys, body=bodies, seconds=st.integers(-1, 30))
    def an_answer_comes(self, shelf: int, key: bytes, body: bytes | None, seconds: int) -> None:
        answer = None if body is None else Captured(200, (), body)
        until = self.now + seconds
        self.cache.put(self.shelves[shelf], key, answer, until, self.now)

        before = self.of(shelf, key)
        self.kept = [one for one in self.kept if one is not before]
        size = OVERHEAD + len(key) + len(body or b"")
        if until <= self.now or size > OF_A_ROUTE:
            return
        for _ in range(2):
            if self.kept and self.kept[0].until <= self.now:
                del self.kept[0]
        route = {number for number in range(6) if number % 4 == shelf % 4}
        while sum(one.size for one in self.kept if one.shelf in route) + size > OF_A_ROUTE:
            self.kept.remove(next(one for one in self.kept if one.shelf in route))
            self.evicted += 1
        while sum(one.size for one in self.kept) + size > MOST:
            del self.kept[0]
            self.evicted += 1
        self.kept.append(Kept(shelf, key, answer, until, size))

    @rule(shelf=shelves)
    def a_target_is_another_one_now(self, shelf: int) -> None:
        old = self.shelves[shelf]
        self.evicted -= old.meter.cache_evictions
        self.cache.clear(old)
        self.cache.put(old, b"late", Captured(200), self.now + 9, self.now)
        assert self.cache.get(old, b"late", self.now) is None
        assert old.meter.cache_bytes == 0
        self.shelves[shelf] = a_shelf(self.cache, old.room.route)
        self.kept = [one for one in self.kept if one.shelf != shelf]

    @rule()
    def housekeeping_comes_by(self) -> None:
        self.cache.expire(self.now)
        self.kept = [one for one in self.kept if one.until > self.now]

    @invariant()
    def both_keep_the_same(self) -> None:
        if not hasattr(self, "cache"):
            return
        assert [(self.shelves.index(one.shelf), one.key) for one in self.cache.order] == [
            (one.shelf, one.key) for one in self.kept
        ]
        assert self.evicted == sum(one.meter.cache_evictions for one in self.shelves)

    @invariant()
    def there_is_never_more_than_there_may_be(self) -> None:
        if not hasattr(self, "cache"):
            return
        assert self.cache.bytes == sum(one.size for one in self.kept) <= MOST
        for room in self.cache.rooms.values():
            assert room.bytes == sum(one.size for one in room.order) <= OF_A_ROUTE
        for number, shelf in enumerate(self.shelves):
            assert shelf.meter.cache_bytes == sum(one.size for one in self.kept if one.shelf == number)


CacheLife.TestCase.settings = hypothesis.settings(max_examples=200, stateful_step_count=50)
TestCache = CacheLife.TestCase


def test_a_route_that_keeps_much_does_not_push_out_what_another_keeps() -> None:
    cache = Cache(MOST, OF_A_ROUTE)
    small, large = a_shelf(cache, "shop/a"), a_shelf(cache, "shop/b")
    cache.put(small, b"k", Captured(200, (), b"mine"), 60.0, 0.0)

    for number in range(100):
        cache.put(large, b"%d" % number, Captured(200), 60.0, 1.0)

    assert cache.get(small, b"k", 2.0) is not None
    assert large.meter.cache_evictions > 90


def test_a_route_whose_last_shelf_is_cleared_leaves_nothing_behind() -> None:
    cache = Cache()
    one, other = a_shelf(cache), a_shelf(cache)

    cache.clear(one)
    cache.clear(one)
    assert list(cache.rooms) == ["shop/a"]
    cache.clear(other)

    assert cache.rooms == {}
