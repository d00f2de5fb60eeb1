"""The verdict on an attempt: one pure decision, from which everything durable follows.

Retry is not a layer around the sending: a retry that sleeps in a call chain holds a slot and dies with the process.
It is a verdict, written to the journal, and the delivery leaves memory until it is due.
"""

import random
import typing

import msgspec

from fanout_crds import plan
from fanout_dispatcher.policies.backoff import backoff
from fanout_dispatcher.policies.retry_after import retry_after
from fanout_dispatcher.policies.statuses import statuses
from fanout_dispatcher.values.outcome import Again, Dead, Delivered, Done, Failed, Outcome, Reason, Refused, Verdict

DONE: typing.Final = Done()
UNASKED: typing.Final = 0.5  # seconds until a delivery that we chose not to ask about is looked at again


class Rules(msgspec.Struct, frozen=True, kw_only=True):
    """A plan's retry policy, ready to be asked."""

    retry: plan.Retry
    attempt: float  # seconds; 0 = no limit
    total: float  # seconds; 0 = no limit
    on_status: frozenset[int]
    on_fault: frozenset[str]
    success: frozenset[int]

    @staticmethod
    def of(policy: plan.Policy) -> "Rules":
        """Compile the parts of *policy* that a verdict needs."""
        retry = policy.retry
        return Rules(
            retry=retry,
            attempt=policy.timeouts.attempt,
            total=policy.timeouts.total,
            on_status=statuses(retry.on_status) - statuses(retry.give_up_on),
            on_fault=frozenset(retry.on_fault),
            success=statuses(retry.success_on),
        )

    def expires(self, accepted: float) -> float:
        """When a delivery accepted at *accepted* is given up, whatever its state."""
        return accepted + self.total if self.total > 0 else float("inf")


class Standing(msgspec.Struct, frozen=True, gc=False):
    """Where a delivery stands as an attempt lands: attempts spent before it, when it was accepted.

    ``probe``: the attempt was a circuit's probe, its outcome is evidence to the circuit, and that is open now. A probe
    that proves nothing (a 408, by default), or that fails when others have closed the circuit, is an attempt like any
    other: unspent and without a wait it would come back for ever.
    """

    attempts: int
    accepted: float
    probe: bool
    wall: float


def decide(standing: Standing, outcome: Outcome, rules: Rules, now: float, rng: random.Random) -> Verdict:
    """What becomes of the delivery."""
    match outcome:
        case Delivered():
            return DONE
        case Refused(reason=Reason() as reason):
            return Dead(reason, outcome.why, spent=False)
        case Refused():
            return Again(now + UNASKED, spent=False)
        case Failed():
            return _failed(standing, outcome, rules, now, rng)
        case _:
            typing.assert_never(outcome)


def _failed(standing: Standing, failed: Failed, rules: Rules, now: float, rng: random.Random) -> Verdict:
    if not worth_another_try(failed, rules):
        return Dead(Reason.TARGET_REJECTED, _sentence(failed))
    if standing.probe:
        # the circuit is open again: held, in its place unless the target named a time, and nothing is spent
        return Again(now + _asked(failed, rules, standing.wall), spent=False)
    attempts = standing.attempts + 1
    most = rules.retry.max_attempts
    if most is not None and attempts >= most:
        return Dead(
            Reason.ATTEMPTS_EXHAUSTED, f"{attempts} attempt{'s' * (attempts > 1)}, the last: {_sentence(failed)}"
        )
    at = now + _wait(attempts, failed, rules, standing.wall, rng)
    if at >= rules.expires(standing.accepted):
        return Dead(Reason.EXPIRED, f"the next try would come after timeouts.total; the last: {_sentence(failed)}")
    return Again(at)


def worth_another_try(failed: Failed, rules: Rules) -> bool:
    """Whether a failure of this kind is tried again."""
    if failed.fault is not None:
        return failed.fault in rules.on_fault
    return failed.status in rules.on_status


def _wait(retry: int, failed: Failed, rules: Rules, wall: float, rng: random.Random) -> float:
    """The longer of our backoff and what the target asked for."""
    return max(backoff(rules.retry.backoff, retry, rng), _asked(failed, rules, wall))


def _asked(failed: Failed, rules: Rules, wall: float) -> float:
    """The target's Retry-After, capped; 0 when it asked for nothing, or when the policy does not listen."""
    asked = retry_after(failed.retry_after, wall) if rules.retry.retry_after else None
    return 0.0 if asked is None else min(asked, rules.retry.retry_after_max)


def _sentence(failed: Failed) -> str:
    """What the target did, in words a tenant may see."""
    if failed.fault is None:
        return f"the target answered {failed.status}"
    return f"{failed.fault.value}: {failed.detail}" if failed.detail else failed.fault.value
