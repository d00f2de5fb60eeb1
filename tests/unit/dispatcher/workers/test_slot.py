"""A worker's place, with real processes: filled again whoever ends it; a first one that cannot start says why."""

import asyncio
import collections.abc
import contextlib
import os
import pathlib
import signal

import pytest

from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.settings import Unstartable
from fanout_dispatcher.workers.link import framed
from fanout_dispatcher.workers.messages import (
    EVENT,
    Adopt,
    CaughtUp,
    EventOf,
    Opened,
    Orders,
    Plans,
    Question,
    Retire,
    Told,
)
from fanout_dispatcher.workers.shares import Share
from fanout_dispatcher.workers.slot import Slot
from tests.support.plans import a_plan, a_target
from tests.unit.dispatcher.admin.fakes import log

WAIT = 20.0  # seconds: whoever waits longer has failed


class House:
    """Lets workers work, and keeps what it hears."""

    def __init__(self) -> None:
        self.opened_times = 0
        self.again = asyncio.Event()
        self.deaths: list[str] = []

    def opened(self, slot: Slot, opened: Opened) -> None:
        self.opened_times += 1
        if self.opened_times == 2:
            self.again.set()
        slot.write(framed(CaughtUp()))

    def told(self, slot: Slot, told: Told) -> None:
        slot.picture.take(told)

    def died(self, slot: Slot, why: str) -> None:
        self.deaths.append(why)
        slot.picture.died(why)

    async def asked(self, slot: Slot, question: Question) -> object:
        return None


def orders(data: pathlib.Path) -> Orders:
    return Orders(
        worker=3,
        share=Share(0, 1),
        data=str(data),
        journal_bytes=1 << 30,
        journals=1,
        memory_bytes=1 << 20,
        allow_loopback=True,
        allow_cidrs=(),
        own=(),
        log_level="error",
        log_format="json",
    )


@contextlib.asynccontextmanager
async def living(data: pathlib.Path, silence: float = 15.0) -> collections.abc.AsyncIterator[tuple[Slot, House]]:
    house = House()
    slot = Slot(orders(data), None, house=house, log=log(), silence=silence)
    life = asyncio.create_task(slot.live())
    try:
        async with asyncio.timeout(WAIT):
            yield slot, house
    finally:
        slot.stop()
        await life


def pid_of(data: pathlib.Path) -> int:
    return int((data / "journal-3.db.lock").read_text())


async def test_a_killed_worker_is_replaced_and_one_that_is_told_to_stop_is_not(
    tmp_path: pathlib.Path,
) -> None:
    async with living(tmp_path) as (slot, house):
        await slot.taking()
        first = pid_of(tmp_path)
        os.kill(first, signal.SIGKILL)
        await house.again.wait()

        assert await slot.ask(EventOf("3-1-ff"), EVENT) is None, "a question waits until somebody is there"
        second = pid_of(tmp_path)

    assert second != first
    assert house.deaths == ["its process ended with -9; it is started again"]
    assert not pathlib.Path(f"/proc/{second}").exists()


async def test_what_changes_while_a_worker_starts_waits_until_its_journal_is_open(tmp_path: pathlib.Path) -> None:
    changed = framed(Plans(changes=(Retire(route="shop/gone"),), known=True))

    async with living(tmp_path) as (slot, house):
        while not slot.first.done():
            slot.write(changed)
            await asyncio.sleep(0.01)
        await slot.taking()

    assert house.deaths == []


async def test_a_worker_that_hangs_is_ended_and_replaced(tmp_path: pathlib.Path) -> None:
    async with living(tmp_path, silence=1.0) as (slot, house):
        await slot.taking()
        os.kill(pid_of(tmp_path), signal.SIGSTOP)
        await house.again.wait()

    assert house.deaths == ["its process ended with -9; it is started again"]


async def test_the_first_one_that_cannot_start_says_why_and_is_not_tried_again(tmp_path: pathlib.Path) -> None:
    (tmp_path / "data").write_text("a file")

    async with living(tmp_path / "data") as (slot, house):
        with pytest.raises(Unstartable, match=r"journal-3\.db cannot be written: File exists .*; give a folder"):
            await slot.first

    assert (house.opened_times, house.deaths) == (0, [])


async def test_a_process_that_cannot_be_made_is_tried_again(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with living(tmp_path) as (slot, house):
        await slot.taking()
        with monkeypatch.context() as short:
            short.setattr("fanout_dispatcher.workers.slot.sys.executable", str(tmp_path / "gone"))
            os.kill(pid_of(tmp_path), signal.SIGKILL)
            while len(house.deaths) < 2:  # noqa: ASYNC110 (the slot tries by itself)
                await asyncio.sleep(0.02)
        await house.again.wait()

    assert house.deaths[1] == "its process cannot be started: No such file or directory; it is started again"


async def test_a_question_to_nobody_does_not_wait_for_ever(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout_dispatcher.workers.slot.PATIENCE", 0.05)
    slot = Slot(orders(tmp_path), None, house=House(), log=log())

    with pytest.raises(JournalFault, match="worker 3: it is starting"):
        await slot.ask(EventOf("3-1-ff"), EVENT)
    slot.first.cancel()


async def test_a_worker_that_stops_tells_how_long_what_is_in_flight_may_take_also_to_what_was_taken_out_of_force(
    tmp_path: pathlib.Path,
) -> None:
    slow = a_plan(a_target("a", policy={"timeouts": {"attempt": 90.0}}))
    async with living(tmp_path) as (slot, _):
        await slot.taking()
        slot.write(framed(Plans(changes=(Adopt(plan=slow, credentials={}), Retire(route=slow.key)), known=True)))

    assert slot.patience == 90.0
