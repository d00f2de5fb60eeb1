"""Callers who wait for targets (``respond.mode: Settled``), all of one engine, and what they may occupy.

A caller is a witness: it hears what becomes of deliveries and changes nothing about them. When it is answered, too
late, or gone, they go on as their policies say. What it hears is what the journal has: a state that is not on disk yet
could be another after a crash, and the caller would have been told a thing that never was.

Memory is bounded here: so many callers, so many of one route, so many bytes of answers that are kept for them. Whoever
comes beyond that is turned away before anything is accepted.
"""

import typing

import msgspec

from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.caller import Caller
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.deadlines import Deadlines
from fanout_dispatcher.engine.pending import Pending
from fanout_dispatcher.engine.waits import Waits
from fanout_dispatcher.values.answer import Captured
from fanout_dispatcher.values.answers import Tell, Turned
from fanout_dispatcher.values.desk import RouteMeter

MOST: typing.Final = 10_000  # callers; each may hold a connection of the data port, which has as many
MOST_OF_A_ROUTE: typing.Final = 2_500  # of these: one route whose targets hang leaves places to others
MOST_BYTES: typing.Final = 128 << 20  # of answers that are kept for callers; beyond it bodies are left out
BUSY: typing.Final = 1  # seconds after which one that was turned away may try again
PARTING: typing.Final = 1.0  # seconds that callers are left, once this dispatcher is shutting down


class Callers:
    """Who waits, by route; and the bytes that are kept for them."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.loop = clock.loop
        self.deadlines = Deadlines(clock.loop)
        self.by_route: dict[str, dict[Caller, None]] = {}  # in order
        self.count = 0
        self.bytes = 0
        self.draining = False

    def turned(self, route: str) -> Turned | None:
        """Why one more caller of *route* cannot wait here, if so."""
        most = self.count >= MOST or len(self.by_route.get(route, ())) >= MOST_OF_A_ROUTE
        if not most and self.bytes < MOST_BYTES:
            return None
        detail = "too many callers wait for answers here: nothing was accepted, try again"
        return Turned(status=503, reason="TooManyWaiting", detail=detail, retry_after=BUSY)

    def wait(self, waits: Waits, meter: RouteMeter, tell: Tell) -> Caller:
        """Let one more caller wait; its time runs from now on."""
        caller = Caller(self, waits, meter, tell)
        self.deadlines.add(caller, self.loop.time() + waits.rule.timeout)
        others = self.by_route.get(meter.route)
        if others is None:
            self.by_route[meter.route] = {caller: None}
        else:
            others[caller] = None
        self.count += 1
        meter.waiting += 1
        return caller

    def left(self, caller: Caller) -> None:
        """One caller less."""
        self.deadlines.drop(caller)
        meter = caller.meter
        others = self.by_route[meter.route]
        del others[caller]
        if not others:
            del self.by_route[meter.route]
        self.count -= 1
        self.bytes -= caller.bytes
        meter.waiting -= 1

    def keep(self, answer: Captured) -> Captured:
        """Account for what is kept for a caller; without its body, and marked so, when there is no room for that."""
        if self.bytes + len(answer.body) > MOST_BYTES:
            return msgspec.structs.replace(answer, body=b"", truncated=True)
        self.bytes += len(answer.body)
        return answer

    def events(self, route: str, book: Book) -> list[Pending]:
        """The events of *route* in *book* that somebody waits for, and that are accepted."""
        return [caller.pending for caller in self._of(route, book) if caller.pending and caller.receipt]

    def held(self, route: str, target: str, why: str, book: Book) -> None:
        """Nothing of *book* is sent to *target* now, for *why*.

        Whoever waits for it, and has nothing in flight, hears it.
        """
        for caller in self._of(route, book):
            caller.held(target, why)

    def _of(self, route: str, book: Book) -> list[Caller]:
        """Who waits at *route*: of one whose durability was changed, for what is in *book*."""
        return [caller for caller in self.by_route.get(route, ()) if caller.waits.book is book]

    def drain(self) -> None:
        """Shutting down: every caller is answered within a moment."""
        self.draining = True
        self.loop.call_later(PARTING, self.close)

    def close(self) -> None:
        """Nothing more will be heard: whoever is left is answered now."""
        for caller in [caller for callers in self.by_route.values() for caller in callers]:
            caller.late()
