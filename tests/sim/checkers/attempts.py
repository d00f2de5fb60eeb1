"""Attempts as a whole: the tries of one that was hedged made one, of which all other promises speak.

It is over with its first yes, whatever its other tries come to; without one, when the last of them is over. Then it
ended as the failure that weighs most: one that is tried again before one that is not, of two alike the later one. Tries
that were given up without a yes were so by the attempt's deadline.
"""

import typing

import msgspec

from fanout_crds.plan import Policy
from fanout_dispatcher.values.outcome import Failed, Outcome
from tests.sim.history import History, Landed, Sent

Policies = typing.Callable[[Sent], list[Policy]]  # those that were in force when it was sent


class Attempt(msgspec.Struct):
    """An attempt: *whole* as if it had had one try, its tries in order, and the one with which it was over."""

    whole: Sent
    tries: list[Sent]
    last: Sent | None


def attempts(history: History, policies: Policies) -> list[Attempt]:
    """All of them, in the order in which they began."""
    grouped: dict[int, list[Sent]] = {}
    for sent in history.sent:
        grouped.setdefault(sent.n if sent.of is None else sent.of, []).append(sent)
    landed = {one.n: place for place, one in enumerate(history.log) if isinstance(one, Landed)}
    return [_attempt(tries, landed, policies) for tries in grouped.values()]


def _attempt(tries: list[Sent], landed: dict[int, int], policies: Policies) -> Attempt:
    first = tries[0]
    if len(tries) == 1:
        return Attempt(first, tries, None if first.ended is None else first)
    did = any(one.did for one in tries)
    yes = [one for one in tries if one.yes]
    if yes:
        last = min(yes, key=lambda one: landed[one.n])
        return Attempt(msgspec.structs.replace(first, did=did, ended=last.ended, outcome=last.outcome), tries, last)
    if any(one.ended is None for one in tries):
        return Attempt(msgspec.structs.replace(first, did=did, ended=None, outcome=None, cancelled=False), tries, None)
    last = max(tries, key=lambda one: landed[one.n])
    cancelled = any(one.cancelled for one in tries)
    outcome = None if cancelled else _weightiest(sorted(tries, key=lambda one: landed[one.n]), policies(first))
    whole = msgspec.structs.replace(first, did=did, ended=last.ended, outcome=outcome, cancelled=cancelled)
    return Attempt(whole, tries, last)


def _weightiest(tries: list[Sent], policies: list[Policy]) -> Outcome | None:
    again = [one for one in tries if any(_tried_again(one.outcome, policy) for policy in policies)]
    return (again or tries)[-1].outcome


def _tried_again(outcome: Outcome | None, policy: Policy) -> bool:
    if not isinstance(outcome, Failed):
        return False
    if outcome.fault is not None:
        return outcome.fault in policy.retry.on_fault
    given_up = any(low <= outcome.status <= high for low, high in policy.retry.give_up_on)
    return not given_up and any(low <= outcome.status <= high for low, high in policy.retry.on_status)
