"""P9 and P28: no retry comes before its declared wait is over, in this process or the next, whatever the clock says.

The wait is the longer of the backoff and of what the target asked for, by the policy in force when the attempt landed.
Chance may shorten it as far as the jitter says and no further. And deliveries that failed together must not come back
together: of the waits that have reached their cap, jitter has to spread most.
"""

import itertools

from fanout_crds.plan import Backoff, Policy
from fanout_dispatcher.telemetry.seam import CircuitChanged
from fanout_dispatcher.values.outcome import Failed
from tests.sim.checkers.breaker import mode_of
from tests.sim.checkers.reading import GRAIN, Reading, anew, kept, name, policy_at
from tests.sim.history import Sent

EARLY = 0.0015  # seconds: the grain of timers
ENOUGH = 8  # waits at the cap, before their spread says anything
HELD = 0.1  # seconds beyond the cap: so late no timer comes, but what waits for its retry budget, which lets many go


def check(reading: Reading) -> list[str]:
    """Every pair of attempts at one delivery."""
    wrong: list[str] = []
    capped: dict[tuple[str, str], list[float]] = {}
    for chain in reading.chains.values():
        for before, after in itertools.pairwise(chain):
            if not _judged_here(reading, before, after) or anew(reading, before, after):
                continue
            waited = after.at - (before.ended or 0.0)
            least = least_wait(reading, before, after)
            if waited < least - EARLY:
                wrong.append(f"{name(after)}: after {waited:.4f} s, and at least {least:.4f} were declared")
            _note_cap(reading, before, after, waited, capped)
    return [*wrong, *_herds(capped), *_overdone(reading)]


def _judged_here(reading: Reading, before: Sent, after: Sent) -> bool:
    """The failure was heard, and whoever sent again knew; not across a reboot, where only the wall clock runs."""
    if before.ended is None or before.yes:
        return False
    if before.life == after.life:
        return True
    rebooted = any(before.at <= at <= after.at for at in reading.reboots)
    return kept(reading, before.life, before.ended) and not rebooted


def least_wait(reading: Reading, before: Sent, after: Sent) -> float:
    """Seconds that have to pass: by the mildest of the policies that may have judged it."""
    policies = policy_at(reading, before, before.ended or 0.0)
    spent = after.number > before.number  # a probe spends nothing: it waits for the circuit and for what was asked
    return min((_least(policy, before, spent) for policy in policies), default=0.0)


def _least(policy: Policy, before: Sent, spent: bool) -> float:
    asked = _asked(policy, before)
    if not spent:
        return asked
    full = declared(policy.retry.backoff, before.number)
    share = {"None": 1.0, "Equal": 0.5, "Full": 0.0}[policy.retry.backoff.jitter]
    return max(asked, full * share)


def _asked(policy: Policy, before: Sent) -> float:
    failed = before.outcome
    if not isinstance(failed, Failed) or not policy.retry.retry_after or not (failed.retry_after or "").isdigit():
        return 0.0
    return min(float(failed.retry_after or 0), policy.retry.retry_after_max)


def declared(rule: Backoff, retry: int) -> float:
    """The whole wait before retry number *retry*, before jitter."""
    if rule.type == "Schedule":
        return rule.schedule[min(retry, len(rule.schedule)) - 1]
    grown = {
        "Constant": rule.base_delay,
        "Linear": rule.base_delay * retry,
        "Exponential": rule.base_delay * rule.multiplier ** min(retry - 1, 60),
    }
    return min(grown.get(rule.type, 0.0), rule.max_delay)


def _note_cap(
    reading: Reading, before: Sent, after: Sent, waited: float, capped: dict[tuple[str, str], list[float]]
) -> None:
    policies = policy_at(reading, before, before.ended or 0.0)
    if (
        (before.route, before.target) in reading.disturbed
        or len(policies) != 1
        or before.life != after.life
        or after.number != before.number + 1
    ):
        return
    rule = policies[0].retry.backoff
    at_cap = declared(rule, before.number) == rule.max_delay and waited < rule.max_delay + HELD
    if at_cap and rule.jitter != "None" and not _asked(policies[0], before):
        capped.setdefault((before.route, before.target), []).append(waited / rule.max_delay)


def _herds(capped: dict[tuple[str, str], list[float]]) -> list[str]:
    wrong: list[str] = []
    for (route, target), waits in capped.items():
        together = sum(0.98 < wait < 1.25 for wait in waits)
        if len(waits) >= ENOUGH and together > len(waits) / 2:
            wrong.append(f"{route} {target}: {together} of {len(waits)} capped waits end together, in spite of jitter")
    return wrong


def _overdone(reading: Reading) -> list[str]:
    """Attempts are numbered one by one, and none beyond ``maxAttempts`` by the policy that judged the one before."""
    wrong: list[str] = []
    for chain in reading.chains.values():
        for before, after in itertools.pairwise(chain):
            if before.life != after.life or before.ended is None or before.yes or anew(reading, before, after):
                continue
            most = [policy.retry.max_attempts for policy in policy_at(reading, before, before.ended)]
            if (
                most
                and after.number > before.number
                and all(limit is not None and after.number > limit for limit in most)
            ):
                wrong.append(f"{name(after)}: maxAttempts is {most[-1]}")
            held = _held(reading, before, before.ended)  # a failed probe does not count
            unspent = held or before.shared > 1  # nor does a rejection of several, which says nothing of any of them
            if not (before.number == after.number and unspent) and after.number != before.number + 1:
                wrong.append(f"{name(after)}: the attempt before was number {before.number}")
    return wrong


def _held(reading: Reading, sent: Sent, at: float) -> bool:
    """Its circuit was open when it failed, or opened by that; not in a dry run, which changes nothing for it."""
    if "Auto" not in {mode_of(one.circuit_breaker) for one in policy_at(reading, sent, sent.at)}:
        return False
    told = [one for one in reading.circuits.get((sent.route, sent.target), []) if one.life == sent.life]
    meanwhile = [one for one in told if abs(one.at - at) <= GRAIN]
    before = [one for one in told if one.at < at - GRAIN][-1:]
    return any(isinstance(one.change, CircuitChanged) and one.change.after == "Open" for one in before + meanwhile)
