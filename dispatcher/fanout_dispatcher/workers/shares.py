"""What one of several workers may use of a dispatcher's limits: pure arithmetic, and the only place that divides.

A manifest speaks of the dispatcher, since nobody who writes one should have to know how many processes there are. So
each limit that counts something is divided: everybody gets the floor, and the first few one more, until nothing is
left. A limit that is too small to go round is refused, with the path to its field: a worker without a share could send
nothing, and one with more than its share would break the limit.
"""

import typing

import msgspec

from fanout_crds.plan import Adaptive, Budget, Bulkhead, Plan, Policy, RateLimit, Target
from fanout_dispatcher.values.sink import PlanRefused


class Share(msgspec.Struct, frozen=True):
    """The place of one worker among *of* that share. Called with a plan, gives what the worker runs of it."""

    index: int
    of: int

    def __call__(self, plan: Plan) -> Plan:
        """Divide *plan*. Raises PlanRefused for a limit that does not go round."""
        if self.of == 1:
            return plan
        targets = (self._target(target, place) for place, target in enumerate(plan.targets))
        return msgspec.structs.replace(plan, targets=tuple(targets))

    def part(self, whole: int) -> int:
        """The share of *whole*; all shares together are *whole* again."""
        return whole // self.of + (self.index < whole % self.of)

    def _target(self, target: Target, place: int) -> Target:
        return msgspec.structs.replace(target, policy=self._policy(target.policy, f"spec.targets[{place}].policy"))

    def _policy(self, policy: Policy, path: str) -> Policy:
        letters = self._some(policy.dead_letter.max_bytes, f"{path}.deadLetter.maxBytes")
        queue = policy.queue.max_bytes  # None is a quarter of the journal, and each worker has a journal of its own
        if queue is not None:
            queue = self._some(queue, f"{path}.queue.maxBytes")
        return msgspec.structs.replace(
            policy,
            retry=msgspec.structs.replace(policy.retry, budget=self._budget(policy.retry.budget)),
            bulkhead=self._bulkhead(policy.bulkhead, f"{path}.bulkhead"),
            rate_limit=self._rate(policy.rate_limit, f"{path}.rateLimit"),
            queue=msgspec.structs.replace(policy.queue, max_bytes=queue),
            dead_letter=msgspec.structs.replace(policy.dead_letter, max_bytes=letters),
        )

    def _bulkhead(self, whole: Bulkhead, path: str) -> Bulkhead:
        adaptive = whole.adaptive
        if adaptive is not None:
            adaptive = Adaptive(
                min=max(1, self.part(adaptive.min)),  # a floor, not a limit: it does no harm that it is never 0
                initial=max(1, self.part(adaptive.initial)),
                max=self._some(adaptive.max, f"{path}.adaptive.max"),
            )
        return Bulkhead(max_concurrent=self._some(whole.max_concurrent, f"{path}.maxConcurrent"), adaptive=adaptive)

    def _rate(self, whole: RateLimit | None, path: str) -> RateLimit | None:
        """The same requests in so many times the time: a rate divides without a remainder, a burst does not."""
        if whole is None:
            return None
        burst = self._some(whole.burst, f"{path}.burst")
        return msgspec.structs.replace(whole, per=whole.per * self.of, burst=burst)

    def _budget(self, whole: Budget | None) -> Budget | None:
        """The percentage is of each worker's own first attempts, so it is everybody's already."""
        if whole is None:
            return None
        return msgspec.structs.replace(whole, min_retries_per_second=whole.min_retries_per_second / self.of)

    def _some(self, whole: int, path: str) -> int:
        if whole < self.of:
            raise PlanRefused(
                f"{path}: {whole} cannot be divided among the {self.of} workers of this dispatcher: give at least"
                f" {self.of}, or run fewer workers"
            )
        return self.part(whole)


def shares(of: int) -> typing.Iterator[Share]:
    """Every share there is, in the order of the workers."""
    return (Share(index, of) for index in range(of))
