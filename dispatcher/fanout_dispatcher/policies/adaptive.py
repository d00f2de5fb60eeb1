"""Adaptive limit: as many in flight as the target takes without answering more slowly.

Gradient2 of Netflix' concurrency-limits. Two averages of how long the target takes: what it took just now, and what it
has taken for long. While the two agree the limit grows, by a few that may queue at the target; when an answer takes
half as long again as usual, the limit shrinks by the ratio of the two, never by more than half at once, and smoothed,
so that one slow answer moves it little. It feels its way: around the least that keeps the target busy, up to some three
times that. It always lies between min and max, and max is never above maxConcurrent.

It is a gate behind the bulkhead, whose flights it counts: so there is one count, which outlives a change of plan, and
this gate may come and go. Learning needs load: while fewer than half of the limit are in flight, nothing says that the
target would take more. What fails quickly (refused, reset, an error page) says nothing about how long the work takes;
an attempt that ran out of time says that it takes at least so long.
"""

import typing

from fanout_crds import plan
from fanout_dispatcher.policies.bulkhead import Bulkhead
from fanout_dispatcher.policies.gate import NEVER, Crossing
from fanout_dispatcher.values.outcome import Delivered, Failed, Fault, Outcome

QUEUE: typing.Final = 4.0  # attempts that may wait at the target: room to find out whether it takes more
TOLERANCE: typing.Final = 1.5  # an answer may take so many times what it takes usually
SMOOTHING: typing.Final = 0.2  # of the way to a new limit that one answer moves it
LOWEST: typing.Final = 0.5  # of the limit that one answer asks for at least
WINDOW: typing.Final = 600  # answers that the long average is over
WARMUP: typing.Final = 10  # answers of which the long average begins as the plain one
FADING: typing.Final = 0.95  # of the long average that is kept when answers are twice as fast


class Adaptive:
    """One target's limit. `limit` is a fraction inside; only whole flights go."""

    def __init__(self, rule: plan.Adaptive, bulkhead: Bulkhead) -> None:
        self.bulkhead = bulkhead
        self.rule = rule
        self.limit = float(rule.initial)
        self.usual = 0.0  # seconds that answers take, averaged over long
        self.answers = 0  # up to WARMUP

    def __repr__(self) -> str:
        return f"<Adaptive {self.bulkhead.in_flight}/{int(self.limit)} of {self.rule.min}–{self.rule.max}>"

    def follow(self, rule: plan.Adaptive) -> None:
        """Take new bounds; what has been learnt stays, as far as it is within them."""
        self.rule = rule
        self._limit_to(self.limit)

    def opens_at(self, now: float) -> float:
        """Open while fewer are in flight than the limit."""
        return now if self.bulkhead.in_flight < int(self.limit) else NEVER

    def enter(self, flight: Crossing, now: float) -> None:
        """Nothing: the bulkhead counts."""

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """Learn how long it took. The bulkhead still counts the flight: it is left after this gate."""
        if type(outcome) is Delivered or (type(outcome) is Failed and outcome.fault is Fault.TIMEOUT):
            took = max(now - flight.entered, 1e-9)
            usual = self._average(took)
            if self.bulkhead.in_flight >= self.limit / 2:
                gradient = max(LOWEST, min(1.0, TOLERANCE * usual / took))
                wanted = self.limit * gradient + QUEUE
                self._limit_to(self.limit * (1 - SMOOTHING) + wanted * SMOOTHING)

    def _average(self, took: float) -> float:
        """Bring one answer into the long average, and give what it was with it.

        After a long time under load the average is too high to tell load from rest; so answers that are twice as fast
        bring it down at once.
        """
        if self.answers < WARMUP:
            self.answers += 1
            self.usual += (took - self.usual) / self.answers
        else:
            self.usual += (took - self.usual) * 2 / (WINDOW + 1)
        usual = self.usual
        if usual > 2 * took:
            self.usual *= FADING
        return usual

    def _limit_to(self, wanted: float) -> None:
        self.limit = max(float(self.rule.min), min(float(self.rule.max), wanted))


def adaptive(policy: plan.Policy, bulkhead: Bulkhead) -> Adaptive | None:
    """The adaptive limit that *policy* asks for; None, and so no gate at all, without one."""
    rule = policy.bulkhead.adaptive
    return None if rule is None else Adaptive(rule, bulkhead)
