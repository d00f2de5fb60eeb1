"""The parts: faults of the journal are values when they reach a client, and noting the time opens no file."""

import os
import resource
import typing

import pytest

from fanout_dispatcher.engine.engine import Engine
from fanout_dispatcher.journal.faults import JournalFault
from fanout_dispatcher.parts import Door, machine_clock
from fanout_dispatcher.values.answers import Turned
from fanout_dispatcher.values.views import EventView


class Away:
    """Whoever knows of events cannot be asked."""

    async def event(self, receipt: str) -> EventView | None:
        raise JournalFault("worker 1: it is starting")


async def test_an_event_whose_journal_is_away_can_be_asked_for_later() -> None:
    door = Door(typing.cast(Engine, None), Away())

    said = await door.event("r1")

    assert isinstance(said, Turned)
    assert (said.status, said.reason, said.retry_after) == (503, "JournalUnavailable", 5)


def test_a_commit_can_note_the_time_when_no_file_can_be_opened() -> None:
    before = machine_clock()
    free = os.open("/dev/null", os.O_RDONLY)
    os.close(free)
    limits = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, limits[1]))
    try:
        with pytest.raises(OSError, match="Too many open files"):
            os.open("/dev/null", os.O_RDONLY)
        now = machine_clock()
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    assert now.boot == before.boot
    assert now.boottime > before.boottime
