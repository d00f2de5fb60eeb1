"""The supervisor of real worker processes, stopped before it has begun."""

import asyncio
import contextlib
import gc
import os
import pathlib
import signal
import typing

import pytest

from fanout_crds.outlet import Outlet
from fanout_dispatcher.parts import MEMORY_BYTES
from fanout_dispatcher.settings import Settings
from fanout_dispatcher.values.address import Address
from fanout_dispatcher.workers.messages import Orders, Stopping
from fanout_dispatcher.workers.slot import Slot
from fanout_dispatcher.workers.supervisor import Supervisor
from tests.unit.dispatcher.admin.fakes import log

WAIT: typing.Final = 20.0  # seconds: whoever waits longer has failed


async def test_one_that_is_stopped_while_its_workers_start_ends_without_a_fault(tmp_path: pathlib.Path) -> None:
    """A gather that is given up has an exception, which is a fault in the log when nobody looks at it."""
    faults: list[dict[str, typing.Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, fault: faults.append(fault))
    anywhere = Address("127.0.0.1", 0)
    settings = Settings(data=tmp_path, paths=(tmp_path,), workers=2, listen=anywhere, admin=anywhere)
    with Outlet(None) as stderr:
        running = asyncio.create_task(Supervisor(settings, {}, log(), stderr).run())
        await asyncio.sleep(0)  # it has begun, and waits for its workers
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, WAIT)
    gc.collect()

    assert faults == []


async def test_journals_that_were_left_behind_have_their_part_of_the_bound(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also those that have nothing to send: what is in their files is on the same disk."""
    told: asyncio.Queue[Orders] = asyncio.Queue()
    monkeypatch.setattr(Slot, "live", lambda slot: told.put(slot._orders))  # instead of a worker's life
    anywhere = Address("127.0.0.1", 0)
    settings = Settings(
        data=tmp_path, paths=(tmp_path,), workers=2, listen=anywhere, admin=anywhere, journal_bytes=41 << 20
    )
    with Outlet(None) as stderr:
        running = asyncio.create_task(Supervisor(settings, {2: True, 7: False}, log(), stderr).run())
        async with asyncio.timeout(WAIT):
            given = [await told.get() for _ in range(4)]
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, WAIT)

    assert [one.worker for one in given] == [0, 1, 2, 7]
    assert {one.journals for one in given} == {4}
    assert sum(one.journal_bytes for one in given) == 41 << 20
    assert sum(one.memory_bytes for one in given) == MEMORY_BYTES
    assert max(one.journal_bytes for one in given) < 11 << 20


@pytest.mark.parametrize(("patience", "killed"), [(1.0, set()), (0.0, {0, 1})])
async def test_workers_are_killed_only_when_they_take_longer_than_they_said(
    tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch, patience: float, killed: set[int]
) -> None:
    """The supervisor does not know what is in flight: it may be to a route that is gone."""

    async def live(slot: Slot) -> None:
        await slot._stopping.wait()
        slot._heard(Stopping(patience=patience))
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(ends[slot.number].wait(), 0.5)

    ends = [asyncio.Event(), asyncio.Event()]
    monkeypatch.setattr(Slot, "live", live)
    monkeypatch.setattr(Slot, "kill", lambda slot: ends[slot.number].set())
    monkeypatch.setattr("fanout_dispatcher.parts.GRACE", 0.05)
    monkeypatch.setattr("fanout_dispatcher.workers.supervisor.BEYOND", 0.05)
    anywhere = Address("127.0.0.1", 0)
    settings = Settings(data=tmp_path, paths=(tmp_path,), workers=2, listen=anywhere, admin=anywhere)
    with Outlet(None) as stderr:
        running = asyncio.create_task(Supervisor(settings, {}, log(), stderr).run())
        await asyncio.sleep(0.05)
        os.kill(os.getpid(), signal.SIGTERM)
        await asyncio.wait_for(running, WAIT)

    assert {number for number, end in enumerate(ends) if end.is_set()} == killed
