"""The door between data port and engine: faults of the journal are values when they reach a client."""

import typing

from fanout_dispatcher.engine.engine import Engine
from fanout_dispatcher.journal.protocol import JournalFault
from fanout_dispatcher.parts import Door
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
