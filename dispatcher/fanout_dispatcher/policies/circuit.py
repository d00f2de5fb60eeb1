"""Circuit breaker: stop asking a target that fails, and find out gently when it works again.

Closed counts; at a failure rate over a window, or at so many failures in a row, it opens. Open refuses until its time
is over; the next request is then a probe (HalfOpen). Enough good probes close it; one bad one opens it again, for
twice as long, up to a maximum. No verdict within ``halfOpen.maxWait``: open again. (Nygard, *Release It!*; words and
thresholds as in resilience4j.)

Only the target's own failures are evidence: a Refused, a cancelled attempt or a 4xx that is the caller's fault moves
nothing. Every opening and closing starts a new epoch, and a flight of an older epoch moves nothing either: an answer
from before the breaker opened says nothing about now.
"""

import enum
import typing

from fanout_crds import plan
from fanout_dispatcher.policies.gate import Crossing
from fanout_dispatcher.policies.statuses import statuses
from fanout_dispatcher.policies.window import window
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome


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
        self.state = CircuitState.CLOSED
        self.epoch = 0
        self.until = 0.0  # while open: when to probe
        self.since = 0.0  # while half-open: since when
        self.reopened = 0  # failed probes in a row: the exponent of the doubling
        self.probes = 0  # in flight
        self.successes = 0
        self.consecutive = 0
        self.follow(rule)

    def __repr__(self) -> str:
        return f"<Circuit {self.state} epoch={self.epoch} failures={self.window.failures}/{self.window.calls}>"

    def follow(self, rule: plan.CircuitBreaker) -> None:
        """Take new rules; the state stays, the window starts afresh. Switching off closes."""
        self.rule = rule
        self.window = window(rule.window)
        self.fail_status = statuses(rule.fail_on_status)
        self.fail_fault = frozenset(rule.fail_on_fault)
        if not rule.enabled and self.state is not CircuitState.CLOSED:
            self._close()

    @property
    def shown(self) -> CircuitState:
        """The state as the outside sees it: a breaker that is switched off is Disabled."""
        return self.state if self.rule.enabled else CircuitState.DISABLED

    def forget(self) -> None:
        """The target is at another address now: what was learnt of the old one says nothing about it."""
        if self.state is CircuitState.CLOSED:
            self.epoch += 1  # nor do the attempts that are on their way to it
            self.window.clear()
            self.consecutive = 0
        else:
            self._close()

    def opens_at(self, now: float) -> float:
        """Closed: now. Open: when the probe is due. HalfOpen: now while a probe may go, else when waiting ends."""
        if self.state is CircuitState.CLOSED:
            return now
        self._give_up_waiting(now)
        if self.state is CircuitState.OPEN:
            return max(now, self.until)
        return now if self._room_for_a_probe() else self.since + self.rule.half_open.max_wait

    def enter(self, flight: Crossing, now: float) -> None:
        """Stamp the flight; the first one after the open time makes the circuit half-open."""
        if self.state is not CircuitState.CLOSED:
            if self.state is CircuitState.OPEN:
                self._half_open(now)
            self.probes += 1
            flight.probe = True
        flight.epoch = self.epoch

    def leave(self, flight: Crossing, outcome: Outcome, now: float) -> None:
        """Learn from the landing, unless it belongs to another epoch or is no evidence."""
        if flight.epoch != self.epoch or not self.rule.enabled:
            return
        if self.state is CircuitState.HALF_OPEN:
            self._probe_landed(outcome, now)
        elif self.state is CircuitState.CLOSED:
            self._count(outcome, now)

    def evidence(self, outcome: Outcome) -> bool | None:
        """True: a failure of the target. False: a success. None: says nothing about it."""
        if type(outcome) is Delivered:
            return False
        if type(outcome) is Failed:
            blamed = outcome.status in self.fail_status if outcome.fault is None else outcome.fault in self.fail_fault
            return True if blamed else None
        return None

    def _count(self, outcome: Outcome, now: float) -> None:
        failed = self.evidence(outcome)
        if failed is None:
            return
        seen = self.window
        seen.record(failed, now)
        if not failed:
            self.consecutive = 0
            return
        self.consecutive += 1
        rule = self.rule
        in_a_row = 0 < rule.consecutive_failures <= self.consecutive
        rate = seen.calls >= rule.minimum_calls and seen.failures * 100 >= rule.failure_rate_threshold * seen.calls
        if in_a_row or rate:
            self._open(now)

    def _probe_landed(self, outcome: Outcome, now: float) -> None:
        self.probes -= 1
        failed = self.evidence(outcome)
        if failed:
            self.reopened += 1
            self._open(now)
        elif failed is False:
            self.successes += 1
            if self.successes >= self.rule.half_open.success_threshold:
                self._close()

    def _room_for_a_probe(self) -> bool:
        half_open = self.rule.half_open
        return self.probes < half_open.max_calls and self.probes + self.successes < half_open.success_threshold

    def _give_up_waiting(self, now: float) -> None:
        if self.state is CircuitState.HALF_OPEN and now >= self.since + self.rule.half_open.max_wait:
            self._open(now)

    def _open(self, now: float) -> None:
        rule = self.rule
        longest = max(rule.open_duration, rule.max_open_duration)
        self.until = now + min(rule.open_duration * 2.0 ** min(self.reopened, 64), longest)
        self._become(CircuitState.OPEN)

    def _half_open(self, now: float) -> None:
        self.since = now
        self.probes = self.successes = 0
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
