"""The supervisor of real worker processes, stopped before it has begun."""

import asyncio
import gc
import os
import pathlib
import signal
import typing

from fanout_crds.outlet import Outlet
from fanout_dispatcher.settings import Settings
from fanout_dispatcher.values.address import Address
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
