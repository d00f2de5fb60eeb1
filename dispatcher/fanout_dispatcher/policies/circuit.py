"""Circuit breaker: stop asking a target that fails, and find out gently when it works again.

Closed counts; at a rate of failures or of slow calls over a window, or at so many failures in a row, it opens. Open
refuses until its time is over; the next request is then a probe (HalfOpen). Enough good probes close it, unless too
many of them were slow; one bad one opens it again, for twice as long, up to a maximum. Probes that are out for
``halfOpen.maxWait`` without a verdict: open again. While none is out it stays as it is, and the next request is one: a
quiet route would never close else. (Nygard, *Release It!*; words and thresholds as in resilience4j.)

Only the target's own failures are evidence: a Refused, a cancelled attempt or a 4xx that is the caller's fault moves
nothing. Every opening and closing starts a new epoch, and a flight of an older epoch moves nothing either: an answer
from before the breaker opened says nothing about now.

A person may force it open or closed; then it learns nothing, and closed is where it begins again. In a dry run it
counts and shows the state that it would have, lets everything pass, and learns only from what it would have let pass.
"""

import enum
import math
import typing

from fanout_crds import plan
from fanout_crds.breaker import CircuitMode
from fanout_dispatcher.policies.gate import Crossing
from fanout_dispatcher.policies.statuses import statuses
from fanout_dispatcher.policies.window import window
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome

UNCOUNTED: typing.Final = -1  # the epoch of a flight that only a dry run lets pass


class CircuitState(enum.StrEnum):
    """The three states; Disabled is what the outside sees of a breaker that is switched off."""

    CLOSED = "Closed"
    OPEN = "Open"
    HALF_OPEN = "HalfOpen"
    DISABLED = "Disabled"


class Circuit:
    """One target's breaker. *changed* is told each new state, once per change."""

    def __init__(self, rule: plan.CircuitBreaker, changed: typing.Callable[[CircuitState], None]) -> None:
        self.changed = changed
        forced = rule.enabled and rule.mode == "ForcedOpen"
        self.state = CircuitState.OPEN if forced else CircuitState.CLOSED  # how it begins is told to nobody
        self.counts = True
        self.epoch = 0
        self.until = 0.0  # while open: when to probe
        self.since = 0.0  # while half-open: since when probes are out
        self.reopened = 0  # failed probes in a row: the exponent of the doubling
        self.probes = 0  # in flight
        self.successes = 0
        self.slow = 0  # of these
        self.consecutive = 0
        self.follow(rule, 0.0)

    def __repr__(self) -> str:
        return f"<Circuit {self.state} epoch={self.epoch} failures={self.window.failures}/{self.window.calls}>"

    def follow(self, rule: plan.CircuitBreaker, now: float) -> None:
        """Take new rules; the window starts afresh.

        The state stays, unless a person forces one or ceases to, or the probes so far are enough by the new rules.
        """
        counted = self.counts
        self.rule = rule
        self.mode: CircuitMode = rule.mode if rule.enabled else "Disabled"
        self.counts = self.mode in ("Auto", "DryRun")
        self.window = window(rule.window)
        self.slow_after = rule.slow_call_duration or math.inf
        self.fail_status = statuses(rule.fail_on_status)
        self.fail_fault = frozenset(rule.fail_on_fault)
        if not self.counts:
            self.consecutive = 0
        if self.mode == "ForcedOpen":
            self._force_open()
        elif self.state is not CircuitState.CLOSED and not (counted and self.counts):
            self._close()
        elif self.state is CircuitState.HALF_OPEN:
            self._judge_probes(now)

    @property
    def shown(self) -> CircuitState:
        """The state as the outside sees it: a breaker that is switched off is Disabled."""
        return CircuitState.DISABLED if self.mode == "Disabled" else self.state

    @property
    def holds(self) -> bool:
        """Whether it is open and deliveries wait for it: in a dry run they do not."""
        return self.state is CircuitState.OPEN and self.mode != "DryRun"

    @property
    def probe_at(self) -> float | None:
        """When an open circuit lets its next probe through; None while nothing waits for that."""
        return self.until if self.holds and self.until < math.inf else None

    def forget(self) -> None:
        """The target is at another address now: what was learnt of the old one says nothing about it."""
        if self.state is CircuitState.CLOSED or not self.counts:
            self.epoch += 1  # nor do the attempts that are on their way to it
            self.window.clear()
            self.consecutive = 0
        else:
            self._close()

    def opens_at(self, now: float) -> float:
        """Closed: now. Open: when the probe is due. HalfOpen: now while a probe may go, else when waiting ends."""
        if self.state is CircuitState.CLOSED:
            return now
        at = self._admits_at(now)
        return now if self.mode == "DryRun" else at

    def enter(self, flight: Crossing, now: float) -> None:
        """Stamp the flight; the first one after the open time makes the circuit half-open."""
        if self.state is CircuitState.CLOSED:
            flight.epoch = self.epoch
        elif self.mode == "DryRun" and self._admits_at(now) > now:
            flight.epoch = UNCOUNTED
        else:
            if self.state is CircuitState.OPEN:
                self._half_open()
            if not self.probes:
                self.since = now
            self.probes += 1
            flight.probe = self.mode == "Auto"  # a dry run changes nothing for the delivery
            flight.epoch = self.epoch

    def lapsed(self, flight: Crossing) -> bool:
        """Whether a flight that has entered and is not sent yet had better wait: the circuit has opened since."""
        return self.mode != "DryRun" and self.state is not CircuitState.CLOSED and flight.epoch != self.epoch

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """Learn from the landing, unless it belongs to another epoch or is no evidence."""
        if flight.epoch != self.epoch or not self.counts:
            return
        if self.state is CircuitState.CLOSED:
            self._count(outcome, now - flight.entered > self.slow_after, now)
        elif self.state is CircuitState.HALF_OPEN:
            self._probe_landed(outcome, now - flight.entered > self.slow_after, now)

    def failed_probe(self, flight: Crossing, outcome: Outcome, now: float) -> bool:
        """Whether a flight that has left was a probe that failed, and is held now: it waits for the next, unspent.

        One that is late may find the circuit closed by others, or due for another probe. Then nothing holds it back but
        the wait that any attempt has.
        """
        return flight.probe and self.holds and now < self.until and self.evidence(outcome) is True

    def evidence(self, outcome: Outcome) -> bool | None:
        """True: a failure of the target. False: a success. None: says nothing about it."""
        if type(outcome) is Delivered:
            return False
        if type(outcome) is Failed:
            blamed = outcome.status in self.fail_status if outcome.fault is None else outcome.fault in self.fail_fault
            return True if blamed else None
        return None

    def _count(self, outcome: Outcome, slow: bool, now: float) -> None:
        failed = self.evidence(outcome)
        if failed is None:
            return
        self.window.record(failed, slow, now)
        if failed:
            self.consecutive += 1
        else:
            self.consecutive = 0
            if not slow:
                return
        if 0 < self.rule.consecutive_failures <= self.consecutive or self._too_many(failed, slow):
            self._open(now)

    def _too_many(self, failed: bool, slow: bool) -> bool:
        """Whether a rate that this call has raised has reached its threshold."""
        rule, seen = self.rule, self.window
        if seen.calls < rule.minimum_calls:
            return False
        return (failed and seen.failures * 100 >= rule.failure_rate_threshold * seen.calls) or (
            slow and seen.slow * 100 >= rule.slow_call_rate_threshold * seen.calls
        )

    def _probe_landed(self, outcome: Outcome, slow: bool, now: float) -> None:
        self.probes -= 1
        failed = self.evidence(outcome)
        if failed:
            self._reopen(now)
        elif failed is False:
            self.successes += 1
            self.slow += slow
            self._judge_probes(now)

    def _judge_probes(self, now: float) -> None:
        """Close, or open again, once enough probes were good: then no other may go, so none could decide it."""
        if self.successes < self.rule.half_open.success_threshold:
            return
        if self.slow and self.slow * 100 >= self.rule.slow_call_rate_threshold * self.successes:
            self._reopen(now)
        else:
            self._close()

    def _admits_at(self, now: float) -> float:
        """When the next probe may go, while not closed."""
        self._give_up_waiting(now)
        if self.state is CircuitState.OPEN:
            return max(now, self.until)
        return now if self._room_for_a_probe() else self.since + self.rule.half_open.max_wait

    def _room_for_a_probe(self) -> bool:
        half_open = self.rule.half_open
        return self.probes < half_open.max_calls and self.probes + self.successes < half_open.success_threshold

    def _give_up_waiting(self, now: float) -> None:
        waits = self.state is CircuitState.HALF_OPEN and self.probes > 0
        if waits and now >= self.since + self.rule.half_open.max_wait:
            self._open(now)

    def _reopen(self, now: float) -> None:
        self.reopened += 1
        self._open(now)

    def _force_open(self) -> None:
        self.until = math.inf
        self.reopened = 0
        if self.state is not CircuitState.OPEN:
            self._become(CircuitState.OPEN)

    def _open(self, now: float) -> None:
        rule = self.rule
        longest = max(rule.open_duration, rule.max_open_duration)
        self.until = now + min(rule.open_duration * 2.0 ** min(self.reopened, 64), longest)
        self._become(CircuitState.OPEN)

    def _half_open(self) -> None:
        self.probes = self.successes = self.slow = 0
        self._become(CircuitState.HALF_OPEN)

    def _close(self) -> None:
        self.reopened = 0
        self._become(CircuitState.CLOSED)

    def _become(self, state: CircuitState) -> None:
        self.state = state
        self.epoch += 1
        self.consecutive = 0
        self.window.clear()
        self.changed(state)
