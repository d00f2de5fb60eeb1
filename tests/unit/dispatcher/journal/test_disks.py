"""Disks run jobs one after the other and bring every result to the loop, as a value."""

import asyncio
import functools
import random
import threading

import pytest

from fanout_dispatcher.journal.disk import LoopDisk, ThreadDisk
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.journal.memory import MemoryJournal
from fanout_dispatcher.journal.protocol import Batch, Journal, Recovered


def opened() -> MemoryJournal:
    journal = MemoryJournal()
    journal.open()
    return journal


async def test_a_thread_runs_jobs_in_order_and_answers_on_the_loop() -> None:
    disk = ThreadDisk(opened(), asyncio.get_running_loop())
    seen: list[tuple[int, str]] = []
    answered: list[str] = []

    def note(number: int, _: Journal) -> None:
        seen.append((number, threading.current_thread().name))

    disk.start()
    for number in range(5):
        disk.run(functools.partial(note, number), lambda _: answered.append(threading.current_thread().name))
    await disk.stop()

    assert seen == [(number, "journal") for number in range(5)]
    assert answered == [threading.current_thread().name] * 5


async def test_a_fault_of_the_journal_arrives_as_a_value() -> None:
    disk = ThreadDisk(MemoryJournal(), asyncio.get_running_loop())
    got: list[object] = []
    disk.start()
    disk.run(lambda journal: journal.commit(Batch()), got.append)
    await disk.stop()

    assert [type(answer) for answer in got] == [JournalFault]


async def test_jobs_handed_in_before_the_start_wait_for_it() -> None:
    disk = ThreadDisk(MemoryJournal(), asyncio.get_running_loop())
    got: asyncio.Future[Recovered | Exception] = asyncio.get_running_loop().create_future()
    disk.run(lambda journal: journal.open(), got.set_result)
    disk.start()

    answer = await got

    assert isinstance(answer, Recovered)
    assert "alive=True" in repr(disk)
    await disk.stop()
    await disk.stop()
    assert "alive=False" in repr(disk)


async def test_a_callback_may_hand_in_the_next_job() -> None:
    loop = asyncio.get_running_loop()
    for disk in (ThreadDisk(opened(), loop), LoopDisk(opened())):
        ended = asyncio.Event()

        def first(_: object, disk: ThreadDisk | LoopDisk = disk, ended: asyncio.Event = ended) -> None:
            disk.run(lambda journal: journal.event(1), lambda _: ended.set())

        if isinstance(disk, ThreadDisk):
            disk.start()
        disk.run(lambda journal: journal.event(1), first)

        await ended.wait()
        if isinstance(disk, ThreadDisk):
            await disk.stop()


def test_a_loop_that_is_closed_is_told_nothing_more() -> None:
    loop = asyncio.new_event_loop()
    disk = ThreadDisk(opened(), loop)
    loop.close()
    disk.run(lambda journal: journal.event(1), lambda _: pytest.fail("nobody listens"))
    disk.start()

    disk._thread.join(timeout=10)

    assert not disk._thread.is_alive()


async def test_the_loop_never_runs_a_job_inside_the_call() -> None:
    disk = LoopDisk(opened())
    order: list[str] = []
    disk.run(lambda journal: order.append("job"), lambda _: order.append("done"))
    order.append("after")

    await asyncio.sleep(0)

    assert order == ["after", "job", "done"]


async def test_latencies_of_one_seed_keep_the_order_of_jobs() -> None:
    disk = LoopDisk(opened(), rng=random.Random(7), latency=(0.0, 0.002))
    order: list[int] = []
    ended = asyncio.Event()

    def note(number: int, _: Journal) -> None:
        order.append(number)

    for number in range(6):
        disk.run(functools.partial(note, number), lambda _: None)
    disk.run(lambda journal: None, lambda _: ended.set())
    await ended.wait()

    assert order == list(range(6))


async def test_stopping_forgets_what_waits_as_a_crash_would() -> None:
    disk = LoopDisk(opened())
    ran: list[Journal] = []
    disk.run(ran.append, lambda _: None)
    disk.stop()

    await asyncio.sleep(0)

    assert ran == []
    assert repr(disk) == "LoopDisk(waiting=0)"


async def test_a_callback_that_fails_does_not_stop_the_others() -> None:
    disk = LoopDisk(opened())
    failures: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context["exception"]))
    ended = asyncio.Event()

    def fails(_: object) -> None:
        raise RuntimeError("the caller's")

    disk.run(lambda journal: None, fails)
    disk.run(lambda journal: None, lambda _: ended.set())
    await ended.wait()

    assert [str(failure) for failure in failures] == ["the caller's"]
