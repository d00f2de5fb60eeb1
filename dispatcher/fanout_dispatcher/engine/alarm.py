"""When a parked lane wakes: one timer, at the earliest time that it was asked for."""

import asyncio
import typing

from fanout_dispatcher.engine.clock import Clock

GRAIN: typing.Final = 0.001  # seconds: loops round timers to milliseconds, and one that fires early would fire again


class Alarm:
    """Rings *ring*; an earlier timer is left to fire."""

    __slots__ = ("_at", "_clock", "_ring", "_timer")

    def __init__(self, clock: Clock, ring: typing.Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._timer: asyncio.TimerHandle | None = None
        self._at = 0.0  # loop time of the timer

    def __repr__(self) -> str:
        return "<Alarm off>" if self._timer is None else f"<Alarm {self._at:.3f}>"

    def set(self, at: float) -> None:
        """Ring at *at* (engine time) at the latest."""
        when = self._clock.on_loop(at) + GRAIN
        if self._timer is not None:
            if self._at <= when:
                return
            self._timer.cancel()
        self._at = when  # not asked of the timer: for a time that is past, uvloop's cannot say
        self._timer = self._clock.loop.call_at(when, self._rings)

    def _rings(self) -> None:
        self._timer = None
        self._ring()
