"""P13: no more attempts are in flight to a target than its bulkhead allows, also while plans change.

Nor ever more than the highest that a limit may go that adapts itself (adaptive.py says how far it may at the moment).

A gauge at each target, in the order in which things happened. A limit that is lowered applies to the next attempt: what
is in flight already lands in its own time.
"""

import collections

from tests.sim.checkers.reading import Reading, name
from tests.sim.history import Adopted, Began, Landed, Started


def check(reading: Reading) -> list[str]:
    """Count up and down."""
    wrong: list[str] = []
    flying: dict[tuple[str, str], int] = collections.defaultdict(int)
    limits: dict[tuple[str, str], int] = {}
    for one in reading.history.log:
        match one:
            case Began():
                flying.clear()
            case Adopted(plan=plan):
                for target in plan.everybody:
                    rule = target.policy.bulkhead
                    highest = rule.adaptive.max if rule.adaptive else rule.max_concurrent
                    limits[plan.key, target.name] = min(rule.max_concurrent, highest)
            case Started():
                sent = reading.history.sent[one.n]
                where = sent.route, sent.target
                flying[where] += sent.leads
                if flying[where] > limits[where]:
                    wrong.append(f"{name(sent)}: {flying[where]} in flight, {limits[where]} are allowed")
            case Landed():
                sent = reading.history.sent[one.n]
                flying[sent.route, sent.target] -= sent.leads
            case _:
                pass
    return wrong
