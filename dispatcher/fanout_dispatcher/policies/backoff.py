"""Backoff: how long to wait before the next try.

Exponential with full jitter by default (Brooker, *Exponential Backoff and Jitter*, AWS 2015): the wait is drawn from
the whole of 0…d, so that many deliveries that failed together do not come back together. The cap comes before the
jitter: a cap applied after it would pile everything up at the cap. A schedule names each wait; what comes after its end
is not asked for, since its length is also the number of retries.
"""

import random

from fanout_crds import plan


def backoff(rule: plan.Backoff, retry: int, rng: random.Random) -> float:
    """Seconds to wait before retry number *retry* (1 for the first)."""
    match rule.type:
        case "Constant":
            wait = rule.base_delay
        case "Linear":
            wait = rule.base_delay * retry
        case "Exponential":
            wait = _grown(rule, retry)
        case "Schedule":
            wait = rule.schedule[min(retry, len(rule.schedule)) - 1]
    wait = min(wait, rule.max_delay)
    match rule.jitter:
        case "None":
            return wait
        case "Equal":
            return wait / 2 + rng.uniform(0.0, wait / 2)
        case "Full":
            return rng.uniform(0.0, wait)


def _grown(rule: plan.Backoff, retry: int) -> float:
    """The uncapped wait. Any bound on the exponent would keep a slow multiplier from ever reaching its cap."""
    try:
        return rule.base_delay * rule.multiplier ** (retry - 1)
    except OverflowError:
        return rule.max_delay
