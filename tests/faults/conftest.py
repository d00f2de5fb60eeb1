"""What all fault runs share: how long they last, and a place to run in.

In the suite each has its short form; ``make faults`` passes ``--long``.
"""

import asyncio
import typing

import pytest

from tests.process.conftest import bench
from tests.support.dispatcher import Load, Process
from tests.support.ledger import settled
from tests.support.targets import Target

__all__ = ["bench"]


class Form:
    """The short or the long form of a fault run."""

    def __init__(self, *, long: bool) -> None:
        self.long = long

    def __call__(self, short: float, long: float) -> float:
        """One of two amounts."""
        return long if self.long else short


def patient(attempt: str = "2s", wait: str = "50ms") -> dict[str, typing.Any]:
    """A policy that never gives up during a test, asks again after *wait*, and asks whatever happens."""
    return {
        "retry": {
            "backoff": {"type": "Constant", "baseDelay": wait, "jitter": "None"},
            "budget": {"mode": "Disabled"},
        },
        "circuitBreaker": {"mode": "Disabled"},
        "timeouts": {"attempt": attempt},
    }


async def cut_short(
    process: Process,
    targets: list[Target],
    lives: int,
    end: typing.Callable[[], typing.Awaitable[None]],
    *,
    after: typing.Callable[[], float],
    connections: int = 8,
) -> dict[str, str]:
    """Life after life under load, each ended by *end* some seconds *after* its start, then one that settles all.

    In every second one all targets are frozen: what they had not read by its end is never taken for a delivery. Gives
    what was acknowledged: event id -> receipt.
    """
    accepted: dict[str, str] = {}
    for life in range(1, lives + 1):
        for target in targets:
            target.life = life  # what a restart sends is the new life's
        await process.start()
        if life % 2:
            for target in targets:
                target.freeze()
        load = Load(process, life, connections=connections).start()
        await asyncio.sleep(after())
        await end()
        await load.stop()
        for target in targets:
            target.cut()
        accepted |= load.accepted
    for target in targets:
        target.life = lives + 1
    await process.start()
    await settled(process)
    return accepted


@pytest.fixture
def form(request: pytest.FixtureRequest) -> Form:
    """Short in the suite, long by ``make faults``."""
    return Form(long=request.config.getoption("--long"))
