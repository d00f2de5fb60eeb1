"""Ration: what large bodies on their way may take of this process's memory, all targets together.

A bulkhead counts attempts, not bytes: twenty slow targets with 64 slots each would hold 1.3 GB in bodies of a megabyte,
and the next start, with the same backlog, would do it again. So bodies in flight come out of one pool, and a target may
take as much as is left in it: one alone gets half of the pool, two greedy ones a third each, and there is as much again
for whoever comes next (Choudhury and Hahne, "Dynamic queue length thresholds for shared-memory packet switches", 1998).
When nothing is left each still has its share, and one body always. Targets with small bodies are not concerned.
"""

import typing

from fanout_dispatcher.policies.gate import Crossing
from fanout_dispatcher.values.event import Event
from fanout_dispatcher.values.outcome import Outcome

LARGE: typing.Final = 64 << 10  # bytes; smaller bodies are not counted: 64 slots full of them are 4 MiB
POOL: typing.Final = 128 << 20  # bytes, for all targets
SHARE: typing.Final = 1 << 20  # bytes that a target may have in flight though the pool is empty
PAUSE: typing.Final = 0.25  # seconds; what another target gives back may be enough, and nobody tells


class Pool:
    """Counts the bodies in flight, each once however many targets get it."""

    __slots__ = ("bytes", "flights")

    def __init__(self) -> None:
        self.bytes = 0
        self.flights: dict[int, int] = {}  # by the event's identity: how many of its deliveries are in flight

    def __repr__(self) -> str:
        return f"<Pool {self.bytes}/{POOL} bytes>"

    def enter(self, event: Event) -> None:
        """One more flight carries *event*."""
        flights = self.flights.get(id(event), 0)
        self.flights[id(event)] = flights + 1
        if not flights:
            self.bytes += len(event.body)

    def leave(self, event: Event) -> None:
        """One less; with the last one its body is on its way to nobody."""
        flights = self.flights.pop(id(event)) - 1
        if flights:
            self.flights[id(event)] = flights
        else:
            self.bytes -= len(event.body)


class Ration:
    """One target's part of *pool*."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.bytes = 0

    def __repr__(self) -> str:
        return f"<Ration {self.bytes} of {self.pool}>"

    def opens_at(self, now: float) -> float:
        """Open below its share, so that one body always may go, and while it has less than the pool has left."""
        return now if self.bytes < SHARE or self.bytes < POOL - self.pool.bytes else now + PAUSE

    def enter(self, flight: Crossing, now: float) -> None:
        """Take what a large body needs."""
        size = len(flight.event.body)
        if size >= LARGE:
            self.bytes += size
            self.pool.enter(flight.event)

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """Give it back, whatever the outcome."""
        size = len(flight.event.body)
        if size >= LARGE:
            self.bytes -= size
            self.pool.leave(flight.event)
