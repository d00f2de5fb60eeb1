"""Engine time: a base read once, plus the event loop's monotonic clock.

Everything durable is dated in engine time. It runs on through restarts (the journal says where to go on) and never
jumps with the wall clock; wall time is only for people, and for dates that a target sends. A wall clock may be put
right while the process runs (a machine that began with the wrong time, or was suspended), and then a date a few seconds
ahead must not be read as hours ahead: so wall time follows the machine's when that was set.
"""

import asyncio
import typing

SET: typing.Final = 1.0  # seconds: a wall clock that differs by more was set; dates are no more exact than that


class Clock:
    """Seconds. *base* is the engine time at this moment, *wall* reads the machine's wall clock."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, base: float, wall: typing.Callable[[], float]) -> None:
        self.loop = loop
        self.offset = base - loop.time()
        self._read = wall
        self._behind = wall() - base

    def now(self) -> float:
        """Engine time."""
        return self.loop.time() + self.offset

    def wall(self, at: float) -> float:
        """The wall-clock time that engine time *at* corresponds to, as the wall clock is set now."""
        behind = self._read() - self.now()
        if abs(behind - self._behind) > SET:
            self._behind = behind
        return at + self._behind

    def on_loop(self, at: float) -> float:
        """The loop time of engine time *at*, for ``call_at``."""
        return at - self.offset
