"""P12: a rate limit is never exceeded in any sliding window by more than the burst.

By the target's own log: were its attempts to come evenly, each would have a time of its own, and none is ever ahead of
it by more than a burst. A plan that says otherwise begins anew.
"""

from fanout_crds.plan import RateLimit
from tests.sim.checkers.reading import Reading, name
from tests.sim.history import Adopted, Began, Started

EPSILON = 1e-6


def check(reading: Reading) -> list[str]:
    """Every attempt at a target with a limit."""
    wrong: list[str] = []
    limits: dict[tuple[str, str], RateLimit] = {}
    even: dict[tuple[str, str], float] = {}  # when the next attempt would come if all had come evenly
    for one in reading.history.log:
        match one:
            case Began():
                limits.clear()
                even.clear()
            case Adopted(plan=plan):
                for target in plan.everybody:
                    where, limit = (plan.key, target.name), target.policy.rate_limit
                    if limit != limits.get(where):
                        even.pop(where, None)
                    if limit is not None:
                        limits[where] = limit
                    else:
                        limits.pop(where, None)
            case Started():
                sent = reading.history.sent[one.n]
                where = sent.route, sent.target
                if (limit := limits.get(where)) is not None and sent.leads:
                    interval = limit.per / limit.requests
                    if one.at < even.get(where, one.at) - interval * (limit.burst - 1) - EPSILON:
                        wrong.append(f"{name(sent)}: beyond {limit}")
                    even[where] = max(even.get(where, one.at), one.at) + interval
            case _:
                pass
    return wrong
