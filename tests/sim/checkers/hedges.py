"""P35: hedges are sent where they are asked for, in their time, never beside a failure, and end with their attempt.

With the first yes all other tries are given up at once; without one each of them lands by itself, or all end with the
attempt's time. And hedges are a share of first attempts and so many a second, however many of them succeed.
"""

import itertools

from tests.sim.checkers.attempts import Attempt
from tests.sim.checkers.budget import Bucket, Where
from tests.sim.checkers.reading import Reading, name, policy_at
from tests.sim.history import Adopted, Began, Retired, Started

EARLY = 1e-6  # seconds
GRAIN = 0.02  # seconds in which an attempt's deadline is kept


def check(reading: Reading) -> list[str]:
    """Every attempt with more than one try, and all hedges together."""
    wrong: list[str] = []
    for attempt in reading.attempts:
        if len(attempt.tries) > 1:
            wrong += [*_sent(reading, attempt), *_ended(reading, attempt)]
    return [*wrong, *_beyond(reading)]


def _sent(reading: Reading, attempt: Attempt) -> list[str]:
    """As many as are asked for, each in its time, and none when the target has said no already."""
    first, wrong = attempt.whole, []
    rules = [policy.hedge for policy in policy_at(reading, first, first.at) if policy.hedge is not None]
    if len(attempt.tries) > 1 + max((rule.max_extra for rule in rules), default=0):
        wrong.append(f"{name(first)}: {len(attempt.tries)} tries")
    for before, after in itertools.pairwise(attempt.tries):
        if after.at - before.at < min((rule.delay for rule in rules), default=0.0) - EARLY:
            wrong.append(f"{name(after)}: {after.at - before.at:.4f} s after the try before")
    for one, hedge in itertools.combinations(attempt.tries, 2):
        if one.ended is not None and one.ended < hedge.at:
            wrong.append(f"{name(hedge)}: beside a try that had ended at {one.ended:.4f}")
    return wrong


def _ended(reading: Reading, attempt: Attempt) -> list[str]:
    """No try goes on behind its attempt, and none is given up without a reason."""
    whole, wrong = attempt.whole, []
    if whole.ended is None:
        return []
    limits = [policy.timeouts.attempt for policy in policy_at(reading, whole, whole.at)]
    for one in attempt.tries:
        if one.ended is None or one.ended > whole.ended:
            wrong.append(f"{name(one)}: a try goes on after its attempt was over at {whole.ended:.4f}")
        elif one.cancelled and not whole.yes and one.ended - whole.at < min(limits, default=0.0) - GRAIN:
            wrong.append(f"{name(one)}: given up at {one.ended:.4f} though nothing had succeeded")
    return wrong


def _beyond(reading: Reading) -> list[str]:
    """By a bucket that no success fills; another target, another bucket."""
    wrong: list[str] = []
    buckets: dict[Where, Bucket] = {}
    asked: dict[Where, object] = {}
    for one in reading.history.log:
        match one:
            case Began() | Retired():
                buckets.clear()
                asked.clear()
            case Adopted(plan=plan):
                for target in plan.everybody:
                    where, budget = (plan.key, target.name), target.policy.retry.budget
                    if asked.get(where) != target and budget is not None:
                        buckets[where], asked[where] = Bucket(budget, target.policy, one.at), target
            case Started():
                sent = reading.history.sent[one.n]
                bucket = buckets.get((sent.route, sent.target))
                counts = sent.of is not None or sent.number == 1
                if bucket is not None and counts and not bucket.crossed(sent, one.at, landed=False):
                    wrong.append(f"{name(sent)}: hedges are beyond their share")
            case _:
                pass
    return wrong
