"""Throttle: so many attempts per time towards a target, and a few at once; the others wait, none is dropped.

The generic cell rate algorithm (ATM Forum TM 4.0; as in Redis' and Stripe's limiters), which is a leaky bucket without
a bucket: all it keeps is the time at which everything that has started would have started had it gone evenly. In any
time t no more than requests × t / per + burst attempts start, in every sliding window and not only in those that begin
at a full minute.

It is the last gate to be asked: a start that it has counted cannot be handed back. The time that it names is the very
one at which it is open, so a lane that parks until then is not sent away again. What starts a little later, when it is
noted, is *reserved*: counted when it starts, and until then no other may come in between that would make it too early.
"""

from fanout_crds import plan
from fanout_dispatcher.policies.gate import NEVER, Crossing
from fanout_dispatcher.values.outcome import Outcome


class Throttle:
    """One target's rate limit. Retries and probes count like any attempt: the target cannot tell them apart."""

    def __init__(self, rule: plan.RateLimit) -> None:
        self.even = 0.0  # when the next attempt would start if all of them had gone evenly
        self.reserved = 0  # they may start at any time from now on
        self._take(rule)

    def __repr__(self) -> str:
        return f"<Throttle {self.rule.requests}/{self.rule.per:g}s burst={self.rule.burst}>"

    def follow(self, rule: plan.RateLimit, now: float) -> None:
        """Take a new limit. What has started counts for as many attempts as before, up to the new burst."""
        ahead = max(0.0, self.even - now) / self.interval
        self._take(rule)
        self.even = now + min(ahead, rule.burst) * self.interval

    def opens_at(self, now: float) -> float:
        """Open while fewer than a burst are ahead of the even pace, those that are reserved among them."""
        if not self.reserved:
            at = self.even - self.tolerance
            return max(now, at)
        ahead = self.reserved * self.interval
        return max(now, self.even + ahead - self.tolerance) if ahead <= self.tolerance else NEVER

    def enter(self, flight: Crossing, now: float) -> None:
        """Count a start."""
        self.even = max(self.even, now) + self.interval

    def reserve(self, flight: Crossing, now: float) -> None:
        """It is going to start, or to be handed back."""
        self.reserved += 1

    def start(self, flight: Crossing, now: float) -> None:
        """What was reserved starts."""
        self.hand_back(flight, now)
        self.enter(flight, now)

    def hand_back(self, flight: Crossing, now: float) -> None:
        """What was reserved does not start. It may have been of another throttle, before a change of plan."""
        self.reserved = max(0, self.reserved - 1)

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """Nothing: it has started, however it went."""

    def _take(self, rule: plan.RateLimit) -> None:
        self.rule = rule
        self.interval = rule.per / rule.requests
        self.tolerance = self.interval * (rule.burst - 1)


def throttle(policy: plan.Policy) -> Throttle | None:
    """The throttle that *policy* asks for; None, and so no gate at all, without a rate limit."""
    return None if policy.rate_limit is None else Throttle(policy.rate_limit)
