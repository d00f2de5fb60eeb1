"""Retry budget: retries in proportion to what succeeds, so that a target in trouble is not kept there by its past.

A bucket of retries per target. Each first attempt puts a share of one in, each delivery that succeeds a whole one, and
time a few per second; a retry takes one out, and waits while there is none. It is not spent by waiting. First attempts
never wait: they are not asked. (Finagle's RetryBudget; *The Site Reliability Workbook* on why retries need one.)

While a target is dead, then, it sees its new events, the share of them and the few per second, however large the
backlog is. When it recovers each delivery pays for the next retry: the backlog starts slowly, a few more per second,
and soon as many retries go round as the bulkhead has slots. That is full speed.

The bucket has a bottom and a brim. The brim is what may come at once after a quiet time: ten seconds of the minimum,
so that an ordinary stumble costs nobody a wait; never less than the bulkhead's slots, or a backlog could not fill them
and would never reach full speed; and never less than a few tens, since below that chance decides.
"""

import typing

from fanout_crds import plan
from fanout_dispatcher.policies.gate import Crossing
from fanout_dispatcher.values.outcome import Delivered, Outcome

SECONDS: typing.Final = 10.0  # of the minimum that the bucket holds
LEAST: typing.Final = 30.0  # retries that any bucket holds


class Budget:
    """One target's retries. It is kept as the time at which the bucket was, or will be, empty: nothing to refill.

    A lane asks ``opens_at`` for retries only; ``enter`` and ``leave`` it tells of every flight.
    """

    def __init__(self, rule: plan.Budget, slots: int) -> None:
        self.empty = 0.0
        self._take(rule, slots)
        self.empty = -self.depth  # full: what was never asked has done nothing wrong

    def __repr__(self) -> str:
        return f"<Budget {self.rule.percent}% + {self.rule.min_retries_per_second:g}/s, up to {self.brim:g}>"

    def follow(self, rule: plan.Budget, slots: int, now: float) -> None:
        """Take new figures; what is in the bucket stays, as far as it has room."""
        held = self.held(now)
        self._take(rule, slots)
        self.empty = now - min(held, self.brim) * self.each

    def held(self, now: float) -> float:
        """Retries in the bucket."""
        return min((now - self.empty) / self.each, self.brim)

    def opens_at(self, now: float) -> float:
        """When a retry may go: now while there is one in the bucket, else when time will have put it in."""
        at = self.empty + self.each
        return max(now, at)

    def enter(self, flight: Crossing, now: float) -> None:
        """A retry takes one, a first attempt puts its share in."""
        empty, full = self.empty, now - self.depth
        if empty < full:  # noqa: PLR1730  max() would be a call for every attempt
            empty = full
        self.empty = empty - self.share if flight.number == 1 else empty + self.each

    def reserve(self, flight: Crossing, now: float) -> None:
        """A retry that starts a little later takes one at once: the next would take the same."""
        if flight.number > 1:
            self.enter(flight, now)

    def start(self, flight: Crossing, now: float) -> None:
        """What was reserved starts: a first attempt puts its share in."""
        if flight.number == 1:
            self.enter(flight, now)

    def hand_back(self, flight: Crossing, now: float) -> None:
        """What was reserved does not start: a retry puts back the one that it took."""
        if flight.number > 1:
            self.empty -= self.each

    def spend(self, now: float) -> None:
        """A hedge takes one too, whatever the number of its attempt."""
        self.empty = max(self.empty, now - self.depth) + self.each

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """A delivery that succeeds puts one in."""
        if type(outcome) is Delivered:
            self.empty -= self.each

    def _take(self, rule: plan.Budget, slots: int) -> None:
        self.rule = rule
        self.each = 1.0 / rule.min_retries_per_second  # seconds in which time puts one in
        self.share = self.each * rule.percent / 100
        self.brim = max(SECONDS * rule.min_retries_per_second, float(slots), LEAST)
        self.depth = self.brim * self.each


def budget(policy: plan.Policy) -> Budget | None:
    """The budget that *policy* asks for; None where it is switched off."""
    rule = policy.retry.budget
    return None if rule is None else Budget(rule, policy.bulkhead.max_concurrent)
