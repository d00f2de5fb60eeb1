"""Engine time: a base read once, plus the event loop's monotonic clock.

Everything durable is dated in engine time. It runs on through restarts (the journal says where to go on) and never
jumps with the wall clock; wall time is only for people, and for dates that a target sends.
"""

import asyncio


class Clock:
    """Seconds. *base* is the engine time at this moment, *wall* the wall-clock time at this moment."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, base: float, wall: float) -> None:
        self.loop = loop
        self.offset = base - loop.time()
        self.behind = wall - base

    def now(self) -> float:
        """Engine time."""
        return self.loop.time() + self.offset

    def wall(self, at: float) -> float:
        """The wall-clock time that engine time *at* corresponds to."""
        return at + self.behind

    def on_loop(self, at: float) -> float:
        """The loop time of engine time *at*, for ``call_at``."""
        return at - self.offset
