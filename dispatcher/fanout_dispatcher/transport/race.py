"""Dials a target's addresses as RFC 8305 (Happy Eyeballs) §5 says: staggered, and the first to connect wins.

The next dial starts when the last one has had its head start, or as soon as one fails. Whoever loses, or is under
way when the race is called off, is cancelled; a connection that it makes in that very moment is dropped.
"""

import asyncio
import collections
import collections.abc
import typing

from fanout_dispatcher.transport.connection import Connection
from fanout_dispatcher.values.outcome import Failed, Refused

Dialled = Connection | Failed | Refused
Dial = collections.abc.Callable[[], collections.abc.Coroutine[typing.Any, typing.Any, Dialled]]


async def first(dials: collections.abc.Iterable[Dial], *, head_start: float) -> Dialled:
    """Give the first connection that is made, or the last failure. A shortage of our own ends the race.

    *head_start* in seconds. There must be a dial.
    """
    waiting = collections.deque(dials)
    flying: set[asyncio.Task[Dialled]] = set()
    try:
        while True:
            if waiting:
                flying.add(asyncio.ensure_future(waiting.popleft()()))
            done, flying = await asyncio.wait(
                flying, timeout=head_start if waiting else None, return_when=asyncio.FIRST_COMPLETED
            )
            while done:
                outcome = done.pop().result()
                if not isinstance(outcome, Failed) or not (waiting or flying or done):
                    flying |= done
                    return outcome
    finally:
        for task in flying:
            task.add_done_callback(_drop)
            task.cancel()


def _drop(task: asyncio.Task[Dialled]) -> None:
    if not task.cancelled() and isinstance(late := task.result(), Connection):
        late.cancel()
