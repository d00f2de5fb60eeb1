"""How a lane sends while its target takes batches: many deliveries in one request, whose outcome is that of each.

To the gates a batch is one attempt: one slot, one start, one call that succeeded or failed. To each delivery in it, it
is an attempt of its own, with the verdict that its own age and attempts ask for. Only a rejection is different: it
says that something in the batch is not wanted, and not what. So nothing is spent then, and the batch is halved
(batching.py).

What failed together and is tried again waits the same time, as far as it was tried as often: apart, each would come
back by itself, and a hundred requests would take the place of one.
"""

import typing

from fanout_crds import plan
from fanout_dispatcher.engine.batching import Gathering, Member
from fanout_dispatcher.engine.book import Book
from fanout_dispatcher.engine.gates import Gates
from fanout_dispatcher.engine.handover import Handover
from fanout_dispatcher.engine.index import Index
from fanout_dispatcher.engine.judging import Lane as Judging
from fanout_dispatcher.engine.judging import judge
from fanout_dispatcher.engine.pending import Delivery
from fanout_dispatcher.engine.settling import Settling
from fanout_dispatcher.engine.starting import Starting
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.wheel import time_out
from fanout_dispatcher.policies.decide import DONE
from fanout_dispatcher.transport.batched import batched, written
from fanout_dispatcher.transport.protocol import Flight, Sender
from fanout_dispatcher.values.event import Attempt
from fanout_dispatcher.values.outcome import Again, Dead, Delivered, Failed, Outcome, Reason, Verdict


class Lane(Judging, typing.Protocol):
    """What its batches ask of a lane."""

    book: Book
    gates: Gates
    handover: Handover
    index: Index
    sender: Sender | None
    settling: Settling
    starting: Starting
    tally: Tally
    target: plan.Target

    def launch(self, flight: Flight, sender: Sender) -> None:
        """Send a flight."""

    def over(self, flight: Flight, outcome: Outcome, now: float) -> Outcome:
        """Take a flight that lands out of all that counts it; give what its outcome is by this policy."""

    def park(self, at: float) -> None:
        """Pump at that time."""

    def soon(self) -> None:
        """Pump in the next turn of the loop."""


class Batches:
    """The batches of one lane: it pumps them instead of single deliveries, and lands their flights."""

    __slots__ = ("_fresh", "_lane", "_last", "_tried")

    def __init__(self, lane: Lane, rule: plan.Batch) -> None:
        self._lane = lane
        self._fresh, self._tried = (Gathering(rule, window) for window in lane.index.windows)
        self._last: Gathering | None = None

    def __repr__(self) -> str:
        return f"<Batches {self._fresh} {self._tried}>"

    def follow(self, rule: plan.Batch) -> None:
        """Take a new plan's figures."""
        self._fresh.rule = self._tried.rule = rule

    # --- pumping ---------------------------------------------------------------------------------------------------

    def pump(self, now: float, most: int) -> int:
        """Start whatever may start now, then park until something can change: as a lane does, batch by batch."""
        lane, started = self._lane, 0
        while started < most:
            at = lane.gates.opens_at(now)
            if at > now and lane.circuit.holds:
                lane.park(at)
                return started
            gathering, resumes_at = self._next(now)
            if gathering is None:
                lane.park(resumes_at)
                return started
            if at > now:
                lane.park(at)
                return started
            self._last = gathering
            batch = gathering.take(lambda delivery: self._written(delivery, now))
            if batch:
                self._fly(batch, now)
            started += max(1, len(batch))
        lane.soon()
        return started

    def _next(self, now: float) -> tuple[Gathering | None, float]:
        """Whose turn it is, fresh or tried, as in turns.py; None: nobody's before that time."""
        fresh, tried = self._fresh, self._tried
        for gathering in (fresh, tried):
            if gathering.window.next_due <= now and gathering.window.wants(now):
                self._lane.index.pull(gathering.window, now)
        fresh_at, tried_at = fresh.goes_at(now), max(tried.goes_at(now), self._lane.gates.retries_at(now))
        if tried_at <= now and not (fresh_at <= now and self._last is tried):
            return tried, now
        if fresh_at <= now:
            return fresh, now
        due = (gathering.window.comes_at() for gathering in (fresh, tried))
        return None, min(fresh_at, tried_at, *(at for at in due if at > now))

    def _written(self, delivery: Delivery, now: float) -> bytes | None:
        """The event as it goes into the batch; None when it is taken care of otherwise."""
        lane, pending = self._lane, delivery.pending
        if pending.course is not None and not lane.book.conductor.goes(lane.handover, delivery):
            return None
        if now >= lane.rules.expires(pending.event.accepted):
            lane.settling.expire(delivery, now)
            return None
        return written(pending.event, lane.target.name)

    def _fly(self, batch: list[Member], now: float) -> None:
        lane, started = self._lane, now - self._lane.clock.offset
        sender = lane.sender
        assert sender is not None, f"{lane!r} is not held and has no sender"
        flight = Flight(
            landing=self,
            event=batched([one.delivery.pending.event for one in batch], [one.written for one in batch]),
            target=lane.target.name,
            number=1 + max(one.delivery.attempts for one in batch),
            started=started,
            entered=now,
            delivery=batch,
            capture=lane.target.capture,
            sender=sender,
        )
        if (first := batch[0].delivery).pending.course is not None and not lane.starting.at_once(flight, first):
            return  # it is alone
        for delivery, _ in batch:
            if (caller := delivery.pending.caller) is not None:
                caller.flies(delivery.index)
        lane.launch(flight, sender)

    # --- landing ---------------------------------------------------------------------------------------------------

    def late(self, flight: Flight) -> None:
        """The attempt's deadline has passed."""
        time_out(flight)

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """Take the outcome of a batch; a second one moves nothing."""
        if flight.landed:
            return
        lane = self._lane
        now = lane.clock.now()
        outcome = lane.over(flight, outcome, now)
        batch = typing.cast("list[Member]", flight.delivery)
        verdicts = self._verdicts(flight, batch, outcome, now)
        if type(outcome) is Delivered:
            lane.tally.took(len(batch))
        elif type(outcome) is Failed:
            attempt = Attempt(now, str(outcome), round(now - flight.entered, 4))
            for delivery, _ in batch:
                delivery.remember(attempt)
        if len(batch) > 1 and _rejected(verdicts[0]):
            self._of(batch[0].delivery).split(batch)
        else:
            for (delivery, _), verdict in zip(batch, verdicts, strict=True):
                lane.settling.carry_out(delivery, outcome, verdict, now)
        lane.soon()

    def _verdicts(self, flight: Flight, batch: list[Member], outcome: Outcome, now: float) -> list[Verdict]:
        if type(outcome) is Delivered:
            return [DONE] * len(batch)
        lane = self._lane
        failed_probe = lane.circuit.failed_probe(flight, outcome, now)
        waits: dict[int, float] = {}  # by the attempts so far
        verdicts: list[Verdict] = []
        for delivery, _ in batch:
            verdict = judge(lane, delivery, outcome, failed_probe, now)
            if type(verdict) is Again:
                verdict = Again(waits.setdefault(delivery.attempts, verdict.at), spent=verdict.spent)
            verdicts.append(verdict)
        return verdicts

    def _of(self, delivery: Delivery) -> Gathering:
        """The gathering that deliveries like this one belong to."""
        return self._tried if delivery.attempts else self._fresh


def _rejected(verdict: Verdict) -> bool:
    """Whether the answer is one that is not tried again."""
    return type(verdict) is Dead and verdict.reason is Reason.TARGET_REJECTED


def batches(before: Batches | None, lane: Lane, rule: plan.Batch | None) -> Batches | None:
    """Give *lane* the batches that its plan asks for, those it had *before* if it had any; None without a rule."""
    for window in lane.index.windows:
        window.widen(0 if rule is None else rule.max_events)
    if rule is None:
        return None
    if before is None:
        return Batches(lane, rule)
    before.follow(rule)
    return before
