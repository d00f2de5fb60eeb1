"""A lane: one target's own queue and gates. No lane ever slows another.

Ready deliveries wait in bounded *windows* in memory, one for the *fresh* and one for the *tried*; whatever does not
fit, and every retry, is in the journal's due *index*, and comes back in order. A delivery is in a window or waits in
the index, never both.

The lane asks its gates before it takes work and parks until the time they name. Nothing here awaits.
"""

import functools
import random
import typing

from fanout_crds import plan
from fanout_dispatcher.engine.alarm import Alarm
from fanout_dispatcher.engine.batches import Batches, batches
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.bounds import Bounds
from fanout_dispatcher.engine.dead import DeadLetters
from fanout_dispatcher.engine.ending import empty
from fanout_dispatcher.engine.expiry import Expiry
from fanout_dispatcher.engine.fallbacks import Fallbacks
from fanout_dispatcher.engine.gates import Gates
from fanout_dispatcher.engine.handover import Handover
from fanout_dispatcher.engine.herald import CIRCUIT_OPEN, Herald
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.judging import judge
from fanout_dispatcher.engine.order import Order, order
from fanout_dispatcher.engine.pending import Delivery, Pending
from fanout_dispatcher.engine.reuse import Reuse
from fanout_dispatcher.engine.settling import Settling
from fanout_dispatcher.engine.starting import Starting
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.turns import Turns
from fanout_dispatcher.engine.wheel import time_out
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.journal.protocol import BLOCKED, DeadRow
from fanout_dispatcher.policies.decide import DONE, Rules
from fanout_dispatcher.transport.protocol import Flight, Sender
from fanout_dispatcher.values.event import Attempt
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome, Reason, Verdict

STALE: typing.Final = 5  # seconds after which what waits in memory is written into the index too


class Lane:
    """Carries out the deliveries of one target of one route."""

    def __init__(self, route: str, target: plan.Target, *, book: Book, works: Works) -> None:
        self.route = route
        self.book = book
        self.works = works
        self.clock = works.clock
        self.number, backlog = book.lane(route, target.name)
        self.tally = Tally(route, target.name, backlog)
        self.fresh = Window(works.stock, indexed=backlog.pending > 0)
        self.tried = Window(works.stock, tried=True, indexed=backlog.pending > 0)
        windows = (self.fresh, self.tried)
        self.index = Index(self.number, book=book, windows=windows, woken=self.soon, ranked=backlog.ranked)
        self.order: Order | None = None
        self.herald = Herald(self)
        self.gates = Gates(target.policy, self.herald.circuit_changed, works.pool)
        self.circuit = self.gates.circuit
        self.turns = Turns(self.index, self.gates)
        self.dead = DeadLetters(self.number, book=book, works=works, tally=self.tally, freed=self.index.freed)
        self.bounds = Bounds(target, tally=self.tally, dead=self.dead, journal_bytes=book.max_bytes)
        self.reuse: Reuse | None = None
        self.sender: Sender | None = None
        self.held: str | None = None
        self.ending: Reason | None = None
        self.dirty = False
        self.alarm = Alarm(self.clock, self.soon)
        self.target = target
        self.rules = Rules.of(target.policy)
        self.tally.meter.circuit = self.circuit.shown.value
        self.fallbacks = Fallbacks(self)
        self.handover = Handover(self)
        self.starting = Starting(self)
        self.settling = Settling(self)
        self.expiry = Expiry(self.rules, self.index, works, self.settling.expire)
        self.batches: Batches | None = None
        book.conductor.lanes[self.number] = self.handover

    def __repr__(self) -> str:
        return f"<Lane {self.route}/{self.target.name} {self.held or self.circuit.state} {self.fresh} {self.tried}>"

    @functools.cached_property
    def rng(self) -> random.Random:
        """Chance, made when it is first asked for: it takes 2.5 KB, and most lanes never fail."""
        return self.works.rng(self.route, self.target.name)

    # --- what it is told -------------------------------------------------------------------------------------------

    def adopt(self, target: plan.Target, sender: Sender | None, held: str | None) -> None:
        """Follow a new plan. A sender that is no longer wanted finishes what it has begun."""
        if self.sender is not None and self.sender is not sender:
            self.sender.close()
        if self.reuse is not None and (sender is not self.sender or target != self.target):
            self.forget()
        self.gates.follow(target.policy, self.clock.now())
        if target.url and target.url != self.target.url:
            self.circuit.forget()
        self.target = target
        self.rules = Rules.of(target.policy)
        self.order = order(target.policy)
        self.index.ranked = self.index.ranked or self.order is not None
        self.bounds.follow(target)
        self.batches = batches(self.batches, self, target.policy.batch)
        self.tally.meter.circuit = self.circuit.shown.value
        self.sender = sender
        self.ending = None
        if self.reuse is None and target.cache is not None:
            self.reuse = Reuse(self, target, target.cache)
        self.expiry.follow(self.rules)
        self.hold(held)

    def hold(self, reason: str | None) -> None:
        """Stop sending (None: go on). Nothing is spent; ``timeouts.total`` runs on."""
        self.held = reason
        self.tally.meter.held = reason or ""
        if reason is not None:
            self.herald.held(reason)
        self.soon()

    def end(self, reason: Reason) -> None:
        """The target or its route is gone: dead-letter all that is left, and let what is in flight land."""
        self.ending = reason
        self.forget()
        self.soon()

    def mourn(self, row: DeadRow) -> None:
        """Count and tell a dead letter that the journal has, or is about to have."""
        self.dead.mourn(row, self.target.policy.dead_letter)

    def holds(self) -> bool:
        """A dead letter keeps its place in the order of its key; not one of a target that is no more."""
        return self.order is not None and self.order.holds and self.ending is None

    def promise(self, now: float) -> bool:
        """Room in memory for an event about to be committed; False: it has to go to the index instead."""
        if self.reuse is not None or self.fresh.room(now):  # what a cache answers needs no room: so all of it comes
            self.fresh.promised += 1
            return True
        return False

    def unpromise(self) -> None:
        """The event was refused after all: the place is free."""
        self.fresh.promised -= 1

    def offer(self, pending: Pending, index: int) -> None:
        """The event is committed: the promised place is taken."""
        self.fresh.promised -= 1
        pending.bare += 1
        delivery = Delivery(pending, index)
        if self.reuse is None or not (self.answers(delivery) or self.reuse.spills(delivery)):
            self.fresh.push(delivery)
            if not self.dirty:
                self.works.soon(self)

    def answers(self, delivery: Delivery) -> bool:
        """Take care of a delivery that need not be sent, or not now, since there is a cache."""
        return self.reuse is not None and self.held is None and self.reuse.meets(delivery)

    def left(self, delivery: Delivery) -> None:
        """It will not be sent: nobody waits for its answer."""
        if self.reuse is not None:
            self.reuse.left(delivery)

    def spilled(self, at: float) -> None:
        """The event is committed, with a row in the index."""
        self.fresh.row_added(at)
        if self.reuse is not None and self.circuit.holds:
            self.herald.held(CIRCUIT_OPEN)
        self.soon()

    def soon(self) -> None:
        """Pump in the next turn of the loop."""
        self.works.soon(self)

    # --- pumping ---------------------------------------------------------------------------------------------------

    def pump(self, most: int) -> int:
        """Start whatever may start now, *most* for this time, then park until something can change; say how many."""
        now = self.clock.now()
        if self.ending is not None:
            empty(self)
            return 0
        if self.held is not None:
            return 0
        if self.batches is not None:
            return self.batches.pump(now, most)
        return self._start(now, most)

    def _start(self, now: float, most: int) -> int:
        for taken in range(most):
            at = self.gates.opens_at(now)
            if at > now and self.circuit.holds:  # and pull nothing into memory meanwhile
                self.park(at)
                return taken
            window = self.turns.next(now)
            if window is None:
                self.park(self.turns.resumes_at)
                return taken
            if at > now:
                self.park(at)
                return taken
            delivery = self.turns.take(window)
            if self.reuse is not None and self.reuse.meets(delivery):
                continue
            if delivery.pending.course is not None and not self.book.conductor.goes(self.handover, delivery):
                continue
            if now >= self.rules.expires(delivery.pending.event.accepted):
                self.settling.expire(delivery, now)
            else:
                self._fly(delivery, now)
        self.soon()
        return most

    def _fly(self, delivery: Delivery, now: float) -> None:
        sender = self.sender
        assert sender is not None, f"{self!r} is not held and has no sender"
        started = now - self.clock.offset
        flight = Flight(
            landing=self,
            event=delivery.pending.event,
            target=self.target.name,
            number=delivery.attempts + 1,
            started=started,
            entered=now,
            delivery=delivery,
            capture=self.target.capture,
            sender=sender,
        )
        if delivery.pending.course is not None and not self.starting.at_once(flight, delivery):
            return
        if (caller := delivery.pending.caller) is not None:
            caller.flies(delivery.index)
        self.launch(flight, sender)

    def launch(self, flight: Flight, sender: Sender) -> None:
        """Send a flight, of one delivery or of a batch; it lands once, and then it is `over`."""
        self.gates.enter(flight, flight.entered)
        self.tally.meter.in_flight += 1
        if self.rules.attempt:
            self.works.wheel.add(flight, flight.started + self.rules.attempt)
        sender.start(flight)

    def late(self, flight: Flight) -> None:
        """The attempt's deadline has passed."""
        time_out(flight)

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """Take the outcome of *flight*; a second one moves nothing."""
        if flight.landed:
            return
        now = self.clock.now()
        outcome = self.over(flight, outcome, now)
        delivery = typing.cast(Delivery, flight.delivery)
        if type(outcome) is Delivered:
            verdict: Verdict = DONE
        else:
            verdict = judge(self, delivery, outcome, self.circuit.failed_probe(flight, outcome, now), now)
            if type(outcome) is Failed:
                delivery.remember(Attempt(now, str(outcome), round(now - flight.entered, 4)))
        self.settling.carry_out(delivery, outcome, verdict, now)
        if self.reuse is not None:
            self.reuse.landed(flight, delivery, outcome)
        fresh, tried = self.fresh, self.tried
        if fresh.ready or tried.ready or fresh.next_due <= now or tried.next_due <= now or self.ending is not None:
            self.soon()

    def over(self, flight: Flight, outcome: Outcome, now: float) -> Outcome:
        """Take a flight that lands out of all that counts it; give what its outcome is by this policy."""
        flight.landed = True
        self.works.wheel.drop(flight)
        if type(outcome) is Failed and outcome.status in self.rules.success:
            outcome = Delivered(outcome.status, outcome.answer)
        self.gates.leave(flight, outcome, now)
        if self.tally.landed(outcome, now - flight.entered):
            self.works.changed(self.route)
        return outcome

    # --- waiting ---------------------------------------------------------------------------------------------------

    def sweep(self, now: float) -> None:
        """Once a second: give up what has expired, give the journal what stands still, and never sleep for ever."""
        self.expiry.sweep(now)
        if self.reuse is not None:
            self.reuse.sweep(now)
        self.herald.read(self.index.fault)
        self.index.keep(self.fresh, now - STALE)
        if self.works.stock.crowded and self.why_held() is not None:
            self.index.stow()
        if self.fresh.next_due <= now or self.tried.next_due <= now or self.ending is not None:
            self.soon()

    def forget(self) -> None:
        """No answer to anybody is used again."""
        if self.reuse is not None:
            self.reuse.close()
            self.reuse = None

    def why_held(self) -> str | None:
        """Why nothing is sent, in a word; None while the lane is free to send."""
        return self.held or (CIRCUIT_OPEN if self.circuit.holds else None)

    def why_silent(self) -> str | None:
        """Why no event that comes in now will be answered, in a word; with a cache that shows when it has come."""
        return self.held if self.reuse is not None else self.why_held()

    def park(self, at: float) -> None:
        """Come back at *at* (engine time); an earlier timer is left to fire."""
        if at < BLOCKED:
            self.alarm.set(at)
