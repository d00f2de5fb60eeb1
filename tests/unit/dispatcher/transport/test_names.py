"""Looking names up: one that hangs holds up nobody else, and nothing about it grows without a bound."""

import asyncio
import collections.abc
import contextlib
import threading

from fanout_dispatcher.transport.names import TOO_MANY, Found, Names, ask_machine
from fanout_dispatcher.transport.shortage import SHORT
from tests.unit.dispatcher.transport.support import PATIENCE, turns


class Machine:
    """A resolver that blocks its thread for names that begin with "silent", until it is released."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.released = threading.Event()

    def __call__(self, name: str) -> list[str]:
        self.asked.append(name)
        if name.startswith("silent"):
            self.released.wait(PATIENCE)
        return [] if name.startswith("missing") else ["192.0.2.1"]


@contextlib.asynccontextmanager
async def machine() -> collections.abc.AsyncIterator[Machine]:
    found = Machine()
    try:
        yield found
    finally:
        found.released.set()


def looked_up(names: Names, *wanted: str) -> list[asyncio.Task[Found]]:
    return [asyncio.ensure_future(_found(names, name)) for name in wanted]


async def _found(names: Names, name: str) -> Found:
    return await names(name)


async def test_names_that_hang_hold_up_no_other_name() -> None:
    async with machine() as asked:
        names = Names(asyncio.get_running_loop(), asked)
        hanging = looked_up(names, *(f"silent-{number}" for number in range(100)))
        await turns()

        async with asyncio.timeout(PATIENCE / 2):
            assert await names("quick") == ["192.0.2.1"]
        assert not any(one.done() for one in hanging)
        asked.released.set()
        assert await asyncio.gather(*hanging) == [["192.0.2.1"]] * 100


async def test_who_asks_for_the_same_name_shares_one_lookup() -> None:
    async with machine() as asked:
        names = Names(asyncio.get_running_loop(), asked)
        waiting = looked_up(names, *["silent"] * 50)
        await turns()
        waiting[0].cancel()
        await turns()
        asked.released.set()

        assert await asyncio.gather(*waiting[1:]) == [["192.0.2.1"]] * 49
        assert asked.asked == ["silent"]


async def test_an_answer_is_not_kept_so_a_target_that_moves_is_followed() -> None:
    async with machine() as asked:
        names = Names(asyncio.get_running_loop(), asked)

        assert [await names("a"), await names("a")] == [["192.0.2.1"]] * 2
        assert asked.asked == ["a", "a"]


async def test_a_failure_is_believed_for_a_second() -> None:
    async with machine() as asked:
        names = Names(asyncio.get_running_loop(), asked)
        for _ in range(100):
            assert await names("missing") == []
        assert asked.asked == ["missing"]

        names._failed["missing"] -= 1.0  # a second later

        assert await names("missing") == []
        assert asked.asked == ["missing", "missing"]


async def test_there_is_a_most_of_threads_and_beyond_it_nobody_is_asked() -> None:
    async with machine() as asked:
        names = Names(asyncio.get_running_loop(), asked, threads=3)
        hanging = looked_up(names, "silent-1", "silent-2", "silent-3")
        await turns()

        assert await names("quick") == TOO_MANY
        asked.released.set()
        await asyncio.gather(*hanging)
        assert await names("quick") == ["192.0.2.1"]
        assert "quick" in asked.asked


async def test_names_known_to_be_slow_leave_half_of_the_threads_to_the_others() -> None:
    async with machine() as asked:
        names = Names(asyncio.get_running_loop(), asked, threads=4)
        names._slow |= {f"silent-{number}" for number in range(10)}
        hanging = looked_up(names, *(f"silent-{number}" for number in range(10)))
        await turns()

        assert await names("quick") == ["192.0.2.1"]
        assert [one.result() for one in hanging if one.done()] == [TOO_MANY] * 8
        asked.released.set()
        await asyncio.gather(*hanging)
        assert repr(names) == "<Names asking=0 failed=0 slow=8>"  # the two that answered are no longer held to be slow


async def test_a_machine_without_a_thread_to_spare_is_short() -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    names = Names(asyncio.get_running_loop())
    original, threading.Thread.start = threading.Thread.start, no_thread  # type: ignore[method-assign]
    try:
        assert await names("a.example") == SHORT
    finally:
        threading.Thread.start = original  # type: ignore[method-assign]
    assert repr(names) == "<Names asking=0 failed=0 slow=0>"


async def test_what_is_remembered_of_names_is_bounded() -> None:
    loop = asyncio.get_running_loop()
    names = Names(loop)
    for number in range(5000):
        names._asking[f"n{number}"] = loop.create_future()
        names._land(f"n{number}", loop.time() - 30, [])

    assert len(names._failed) <= 1024
    assert len(names._slow) <= 1024


async def test_after_a_storm_a_few_threads_are_kept() -> None:
    async with machine() as asked:
        names = Names(asyncio.get_running_loop(), asked)
        before = threading.active_count()
        hanging = looked_up(names, *(f"silent-{number}" for number in range(50)))
        await turns()
        assert names._alive == 50
        asked.released.set()
        await asyncio.gather(*hanging)

        assert names._alive == 4
        async with asyncio.timeout(PATIENCE):
            while threading.active_count() > before + 4:  # noqa: ASYNC110 - a thread's end is no event of the loop
                await asyncio.sleep(0.01)
        assert await names("quick") == ["192.0.2.1"]


def test_the_machine_knows_itself() -> None:
    assert set(ask_machine("localhost")) <= {"127.0.0.1", "::1"}
