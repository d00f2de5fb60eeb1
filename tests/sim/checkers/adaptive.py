"""P13, too: a limit that adapts itself never lets more go than what it has learnt of its target allows.

A small model of the rule (Gradient2 of Netflix' concurrency-limits) beside the history, fed by how long the target took
for its answers: it begins where the plan says, comes down when answers take longer than they used to, goes up when they
do not and there is work enough, and stays within its bounds, those of the newest plan. Whether it lets as many go as
it may is for due.py to say.
"""

import collections

from fanout_crds.plan import Adaptive, Bulkhead
from fanout_dispatcher.values.outcome import Failed, Fault
from tests.sim.checkers.reading import Reading, name
from tests.sim.history import Adopted, Began, Landed, Record, Retired, Sent, Started

EPSILON = 1e-6

Where = tuple[str, str]  # route and target


def check(reading: Reading) -> list[str]:
    """Every start at a target whose limit adapts itself."""
    wrong: list[str] = []
    limits = Limits(reading)
    for one in reading.history.log:
        limits.see(one)
        if not isinstance(one, Started) or not limits.learnt:
            continue
        sent = reading.history.sent[one.n]
        where = sent.route, sent.target
        learnt = limits.learnt.get(where)
        if learnt is not None and limits.flying[where] > int(learnt.limit + EPSILON):
            wrong.append(f"{name(sent)}: {limits.flying[where]} in flight, and {learnt.limit:.2f} may be")
    return wrong


class Limits:
    """What is in flight to each target, and how many may be at once."""

    def __init__(self, reading: Reading) -> None:
        self.reading = reading
        self.rules: dict[Where, Bulkhead] = {}
        self.flying: dict[Where, int] = collections.defaultdict(int)
        self.learnt: dict[Where, Learnt] = {}
        self.unsure: set[Where] = set()  # they were away: what is known of them may be forgotten, or not

    def room(self, where: Where) -> int:
        """How many may be in flight at once for sure."""
        rule, learnt = self.rules[where], self.learnt.get(where)
        if rule.adaptive is None:
            return rule.max_concurrent
        least = rule.adaptive.min if learnt is None else int(learnt.limit - EPSILON)
        return min(rule.max_concurrent, max(rule.adaptive.min, least))

    def see(self, one: Record) -> None:
        """What happened next."""
        match one:
            case Began():
                for table in (self.rules, self.flying, self.learnt, self.unsure):
                    table.clear()
            case Adopted(plan=plan):
                for target in plan.everybody:
                    self._follow((plan.key, target.name), target.policy.bulkhead, target.policy.hedge is not None)
                there = {target.name for target in plan.everybody}
                self._leave({(route, gone) for route, gone in self.rules if route == plan.key and gone not in there})
            case Retired(route=route):
                self._leave({where for where in self.rules if where[0] == route})
            case Started():
                sent = self.reading.history.sent[one.n]
                self.flying[sent.route, sent.target] += sent.leads
            case Landed():
                self._landed(self.reading.history.sent[one.n])
            case _:
                pass

    def _follow(self, where: Where, rule: Bulkhead, hedged: bool) -> None:
        self.rules[where] = rule
        learnt = self.learnt.get(where)
        if rule.adaptive is None or hedged or where in self.unsure:
            self.learnt.pop(where, None)
        elif learnt is not None:
            learnt.follow(rule.adaptive)
        else:
            self.learnt[where] = Learnt(rule.adaptive)

    def _leave(self, gone: set[Where]) -> None:
        self.unsure |= gone
        for where in gone:
            self.learnt.pop(where, None)

    def _landed(self, sent: Sent) -> None:
        where = sent.route, sent.target
        if not sent.leads:
            return
        timed_out = sent.cancelled or (isinstance(sent.outcome, Failed) and sent.outcome.fault is Fault.TIMEOUT)
        if where in self.learnt and sent.ended is not None and (sent.yes or timed_out):
            self.learnt[where].hear(sent.ended - sent.at, self.flying[where])
        self.flying[where] -= 1


class Learnt:
    """The limit of one target, and how long its answers take as a rule: over some 600 of them."""

    def __init__(self, rule: Adaptive) -> None:
        self.rule = rule
        self.limit = float(rule.initial)
        self.usual = 0.0
        self.heard = 0

    def follow(self, rule: Adaptive) -> None:
        """Other bounds."""
        self.rule = rule
        self._set(self.limit)

    def hear(self, took: float, flying: int) -> None:
        """An answer, or that there was none in time, while so many were in flight."""
        usual = self.usual
        self.heard += 1
        share = 1 / self.heard if self.heard <= 10 else 2 / 601
        self.usual = usual = usual + (took - usual) * share
        if usual > 2 * took:  # no longer under load: what was usual under it is forgotten faster
            self.usual *= 0.95
        if flying >= self.limit / 2:
            gradient = min(1.0, max(0.5, 1.5 * usual / took))
            self._set(0.8 * self.limit + 0.2 * (gradient * self.limit + 4.0))

    def _set(self, limit: float) -> None:
        self.limit = max(self.rule.min, min(self.rule.max, limit))
