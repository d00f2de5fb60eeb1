"""P11: a circuit opens as configured, lets no more probes through than allowed, closes on success, and never lies.

A small model of the rules runs beside the history, fed by what targets saw and what operators changed; the engine's own
announcements have to agree with it at every step. Where the rules leave room (calls.py: a window of ten buckets forgets
up to a tenth of its time early), either is right, and the model follows what was announced.

What people set a circuit to is a rule like the others: forced open it is open at once and nothing is sent, forced
closed or switched off it is closed and stays so, and a dry run announces what Auto would, and lets everything pass.
"""

import math

from fanout_crds.breaker import CircuitMode
from fanout_crds.plan import CircuitBreaker, Target
from fanout_dispatcher.telemetry.seam import CircuitChanged
from fanout_dispatcher.values.outcome import Delivered, Failed, Outcome
from tests.sim.checkers.calls import Call, Calls
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
                    models[where].noted |= any(one.role == "Compensation" for one in plan.behind)
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
        self.state = "Open" if self.mode == "ForcedOpen" else "Closed"  # how it begins is told to nobody
        self.epoch = 0
        self.epochs: dict[int, int] = {}  # attempt -> the epoch it was sent in
        self.calls = Calls()
        self.until = math.inf
        self.since = 0.0
        self.reopened = 0
        self.probes = 0
        self.successes = 0
        self.slow = 0  # of these
        self.must: str | None = None  # the change that has to be announced next
        self.then: str | None = None  # and the one after that
        self.may_open = False
        self.again = False  # its route was made again: its circuit may be a new one, and closed
        self.noted = False  # a step of a saga is on disk before it is sent: a probe is out before anybody sees it

    @property
    def rule(self) -> CircuitBreaker:
        return self.target.policy.circuit_breaker

    @property
    def mode(self) -> CircuitMode:
        return mode_of(self.rule)

    @property
    def counts(self) -> bool:
        return self.mode in {"Auto", "DryRun"}

    def follow(self, target: Target) -> None:
        """A new plan: another address forgets everything, other rules only the counts; a mode may say the state."""
        before, counted = self.target, self.counts
        self.target = target
        if self.rule != before.policy.circuit_breaker:
            self._follow_rule(counted)
        if target.url != before.url:
            if self.state == "Closed":
                self._turn("Closed")
            elif self.mode != "ForcedOpen" and self.must == "Open":
                self.then = "Closed"  # its probes were found too slow, and then it was another target
            elif self.mode != "ForcedOpen":
                self.must = "Closed"

    def _follow_rule(self, counted: bool) -> None:
        self.calls.made.clear()
        if not self.counts:
            self.calls.in_a_row = 0
        if self.mode == "ForcedOpen":
            self.until, self.reopened = math.inf, 0
            self.must = "Open" if self.state != "Open" else None
        elif not (counted and self.counts):
            self.must = "Closed" if self.state != "Closed" else None
        elif self.state == "HalfOpen":
            self._judge_probes()

    def _judge_probes(self) -> None:
        """Enough of them decide: the last one that was good makes them so, or a plan that asks for fewer."""
        if self.successes >= self.rule.half_open.success_threshold:
            too_slow = self.slow and self.slow * 100 >= self.rule.slow_call_rate_threshold * self.successes
            self.must = "Open" if too_slow else "Closed"

    def sent(self, sent: Sent, now: float) -> list[str]:
        """An attempt reaches the target: it may have to be a probe."""
        wrong = self._unannounced()
        if sent.of is not None:
            return wrong if self.state == "Closed" else [*wrong, f"{self.name}: hedged at {now:.4f} while {self.state}"]
        if self.again and self.state == "Open" and self.mode != "ForcedOpen":
            self.reopened = 0
            self._turn("Closed")
        self.again = False
        if self.mode == "DryRun" and self.state != "Closed":
            return [*wrong, *self._let_pass(sent, now)]
        self.epochs[sent.n] = self.epoch
        if self.state == "Open":
            return [*wrong, f"{self.name}: sent at {now:.4f} while the circuit is open until {self.until:.4f}"]
        if self.state == "HalfOpen":
            self.since = self.since if self.probes or self.noted else now
            self.probes += 1
            half = self.rule.half_open
            if self.probes > half.max_calls or self.probes + self.successes > half.success_threshold:
                wrong.append(f"{self.name}: {self.probes} probes at {now:.4f}, {half} allows fewer")
        return wrong

    def _let_pass(self, sent: Sent, now: float) -> list[str]:
        """In a dry run: it counts if it would have been a probe, and goes in any case."""
        half = self.rule.half_open
        if self.state == "Open":
            late = now > self.until + GRAIN
            return [f"{self.name}: sent at {now:.4f}, and no probe since {self.until:.4f}"] if late else []
        if self.probes < half.max_calls and self.probes + self.successes < half.success_threshold:
            self.since = self.since if self.probes or self.noted else now
            self.probes += 1
            self.epochs[sent.n] = self.epoch
        return []

    def landed(self, sent: Sent, now: float) -> list[str]:
        """It is over: learn from it, unless it is of another epoch or no evidence."""
        wrong = self._unannounced()
        if self.epochs.pop(sent.n, -1) != self.epoch or not self.counts:
            return wrong
        failed, rule = self._evidence(sent), self.rule
        slow = now - sent.at > (rule.slow_call_duration or math.inf)
        if self.state == "HalfOpen":
            self.probes -= 1
            self.successes += failed is False
            self.slow += slow and failed is False
            if failed:
                self.must = "Open"
            elif failed is False:
                self._judge_probes()
        elif self.state == "Closed" and failed is not None:
            must, self.may_open = self.calls.add(Call(now, failed, slow), rule)
            self.must = "Open" if must else None
        return wrong

    def told(self, change: CircuitChanged, now: float) -> list[str]:
        """The engine announces a state: it has to be one that the rules ask for, or let happen."""
        state, must = change.after, self.must
        self.must, self.then, self.again = self.then, None, False
        if must is not None and state != must:
            return [f"{self.name}: {state} at {now:.4f}, and {must} was due"]
        late = (self.probes > 0 or self.noted) and now >= self.since + self.rule.half_open.max_wait - GRAIN
        allowed = {
            "Open": must == "Open" or self.may_open or (self.state == "HalfOpen" and late),
            "HalfOpen": self.state == "Open" and now >= self.until - GRAIN,
            "Closed": must == "Closed",
        }
        wrong = [] if allowed[state] else [f"{self.name}: {state} at {now:.4f}, and nothing asks for it"]
        if state == "Open":
            wrong += self._opened(change, now, failed_probe=must == "Open" and self.state == "HalfOpen")
        elif state == "HalfOpen":
            self.since, self.probes, self.successes, self.slow = now, 0, 0, 0
        else:
            self.reopened = 0
        self._turn(state)
        return wrong

    def _opened(self, change: CircuitChanged, now: float, *, failed_probe: bool) -> list[str]:
        """For how long: as declared, doubled for each probe that failed since it last worked.

        Not for one that only waited too long for a verdict. Nothing is said of it where nothing is held, or for ever.
        """
        if self.mode == "ForcedOpen":
            return [] if change.opens_for is None else [f"{self.name}: forced open for {change.opens_for} s"]
        self.reopened += failed_probe
        rule = self.rule
        longest = max(rule.open_duration, rule.max_open_duration)
        opens_for = min(rule.open_duration * 2.0 ** min(self.reopened, 64), longest)
        self.until = now + opens_for
        if self.mode == "DryRun":
            return [] if change.opens_for is None else [f"{self.name}: a dry run is open for {change.opens_for} s"]
        if change.opens_for is None or abs(change.opens_for - opens_for) > 1e-3:
            return [f"{self.name}: open for {change.opens_for} s at {now:.4f}, {opens_for} are declared"]
        return []

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
        self.calls.clear()
        self.may_open = False


def mode_of(rule: CircuitBreaker) -> CircuitMode:
    """What a circuit is set to."""
    return rule.mode if rule.enabled else "Disabled"


def _fault(outcome: Outcome | None) -> str:
    """The fault's name; an attempt that was given up by its deadline has no outcome of its own."""
    return outcome.fault.value if isinstance(outcome, Failed) and outcome.fault is not None else "Timeout"
