"""Workers whose supervisor was killed: they let what is in flight land, and have journals and data port until then.

A start that meets them waits for them. It knows them by a state file that was left behind: beside a dispatcher that
runs nobody waits, for that one's journals and ports have to be refused at once.
"""

import asyncio
import contextlib
import pathlib
import typing

from fanout_dispatcher import parts, state
from fanout_dispatcher.journal.sqlite import lock

PATIENCE: typing.Final = parts.GRACE + 1.0  # seconds: they end themselves within parts.GRACE
AGAIN: typing.Final = 0.02


async def outlast(data: pathlib.Path) -> None:
    """Wait until the workers of a killed supervisor on *data* have ended, PATIENCE at most."""
    if not state.left_behind(data):
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(PATIENCE):
            while _held(data):  # noqa: ASYNC110 (a lock tells nobody)
                await asyncio.sleep(AGAIN)


def _held(data: pathlib.Path) -> bool:
    return any(map(lock.held, data.glob("journal*.db")))
