"""Hedging: a second try of an attempt while the first is slow; the first to succeed counts (Dean and Barroso, 2013).

Hedging wraps a target's sender, so the lane works as without it: an attempt is one flight with one outcome, which
spends one attempt, is one piece of evidence for the circuit and is counted once. Within it up to ``maxExtra`` more
tries are sent, each ``delay`` seconds after the one before, with the same number and the same Idempotency-Key. The
first to succeed is the attempt's outcome; the others are cancelled, which is no evidence. All tries share the attempt's
deadline.

A failure decides nothing while another try is in flight, and after a failure no further try is sent: the rest is left
to the retry. (gRPC's A6 ends a call at the first fatal status. But a target that is still working on a request answers
a second one with the same key 409, says draft-ietf-httpapi-idempotency-key-header, and that must not end the first.)
When all tries have failed, a failure that the policy retries outweighs one that it does not.

None is sent once ``timeouts.total`` is over, though the attempt had begun before.

A hedge takes only what is to spare, and never waits: a slot that no delivery waits for, one retry of the retry budget,
and one of a budget of its own, with the same figures, that successes do not fill. Without the second budget a target
that is slow but succeeds would pay with each success for the next hedge, and would get everything twice.
"""

import typing

import msgspec

from fanout_crds import plan
from fanout_dispatcher.engine.clock import Clock
from fanout_dispatcher.engine.gates import Gates
from fanout_dispatcher.engine.tally import Tally
from fanout_dispatcher.engine.window import Window
from fanout_dispatcher.engine.works import Works
from fanout_dispatcher.policies.budget import Budget
from fanout_dispatcher.policies.decide import Rules, worth_another_try
from fanout_dispatcher.transport.protocol import Flight, Sender
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome, Reason, Refused

NO_EVIDENCE: typing.Final = Refused("what a hedge comes to is told with its attempt")


class Lane(typing.Protocol):
    """A target's lane, as far as its hedges need it."""

    clock: Clock
    ending: Reason | None
    fresh: Window
    gates: Gates
    held: str | None
    rules: Rules
    tally: Tally
    tried: Window
    works: Works

    def soon(self) -> None:
        """Pump in the next turn of the loop."""


class Tries(msgspec.Struct, eq=False):
    """One attempt, which the lane knows as the flight *whole*, and its tries that are in flight."""

    whole: Flight
    extra: int  # that may still be sent
    flying: list[Flight] = msgspec.field(default_factory=list)
    first: Flight | None = None
    failed: Outcome | None = None  # the weightiest failure so far


class Hedging:
    """A sender that sends up to ``maxExtra`` more tries of an attempt through the target's own sender."""

    def __init__(self, sender: Sender, rule: plan.Hedge, budget: Budget, lane: Lane) -> None:
        self.sender = sender
        self.rule = rule
        self.budget = budget
        self.lane = lane
        self.wheel = lane.works.hedges
        self.closed = False

    def __repr__(self) -> str:
        return f"<Hedging {self.rule.max_extra} after {self.rule.delay:g}s by {self.sender!r}>"

    # --- what the lane asks -----------------------------------------------------------------------------------------

    def start(self, flight: Flight) -> None:
        """Send the first try."""
        if flight.number == 1:
            self.budget.enter(flight, flight.entered)
        tries = Tries(flight, 0 if flight.probe else self.rule.max_extra)
        tries.first = self._another(tries, flight.started)
        flight.carrier = tries
        self._send(tries, tries.first)

    def cancel(self, flight: Flight) -> None:
        """Cancel all tries; none of them lands."""
        self._cancel(typing.cast(Tries, flight.carrier))

    def close(self) -> None:
        """Send no more hedges; what is in flight lands."""
        self.closed = True
        self.sender.close()

    # --- what tries tell --------------------------------------------------------------------------------------------

    def late(self, flight: Flight) -> None:
        """Send another try: the newest has taken ``delay`` seconds. Too late or with nothing to spare, none is sent."""
        tries = typing.cast(Tries, flight.delivery)
        lane, now = self.lane, self.lane.clock.now()
        if now < lane.rules.expires(tries.whole.event.accepted) and self._spare(now):
            one = self._another(tries, now - lane.clock.offset)
            lane.gates.enter_spare(one, now)
            self.budget.spend(now)
            lane.tally.meter.hedges += 1
            tries.extra -= 1
            self._send(tries, one)

    def land(self, flight: Flight, outcome: Outcome) -> None:
        """Take the outcome of one try; a second one moves nothing."""
        if flight.landed:
            return
        tries = typing.cast(Tries, flight.delivery)
        self._ends(tries, flight)
        if self._succeeds(outcome):
            self.lane.tally.meter.hedges_won += flight is not tries.first
            self._over(tries, outcome)
            return
        tries.failed = failed = weightier(tries.failed, outcome, self.lane.rules)
        if not tries.flying:
            self._over(tries, failed)
            return
        self.wheel.drop(tries.flying[-1])  # the newest: no further try follows it
        self.lane.soon()  # a slot may be free

    # --- within -----------------------------------------------------------------------------------------------------

    def _another(self, tries: Tries, started: float) -> Flight:
        """Make one more try of the attempt: the same request, with a landing, clock and connection of its own."""
        return msgspec.structs.replace(
            tries.whole,
            landing=self,
            started=started,
            entered=started + self.lane.clock.offset,
            delivery=tries,
            slot=-1,
            carrier=None,
            sender=self.sender,
        )

    def _send(self, tries: Tries, one: Flight) -> None:
        tries.flying.append(one)
        if tries.extra:
            self.wheel.add(one, one.started + self.rule.delay)
        self.sender.start(one)

    def _spare(self, now: float) -> bool:
        lane = self.lane
        if self.closed or lane.held is not None or lane.ending is not None or lane.fresh.ready or lane.tried.ready:
            return False
        return self.budget.opens_at(now) <= now and lane.gates.spare(now)

    def _succeeds(self, outcome: Outcome) -> bool:
        return type(outcome) is Delivered or (type(outcome) is Failed and outcome.status in self.lane.rules.success)

    def _over(self, tries: Tries, outcome: Outcome) -> None:
        self._cancel(tries)
        tries.whole.landing.land(tries.whole, outcome)

    def _cancel(self, tries: Tries) -> None:
        tries.whole.carrier = None
        for one in tries.flying.copy():
            self.sender.cancel(one)
            self._ends(tries, one)

    def _ends(self, tries: Tries, one: Flight) -> None:
        """Take a try out of flight; a hedge leaves the gates that it entered."""
        one.landed = True
        tries.flying.remove(one)
        self.wheel.drop(one)
        if one is not tries.first:
            self.lane.gates.leave(one, NO_EVIDENCE, self.lane.clock.now())


def weightier(before: Outcome | None, then: Outcome, rules: Rules) -> Outcome:
    """Of two outcomes without success, give the one to decide by.

    A failure that is retried outweighs one that is not, and that outweighs Refused; of two alike the later one counts.
    """
    return then if before is None or _weight(then, rules) >= _weight(before, rules) else before


def _weight(outcome: Outcome, rules: Rules) -> int:
    if type(outcome) is not Failed:
        return 0
    return 2 if worth_another_try(outcome, rules) else 1


def hedged(sender: Sender, policy: plan.Policy, lane: Lane) -> Sender:
    """Wrap *sender* where *policy* asks for hedges and has a retry budget: without one nothing would bound them."""
    rule, budget = policy.hedge, policy.retry.budget
    if rule is None or budget is None:
        return sender
    return Hedging(sender, rule, Budget(budget, policy.bulkhead.max_concurrent), lane)
