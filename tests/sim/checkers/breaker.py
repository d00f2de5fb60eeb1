"""P11: a circuit opens as configured, lets no more probes through than allowed, closes on success, and never lies.

A small model of the rules runs beside the history, fed by what targets saw and what operators changed; the engine's own
announcements have to agree with it at every step. Where the rules leave room (a window of ten buckets forgets up to a
tenth of its time early), either is right, and the model follows what was announced.
"""

from fanout_crds.plan import CircuitBreaker, Target
from fanout_dispatcher.telemetry.seam import CircuitChanged
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome
from tests.sim.checkers.reading import Reading
from tests.sim.history import Adopted, Began, Landed, Retired, Sent, Started, Told

GRAIN = 1e-6


def check(reading: Reading) -> list[str]:
    """Every target's circuit, through everything that happened."""
    models: dict[tuple[str, str], Model] = {}
    retired: set[str] = set()
    wrong: list[str] = []
    for one in reading.history.log:
        match one:
            case Began():
                models.clear()
            case Retired(route=route):
                retired.add(route)
            case Adopted(plan=plan):
                for target in plan.everybody:
                    where = plan.key, target.name
                    if where in models:
                        models[where].follow(target)
                        models[where].again |= plan.key in retired
                    else:
                        models[where] = Model(f"{plan.key} {target.name}", target)
                retired.discard(plan.key)
            case Started():
                sent = reading.history.sent[one.n]
                wrong += models[sent.route, sent.target].sent(sent, one.at) if sent.leads else []
            case Landed() if (whole := reading.over.get(one.n)) is not None and whole.leads:
                wrong += models[whole.route, whole.target].landed(whole, one.at)
            case Told(change=CircuitChanged() as change):
                wrong += models[change.route, change.target].told(change, one.at)
            case _:
                pass
    return wrong


class Model:
    """What the rules say of one circuit."""

    def __init__(self, name: str, target: Target) -> None:
        self.name = name
        self.target = target
        self.state = "Closed"
        self.epoch = 0
        self.epochs: dict[int, int] = {}  # attempt -> the epoch it was sent in
        self.calls: list[tuple[float, bool]] = []  # (when, failed)
        self.in_a_row = 0
        self.until = 0.0
        self.since = 0.0
        self.reopened = 0
        self.probes = 0
        self.successes = 0
        self.must: str | None = None  # the change that has to be announced next
        self.may_open = False
        self.again = False  # its route was made again: its circuit may be a new one, and closed

    @property
    def rule(self) -> CircuitBreaker:
        return self.target.policy.circuit_breaker

    def follow(self, target: Target) -> None:
        """A new plan: another address forgets everything, other rules only the counts."""
        before, self.target = self.target, target
        if target.policy.circuit_breaker != before.policy.circuit_breaker:
            self.calls.clear()
            if not self.rule.enabled:
                self.in_a_row = 0
                self.must = "Closed" if self.state != "Closed" else None
        if target.url != before.url:
            if self.state == "Closed":
                self._turn("Closed")
            else:
                self.must = "Closed"

    def sent(self, sent: Sent, now: float) -> list[str]:
        """An attempt reaches the target: it may have to be a probe."""
        wrong = self._unannounced()
        if sent.of is not None:
            return wrong if self.state == "Closed" else [*wrong, f"{self.name}: hedged at {now:.4f} while {self.state}"]
        if self.again and self.state == "Open":
            self.reopened = 0
            self._turn("Closed")
        self.again = False
        self.epochs[sent.n] = self.epoch
        if self.state == "Open":
            return [*wrong, f"{self.name}: sent at {now:.4f} while the circuit is open until {self.until:.4f}"]
        if self.state == "HalfOpen":
            self.probes += 1
            half = self.rule.half_open
            if self.probes > half.max_calls or self.probes + self.successes > half.success_threshold:
                wrong.append(f"{self.name}: {self.probes} probes at {now:.4f}, {half} allows fewer")
        return wrong

    def landed(self, sent: Sent, now: float) -> list[str]:
        """It is over: learn from it, unless it is of another epoch or no evidence."""
        wrong = self._unannounced()
        if self.epochs.pop(sent.n, -1) != self.epoch or not self.rule.enabled:
            return wrong
        failed = self._evidence(sent)
        if self.state == "HalfOpen":
            self.probes -= 1
            self.successes += failed is False
            if failed:
                self.must = "Open"
            elif self.successes >= self.rule.half_open.success_threshold:
                self.must = "Closed"
        elif self.state == "Closed" and failed is not None:
            self._count(failed, now)
        return wrong

    def told(self, change: CircuitChanged, now: float) -> list[str]:
        """The engine announces a state: it has to be one that the rules ask for, or let happen."""
        state, must = change.after, self.must
        self.must, self.again = None, False
        if must is not None and state != must:
            return [f"{self.name}: {state} at {now:.4f}, and {must} was due"]
        late = now >= self.since + self.rule.half_open.max_wait - GRAIN
        allowed = {
            "Open": must == "Open" or self.may_open or (self.state == "HalfOpen" and late),
            "HalfOpen": self.state == "Open" and now >= self.until - GRAIN,
            "Closed": must == "Closed",
        }
        wrong = [] if allowed[state] else [f"{self.name}: {state} at {now:.4f}, and nothing asks for it"]
        if state == "Open":
            wrong += self._opened(change, now, failed_probe=must == "Open" and self.state == "HalfOpen")
        elif state == "HalfOpen":
            self.since, self.probes, self.successes = now, 0, 0
        else:
            self.reopened = 0
        self._turn(state)
        return wrong

    def _opened(self, change: CircuitChanged, now: float, *, failed_probe: bool) -> list[str]:
        """For how long: as declared, doubled for each probe that failed since it last worked.

        Not for one that only waited too long for a verdict.
        """
        self.reopened += failed_probe
        rule = self.rule
        longest = max(rule.open_duration, rule.max_open_duration)
        opens_for = min(rule.open_duration * 2.0 ** min(self.reopened, 64), longest)
        self.until = now + opens_for
        if change.opens_for is None or abs(change.opens_for - opens_for) > 1e-3:
            return [f"{self.name}: open for {change.opens_for} s at {now:.4f}, {opens_for} are declared"]
        return []

    def _count(self, failed: bool, now: float) -> None:
        rule = self.rule
        self.calls.append((now, failed))
        self.in_a_row = self.in_a_row + 1 if failed else 0
        self.may_open = False
        if not failed:
            return
        judged = [self._rate(cut) for cut in self._cuts(now)]
        if 0 < rule.consecutive_failures <= self.in_a_row or all(judged):
            self.must = "Open"
        self.may_open = any(judged)

    def _cuts(self, now: float) -> list[int]:
        """Where the window may begin: exactly, or up to a bucket later."""
        size = self.rule.window.size
        if self.rule.window.type == "Count":
            return [max(0, len(self.calls) - int(size))]
        first = _first(self.calls, now - size - GRAIN)
        del self.calls[:first]
        last = _first(self.calls, now - 0.9 * size + GRAIN)
        return list(range(last + 1))

    def _rate(self, cut: int) -> bool:
        calls = len(self.calls) - cut
        failures = sum(failed for _, failed in self.calls[cut:])
        return calls >= self.rule.minimum_calls and failures * 100 >= self.rule.failure_rate_threshold * calls

    def _evidence(self, sent: Sent) -> bool | None:
        rule, outcome = self.rule, sent.outcome
        if isinstance(outcome, Delivered):
            return False
        if isinstance(outcome, Failed) and outcome.fault is None:
            blamed = any(low <= outcome.status <= high for low, high in rule.fail_on_status)
        else:
            blamed = _fault(outcome) in rule.fail_on_fault
        return True if blamed else None

    def _unannounced(self) -> list[str]:
        must, self.must = self.must, None
        if must is None:
            return []
        self._turn(must)
        return [f"{self.name}: the rules ask for {must}, and nothing was announced"]

    def _turn(self, state: str) -> None:
        self.state = state
        self.epoch += 1
        self.in_a_row = 0
        self.calls.clear()
        self.may_open = False


def _fault(outcome: Outcome | None) -> str:
    """The fault's name; an attempt that was given up by its deadline has no outcome of its own."""
    return outcome.fault.value if isinstance(outcome, Failed) and outcome.fault is not None else "Timeout"


def _first(calls: list[tuple[float, bool]], at: float) -> int:
    return next((place for place, (when, _) in enumerate(calls) if when > at), len(calls))
