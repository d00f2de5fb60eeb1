"""P10: retries stay within the budget, also when a whole backlog fails at once or comes back at once.

By the target's own log: a share of each first attempt, one for each success and so many a second come in, a retry or
a hedge takes one, and what may be saved up is bounded. Only targets whose plan has a budget are judged.
"""

from fanout_crds.plan import Budget, Plan, Policy
from tests.sim.checkers.reading import Reading
from tests.sim.history import Adopted, Began, Landed, Retired, Sent, Started

SECONDS = 10.0  # what a bucket may hold: so many seconds' worth of its steady refill, …
LEAST = 30.0  # … the bulkhead's slots, and this many at the least
EPSILON = 1e-3

Where = tuple[str, str]  # route and target


def check(reading: Reading) -> list[str]:
    """A bucket per target, as full as it may ever be, played against the log."""
    wrong: list[str] = []
    buckets: dict[Where, Bucket] = {}
    for one in reading.history.log:
        match one:
            case Began():
                buckets.clear()
            case Retired(route=route):
                buckets = {where: bucket for where, bucket in buckets.items() if where[0] != route}
            case Adopted(plan=plan):
                _adopt(buckets, plan, one.at)
            case Started() | Landed():
                sent = reading.history.sent[one.n]
                bucket = buckets.get((sent.route, sent.target)) if sent.leads else None
                if bucket is not None and not bucket.crossed(sent, one.at, landed=isinstance(one, Landed)):
                    wrong.append(f"{sent.route} {sent.target}: retry {sent.event} at {one.at:.4f} is beyond the budget")
            case _:
                pass
    return wrong


def _adopt(buckets: dict[Where, "Bucket"], plan: Plan, now: float) -> None:
    """New figures; a target that is new, or was away, begins with all that it may have."""
    known = {(plan.key, target.name): target.policy for target in plan.everybody}
    for where in [where for where in buckets if where[0] == plan.key and where not in known]:
        del buckets[where]
    for where, policy in known.items():
        if policy.retry.budget is None:
            buckets.pop(where, None)
        elif where in buckets:
            buckets[where].follow(policy.retry.budget, policy, now)
        else:
            buckets[where] = Bucket(policy.retry.budget, policy, now)


class Bucket:
    """The fullest that the rules let it be."""

    def __init__(self, budget: Budget, policy: Policy, now: float) -> None:
        self.at = now
        self._take(budget, policy)
        self.level = self.brim

    def follow(self, budget: Budget, policy: Policy, now: float) -> None:
        """What is in it stays, as far as it has room."""
        self._refill(now)
        self._take(budget, policy)

    def crossed(self, sent: Sent, now: float, *, landed: bool) -> bool:
        """An attempt starts or lands; False when it should not have started."""
        self._refill(now)
        if landed:
            self.level += sent.yes
            return True
        if sent.number == 1 and sent.of is None:
            self.level += self.budget.percent / 100
            return True
        self.level -= 1
        return self.level >= -EPSILON

    def _take(self, budget: Budget, policy: Policy) -> None:
        self.budget = budget
        self.brim = max(SECONDS * budget.min_retries_per_second, float(policy.bulkhead.max_concurrent), LEAST)

    def _refill(self, now: float) -> None:
        self.level = min(self.level + self.budget.min_retries_per_second * (now - self.at), self.brim)
        self.at = now
