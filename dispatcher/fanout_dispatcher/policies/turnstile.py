"""Turnstile: so many requests per time through a route's front door, for each key; the others are told when to return.

The generic cell rate algorithm, as in the throttle towards a target: of each key all that is kept is the time at which
everything let in would have come had it come evenly. In any time t no more than requests × t / per + burst are let in
for one key, in every sliding window. Who is sent away spends nothing, so a producer that hammers still gets its rate.

A key whose even time has passed is as good as one that never came, so such keys go as others come. There is a bound to
the rest, too: beyond `MOST` the key that has been quiet for longest is forgotten, and may bring a burst again. A route
can be made to forget only by that many other keys within one refill of a burst.
"""

import math

import msgspec

from fanout_crds import plan

MOST = 65_536  # keys of one route: some 12 MB
_STALE = 2  # keys looked at for each new one: more leave than come


class Passage(msgspec.Struct, frozen=True, gc=False):
    """What a request is told. *wait* 0: it may come in; else seconds until one may. *full*: until a burst may again."""

    wait: float
    left: int  # requests that may follow at once
    full: float


class Turnstile:
    """The limit of one route. It outlives a change of plan, and is forgotten with the process."""

    __slots__ = ("even", "interval", "rule", "tolerance")

    def __init__(self, rule: plan.AcceptRate) -> None:
        self.even: dict[bytes, float] = {}  # when its next would come if all had come evenly; least recent key first
        self._take(rule)

    def __repr__(self) -> str:
        return f"<Turnstile {self.rule.requests}/{self.rule.per:g}s burst={self.rule.burst} keys={len(self.even)}>"

    def follow(self, rule: plan.AcceptRate, now: float) -> None:
        """Take a new limit. What came in counts for as much as before, up to the new burst, where keys are the same."""
        before, interval = self.rule, self.interval
        if rule == before:
            return
        self._take(rule)
        if (rule.key, rule.header) != (before.key, before.header):
            self.even.clear()
        for key, even in self.even.items():
            ahead = max(0.0, even - now) / interval
            self.even[key] = now + min(ahead, rule.burst) * self.interval

    def ask(self, key: bytes, now: float) -> Passage:
        """Let one in, or say when one may come."""
        even = self.even.pop(key, None)
        if even is None:
            self._make_room(now)
            even = now
        even = max(even, now)
        wait = even - self.tolerance - now
        if wait <= 0:
            even += self.interval
        self.even[key] = even
        if wait > 0:
            return Passage(wait, 0, even - now)
        return Passage(0.0, int(self.rule.burst - (even - now) / self.interval + 1e-9), even - now)

    def _make_room(self, now: float) -> None:
        for _ in range(_STALE):
            oldest = next(iter(self.even), None)
            if oldest is None or (self.even[oldest] > now and len(self.even) < MOST):
                return
            del self.even[oldest]

    def _take(self, rule: plan.AcceptRate) -> None:
        self.rule = rule
        self.interval = rule.per / rule.requests
        self.tolerance = self.interval * (rule.burst - 1)


def turnstile(rule: plan.AcceptRate | None, before: Turnstile | None, now: float) -> Turnstile | None:
    """The turnstile that a plan asks for: the one there was, with the new limit; None, and so no question, without."""
    if rule is None:
        return None
    if before is None:
        return Turnstile(rule)
    before.follow(rule, now)
    return before


def whole(seconds: float) -> int:
    """Seconds as headers have them: whole, and never too early."""
    return max(1, math.ceil(seconds - 1e-9))
