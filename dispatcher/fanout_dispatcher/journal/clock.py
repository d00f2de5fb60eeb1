"""Durable time: how far the engine's clock must jump ahead when a journal is opened again.

The engine counts seconds from a base of its own. A journal keeps that number together with three facts about the
machine, so that a restart knows how long nobody was there: within one boot CLOCK_BOOTTIME says it exactly (it runs
on in suspend and no one can set it); across boots only the wall clock can, and a wall clock that was set back counts
as no time at all.
"""

import msgspec


class Clock(msgspec.Struct, frozen=True):
    """What the machine knows of time at one moment; read in the composition root only."""

    boot: str  # /proc/sys/kernel/random/boot_id
    boottime: float  # CLOCK_BOOTTIME, s
    wall: float  # s since the epoch


EPOCH = Clock("", 0.0, 0.0)  # for simulations, where only the engine's own clock moves


def away(then: Clock, now: Clock) -> float:
    """Seconds between two readings, never negative."""
    elapsed = now.boottime - then.boottime if now.boot == then.boot else now.wall - then.wall
    return max(0.0, elapsed)
