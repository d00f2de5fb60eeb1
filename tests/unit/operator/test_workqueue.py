"""The work queue: one at a time per key, nothing lost, failures come back later."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from fanout_operator.backoff import Backoff
from fanout_operator.kube import Conflict, TooMany
from fanout_operator.workqueue import WorkQueue
from tests.unit.operator.made import rng


@asynccontextmanager
async def running(handle: Callable[[str], Awaitable[None]], workers: int = 4) -> AsyncIterator[WorkQueue]:
    queue = WorkQueue("test", handle, workers=workers, rng=rng())
    task = asyncio.create_task(queue.run())
    try:
        yield queue
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_a_key_put_many_times_while_it_waits_is_worked_on_once() -> None:
    done: list[str] = []

    async def handle(key: str) -> None:
        done.append(key)

    async with running(handle) as queue:
        for _ in range(100):
            queue.put("a/b")
        await queue.drained()

    assert done == ["a/b"]


async def test_a_key_put_while_it_is_worked_on_is_worked_on_once_more_and_never_twice_at_once() -> None:
    running_now, most, done = 0, 0, 0
    started = asyncio.Event()

    async def handle(_key: str) -> None:
        nonlocal running_now, most, done
        running_now += 1
        most = max(most, running_now)
        started.set()
        await asyncio.sleep(0.01)
        running_now -= 1
        done += 1

    async with running(handle) as queue:
        queue.put("a/b")
        await started.wait()
        for _ in range(10):
            queue.put("a/b")
        await queue.drained()

    assert (most, done) == (1, 2)


async def test_different_keys_are_worked_on_beside_each_other() -> None:
    both = asyncio.Barrier(2)

    async def handle(_key: str) -> None:
        await both.wait()

    async with running(handle) as queue:
        queue.put("a/b")
        queue.put("c/d")
        async with asyncio.timeout(5):
            await queue.drained()

    assert queue.done == 2


async def test_a_failed_key_comes_back_and_does_not_hold_up_the_others() -> None:
    tried: list[str] = []
    again = asyncio.Event()

    async def handle(key: str) -> None:
        tried.append(key)
        if key == "bad" and tried.count("bad") == 1:
            raise Conflict("somebody else was faster")
        if tried.count("bad") == 2:
            again.set()

    async with running(handle, workers=1) as queue:
        queue.put("bad")
        queue.put("good")
        async with asyncio.timeout(5):
            await again.wait()
            await queue.drained()

    assert tried == ["bad", "good", "bad"]
    assert (queue.done, queue.failed) == (2, 1)


async def test_a_mistake_of_ours_with_one_key_stops_nothing() -> None:
    again = asyncio.Event()
    tried = 0

    async def handle(_key: str) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise ZeroDivisionError
        again.set()

    async with running(handle) as queue:
        queue.put("a/b")
        async with asyncio.timeout(5):
            await again.wait()

    assert tried == 2


async def test_the_api_servers_own_wait_is_obeyed() -> None:
    times: list[float] = []
    again = asyncio.Event()

    async def handle(_key: str) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 1:
            raise TooMany("slow down", 0.3)
        again.set()

    async with running(handle) as queue:
        queue.put("a/b")
        async with asyncio.timeout(5):
            await again.wait()

    assert times[1] - times[0] >= 0.29


async def test_a_new_event_does_not_wait_for_the_backoff() -> None:
    tried = 0
    again = asyncio.Event()

    async def handle(_key: str) -> None:
        nonlocal tried
        tried += 1
        if tried == 1:
            raise TooMany("slow down", 3600)
        again.set()

    async with running(handle) as queue:
        queue.put("a/b")
        await queue.drained()
        queue.put("a/b")
        async with asyncio.timeout(5):
            await again.wait()

    assert tried == 2


def test_waits_grow_are_capped_and_never_nothing() -> None:
    backoff = Backoff(base=1.0, cap=8.0)
    waits = [[backoff.wait(failures, rng()) for _ in range(50)] for failures in range(1, 80)]

    assert max(waits[0]) <= 1.0
    assert max(max(each) for each in waits) <= 8.0
    assert min(min(each) for each in waits) >= 0.1


async def test_a_key_put_ahead_goes_before_all_that_wait_and_one_that_waited_already_moves_up() -> None:
    done: list[str] = []

    async def handle(key: str) -> None:
        done.append(key)
        await asyncio.sleep(0)

    async with running(handle, workers=1) as queue:
        for key in ("a", "b", "c"):
            queue.put(key)
        queue.put("c", ahead=True)
        queue.put("d", ahead=True)
        queue.put("d")  # said again by somebody who does not mind: it stays ahead
        await queue.drained()

    assert done == ["c", "d", "a", "b"]


async def test_a_key_put_ahead_while_it_runs_is_ahead_again_afterwards() -> None:
    done: list[str] = []

    async def handle(key: str) -> None:
        done.append(key)
        if done == ["a"]:
            queue.put("a", ahead=True)
            queue.put("a")

    async with running(handle, workers=1) as queue:
        queue.put("a")
        queue.put("b")
        await queue.drained()

    assert done == ["a", "a", "b"]


async def test_keys_that_need_no_io_leave_the_loop_to_others() -> None:
    turns = 0

    async def handle(_key: str) -> None:
        pass

    async def other() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    async with running(handle, workers=1) as queue:
        for number in range(100):
            queue.put(str(number))
        await queue.drained()
    task.cancel()

    assert turns >= 100


async def test_of_two_times_that_a_key_is_put_for_the_sooner_one_counts() -> None:
    done = asyncio.Event()

    async def handle(_key: str) -> None:
        done.set()

    async with running(handle) as queue:
        queue.put_later("a/b", 3600)
        queue.put_later("a/b", 0)
        queue.put_later("a/b", 7200)
        async with asyncio.timeout(5):
            await done.wait()
        assert repr(queue).endswith("later=0 done=1 failed=0>")
