"""An event loop in virtual time: waiting costs nothing, and one seed decides the order of everything.

A selector that jumps instead of sleeping, and a seeded shuffle of the timers that are due at the same moment. The same
seed gives the same run, whatever the machine does.
"""

import asyncio
import random
import selectors
import typing


class Deadlock(Exception):
    """Nothing is ready and no timer is set: the code under test waits for ever."""


class _Jump(selectors.SelectSelector):
    """Never waits: moves the clock to the next timer instead."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is ready and no timer is set")
        self.now += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """asyncio's own loop on a clock that jumps; *seed* shuffles what is due at the same time."""

    def __init__(self, seed: int = 0) -> None:
        self._jump = _Jump()
        super().__init__(self._jump)
        self._chance = random.Random(f"loop/{seed}")
        self._clock_resolution = 1e-9
        self.faults: list[Exception] = []  # raised by callbacks: a loop goes on without them, and tells nobody
        self.set_exception_handler(self._note)

    def time(self) -> float:
        """Virtual seconds since the loop was made."""
        return self._jump.now

    def call_at(  # type: ignore[override]  # the stubs tie *args to the callback; passing them on needs no such tie
        self, when: float, callback: typing.Any, *args: typing.Any, context: typing.Any = None
    ) -> asyncio.TimerHandle:
        """As asyncio's, with a nanosecond of chance: the seed decides the order of timers of the same moment."""
        return super().call_at(when + self._chance.random() * 1e-9, callback, *args, context=context)

    def _note(self, _: asyncio.AbstractEventLoop, context: dict[str, typing.Any]) -> None:
        fault = context.get("exception")
        if isinstance(fault, Exception):
            self.faults.append(fault)


def run(
    coroutine: typing.Coroutine[typing.Any, typing.Any, typing.Any],
    seed: int = 0,
    faults: list[Exception] | None = None,
) -> typing.Any:
    """Run *coroutine* to its end in virtual time. What callbacks raise is added to *faults*, or raised without them."""
    loop = VirtualLoop(seed)
    try:
        result = loop.run_until_complete(coroutine)
        if faults is None and loop.faults:
            raise loop.faults[0]
        if faults is not None:
            faults += loop.faults
        return result
    finally:
        for task in asyncio.all_tasks(loop):
            task._log_destroy_pending = False  # type: ignore[attr-defined]  # they end where a crash ends them, and
            task.get_coro().close()  # what that wakes is never run
        loop._scheduled.clear()  # type: ignore[attr-defined]  # timers of a simulated crash never fire
        loop.close()
